"""Measure the tone that a line sends: its frequency and level, twice a second, by FFT.

Make it ring:   python examples/tone_measure.py sip:milliwatt@192.0.2.10
or without one: python examples/tone_measure.py                    (a far end on this machine sends 1004 Hz at -16 dBFS)
"""

import asyncio
import sys

import numpy as np

from sipcore import AsyncSwitch
from sipcore.testing.phone import Phone

RATE_HZ = 8000
FRAMES = 25
SECONDS = 2


async def measure(destination: str, **settings: str) -> None:
    async with AsyncSwitch(**settings) as switch, switch.dial(destination) as call:
        frames = []
        async for frame in call.audio(RATE_HZ):
            frames.append(frame)
            if len(frames) % FRAMES == 0:
                print(described(np.concatenate([frame.samples for frame in frames[-FRAMES:]])))
            if frame.time_s >= SECONDS:
                break


def described(samples: np.ndarray) -> str:
    level_db = 20 * np.log10(max(1.0, np.sqrt(np.mean(samples.astype(float) ** 2))) * np.sqrt(2) / 32767)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 8 * len(samples)))
    return f"{spectrum.argmax() * RATE_HZ / (8 * len(samples)):.0f} Hz, {level_db:.1f} dBFS"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(measure(sys.argv[1]))
    else:
        with Phone(name="milliwatt") as phone:
            phone.tone(1004, level_dbfs=-16)
            asyncio.run(measure(phone.uri, sip_address="127.0.0.1:0"))
