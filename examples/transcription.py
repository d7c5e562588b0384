"""Give each utterance of the far end to a transcriber while the call goes on: the hook for Whisper, Vosk, or a service.

Make it ring:   python examples/transcription.py sip:you@192.0.2.10
or without one: python examples/transcription.py                    (a far end on this machine says two things)
"""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import soundfile

from media import tones
from sipcore import AsyncCall, AsyncSwitch
from sipcore.testing.phone import Phone

RATE_HZ = 16_000  # what most recognisers take
LOUD = 500
PAUSE_FRAMES = 20


async def transcribe(samples: np.ndarray) -> str:
    """Put your recogniser here; work that takes the processor belongs into `asyncio.to_thread` or another process."""
    return f"{len(samples) / RATE_HZ:.1f} s of speech"


async def utterances(call: AsyncCall) -> AsyncIterator[tuple[float, np.ndarray]]:
    """What is said between two pauses, and when it began."""
    said, quiet = [], 0
    async for frame in call.audio(RATE_HZ):
        quiet = 0 if np.abs(frame.samples.astype(int)).mean() > LOUD else quiet + 1
        if quiet == 0 or said:
            said.append(frame)
        if said and quiet >= PAUSE_FRAMES:
            yield said[0].time_s, np.concatenate([frame.samples for frame in said[:-PAUSE_FRAMES]])
            said = []


async def main(destination: str, **settings: str) -> None:
    async with AsyncSwitch(**settings) as switch, switch.dial(destination) as call:
        async for at_s, samples in utterances(call):
            print(f"at {at_s:.1f} s: {await transcribe(samples)}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(main(sys.argv[1]))
    else:
        with Phone(name="bob") as phone, tempfile.TemporaryDirectory() as folder:
            speech = np.concatenate(
                [tones.silence(0.5, 8000), tones.tone(300, 0.8, 8000), tones.silence(0.7, 8000), tones.tone(300, 0.4, 8000)]
            )
            soundfile.write(Path(folder) / "speech.wav", speech, 8000)
            phone.play(Path(folder) / "speech.wav")
            phone.hang_up_after(3.5)
            asyncio.run(main(phone.uri, sip_address="127.0.0.1:0"))
