"""A stand-in for the speaking child, with a fault for each way of failing. Usage: fake_child.py FAULT STATE_DIR."""

import os
import signal
import sys
from pathlib import Path

# The package itself would take half a second to import, in each of many children.
sys.path.append(str(Path(__file__).parents[2] / "media"))
import espeak_child as child

VOICES = [{"id": "gmw/en-us", "language": "en-us", "name": "English (America)"}]
TONE = bytes(range(1, 201)) * 50
ANSWERS = {
    "garbage": b"Audio saved to x\n" * 3,
    "huge": child.LENGTHS.pack(1 << 31, 0),
    "error": child.pack({"error": "unknown voice"}),
    "odd": child.pack({"rate_hz": 8000}, b"abc"),
}


def first_time(state: Path) -> bool:
    try:
        (state / "seen").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def answer(fault: str, state: Path) -> bytes:
    match fault:
        case "hang-once" if first_time(state):
            signal.pause()
        case "die-once" if first_time(state):
            os.kill(os.getpid(), signal.SIGKILL)
        case "always-die":
            raise SystemExit(3)
        case "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.pause()
    return ANSWERS.get(fault, child.pack({"rate_hz": 8000}, TONE))


def main() -> None:
    fault, state = sys.argv[1], Path(sys.argv[2])
    if fault == "no-start":
        sys.stderr.write("no espeak here\n")
        raise SystemExit(1)
    child._send(sys.stdout.buffer, child.pack({"version": "fake", "voices": [] if fault == "no-voices" else VOICES}))
    while request := child._receive(sys.stdin.buffer):
        with (state / "log").open("a") as log:
            log.write(f"{os.getpid()} {request['voice']} {len(request['text'])}\n")
        child._send(sys.stdout.buffer, answer(fault, state))


if __name__ == "__main__":
    main()
