"""Say back what is said, a second later: live audio in and out.

Make it ring:   python examples/echo_delay.py sip:you@192.0.2.10
or without one: python examples/echo_delay.py                    (a far end on this machine sounds a tone, and must hear it again)
"""

import asyncio
import sys
from collections import deque

from sipcore import AsyncSwitch, InvalidState
from sipcore.testing.phone import Phone

DELAY_FRAMES = 50  # of 20 ms


async def echo(destination: str, **settings: str) -> None:
    async with AsyncSwitch(**settings) as switch, switch.dial(destination) as call:
        late = deque()
        try:
            async for frame in call.audio():
                late.append(frame)
                if len(late) > DELAY_FRAMES:
                    call.write(late.popleft())
        except InvalidState:
            print("hung up while we spoke")
        record = await call.ended()
        print(f"{record.destination}: {record.hangup_reason}, {record.duration_s:.0f} s")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(echo(sys.argv[1]))
    else:
        with Phone(name="bob") as phone:
            phone.tone(700)
            phone.hang_up_after(3)
            asyncio.run(echo(phone.uri, sip_address="127.0.0.1:0"))
            phone.assert_tone(700)
            print("the far end has heard itself")
