"""Many calls at once from an asyncio service: each number is called once, and the results come as they end.

Make it ring:   python examples/service.py sip:one@192.0.2.11 sip:two@192.0.2.12 ...
or without one: python examples/service.py                    (far ends on this machine: one answers, one is busy)
"""

import asyncio
import sys
from contextlib import ExitStack

from sipcore import AsyncSwitch, CallRecord, Talk
from sipcore.testing.phone import Phone


async def remind(switch: AsyncSwitch, destination: str) -> CallRecord:
    call = switch.calls.create(destination=destination, actions=[Talk("This is a reminder.")])
    return await call.wait(timeout_s=120)


async def main(destinations: list[str], **settings: str) -> None:
    async with AsyncSwitch(**settings) as switch:
        for finished in asyncio.as_completed([remind(switch, destination) for destination in destinations]):
            record = await finished
            print(f"{record.destination}: {record.hangup_reason}")


if __name__ == "__main__":
    with ExitStack() as stack:
        if len(sys.argv) > 1:
            asyncio.run(main(sys.argv[1:]))
        else:
            answers, busy = stack.enter_context(Phone(name="one")), stack.enter_context(Phone(name="two"))
            busy.reject(486)
            asyncio.run(main([answers.uri, busy.uri], sip_address="127.0.0.1:0"))
