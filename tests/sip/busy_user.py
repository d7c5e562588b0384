"""A user's process as bad as can be: some calls play a prompt, some carry live audio, and a thread never lets go of the interpreter.

python busy_user.py sip:HOST:PORT PROMPT.wav PROMPTS LIVE FOLDER
"""

import asyncio
import sys
import threading

from sipcore import AsyncSwitch, Play, Sleep


def be_busy() -> None:
    number = 0
    while True:
        number = (number * 31 + 7) % 1_000_003


async def say_back(call) -> None:
    async for frame in call.audio():
        call.write(frame)


async def main(host: str, prompt: str, prompts: int, live: int, folder: str) -> None:
    settings = {"sip_address": "127.0.0.1:0", "cache_dir": f"{folder}/cache", "media_root": folder, "max_legs": prompts + live}
    async with AsyncSwitch(**settings) as switch:
        playing = [
            switch.calls.create(destination=f"sip:prompt{n}@{host}", actions=[Play([prompt]), Sleep(60_000)]) for n in range(prompts)
        ]
        talking = [switch.calls.create(destination=f"sip:live{n}@{host}", actions=[Sleep(60_000)]) for n in range(live)]
        await asyncio.gather(*(switch.session(call.id).answered for call in playing + talking))
        threading.Thread(target=be_busy, daemon=True).start()
        print("busy", flush=True)
        await asyncio.gather(*(say_back(call) for call in talking))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1].removeprefix("sip:"), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]))
