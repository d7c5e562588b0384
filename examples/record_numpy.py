"""Record both sides of a call into one numpy array, the far end left and what it hears right, and save it.

Make it ring:   python examples/record_numpy.py sip:you@192.0.2.10 call.npy
or without one: python examples/record_numpy.py                    (a far end on this machine sounds a tone, we speak)
"""

import asyncio
import sys
import tempfile
from pathlib import Path

import numpy as np

from sipcore import AsyncCall, AsyncSwitch
from sipcore.testing.phone import Phone


async def record(destination: str, path: Path, **settings: str) -> None:
    async with AsyncSwitch(**settings) as switch, switch.dial(destination) as call:
        sides = asyncio.create_task(recorded(call))
        await call.talk("Both of us are on this recording.")
        call.hangup()
        sound = await sides
    np.save(path, sound)
    loudest = np.abs(sound.astype(int)).max(axis=0)
    print(f"{len(sound) / 16_000:.1f} s, loudest {loudest[0]} from the far end, {loudest[1]} towards it")


async def recorded(call: AsyncCall) -> np.ndarray:
    frames = []
    async for frame in call.audio(rate_hz=16_000, tap="both"):
        if frame.lost:
            frames.append(np.zeros((frame.lost, 2), np.int16))
        frames.append(frame.samples)
    return np.concatenate(frames)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        asyncio.run(record(sys.argv[1], Path(sys.argv[2])))
    else:
        with Phone(name="bob") as phone, tempfile.TemporaryDirectory() as folder:
            phone.tone(700)
            asyncio.run(record(phone.uri, Path(folder) / "call.npy", sip_address="127.0.0.1:0"))
