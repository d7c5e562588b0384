"""A voice bot to start from: it listens, thinks, speaks, and is silent at once when it is interrupted.

`listen`, `think` and `speak` are coroutines to put your own in: a recogniser, a language model, a voice. Who speaks is found by energy.

Make it ring:   python examples/voice_bot.py sip:you@192.0.2.10
or without one: python examples/voice_bot.py                    (a far end on this machine asks, and interrupts the answer)
"""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import soundfile

from media import tones
from sipcore import AsyncCall, AsyncSwitch, InvalidState
from sipcore.testing.phone import Phone

RATE_HZ = 16_000
LOUD = 500
BEGIN_FRAMES, PAUSE_FRAMES = 4, 25  # of 20 ms: so long it must be loud to be speech, and quiet to be over


async def listen(samples: np.ndarray) -> str:
    return f"you spoke for {len(samples) / RATE_HZ:.1f} seconds"


async def think(heard: str) -> str:
    return f"I have heard that {heard}. " + "Let me tell you a long story about it. " * 5


async def speak(text: str) -> AsyncIterator[np.ndarray]:
    """Pieces of sound as they are made; here each word is a tone."""
    for word in text.split():
        yield tones.tone(400 + 40 * len(word), 0.2, RATE_HZ)


async def turns(call: AsyncCall) -> AsyncIterator[np.ndarray | None]:
    """`None` when the far end begins to speak, and what it said when it has paused."""
    frames, loud, quiet, is_speaking = [], 0, 0, False
    async for frame in call.audio(RATE_HZ):
        is_loud = np.abs(frame.samples.astype(int)).mean() > LOUD
        loud, quiet = (loud + 1, 0) if is_loud else (0, quiet + 1)
        frames.append(frame.samples)
        if not is_speaking:
            frames = frames[-BEGIN_FRAMES:]
            if loud >= BEGIN_FRAMES:
                is_speaking = True
                yield None
        elif quiet >= PAUSE_FRAMES:
            is_speaking = False
            yield np.concatenate(frames[:-PAUSE_FRAMES])


async def answer(call: AsyncCall, samples: np.ndarray) -> None:
    heard = await listen(samples)
    print(f"heard: {heard}")
    try:
        was_heard_out = await call.write(speak(await think(heard)), RATE_HZ)
        print("said all of it" if was_heard_out else "was interrupted")
    except InvalidState:
        print("the far end has hung up")


async def main(destination: str, **settings: str) -> None:
    async with AsyncSwitch(**settings) as switch, switch.dial(destination) as call, asyncio.TaskGroup() as answers:
        async for samples in turns(call):
            if samples is None:
                call.clear()  # barge-in
            else:
                answers.create_task(answer(call, samples))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(main(sys.argv[1]))
    else:
        with Phone(name="bob") as phone, tempfile.TemporaryDirectory() as folder:
            said = [tones.silence(0.5, 8000), tones.tone(300, 1.0, 8000), tones.silence(1.5, 8000), tones.tone(300, 0.5, 8000)]
            soundfile.write(Path(folder) / "said.wav", np.concatenate(said), 8000)
            phone.play(Path(folder) / "said.wav")
            phone.hang_up_after(5.5)
            asyncio.run(main(phone.uri, sip_address="127.0.0.1:0"))
