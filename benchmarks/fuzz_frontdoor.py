"""Throw bytes at the front door's parser, its stream framer and its router, and see whether anything but `Malformed` comes out.

python benchmarks/fuzz_frontdoor.py --seconds 60                       # mutations of the torture messages, at random
python benchmarks/fuzz_frontdoor.py --atheris build/fuzz -max_total_time=600      # guided by coverage; pip install atheris

What is found is written as one line of Python: put it into a test. With `--atheris` the folder keeps the inputs that reached something new,
and what follows it goes to libFuzzer.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

REPOSITORY = Path(__file__).parents[1]
TORTURE = REPOSITORY / "tests" / "frontdoor" / "torture"
INNER = "127.0.0.1:5999"
WORKER_PORT = 40_001
SLOW_S = 0.05
"""One input that takes longer than this is a finding, too: about two hundred times the usual."""
MAX_BYTES = 65_507

CALL = (
    b"INVITE sip:1000@198.51.100.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;rport;branch=z9hG4bKf1\r\n"
    b"From: <sip:a@192.0.2.10>;tag=f\r\nTo: <sip:1000@198.51.100.1>\r\nCall-ID: fuzz-1\r\nCSeq: 1 INVITE\r\n"
    b"Contact: <sip:a@192.0.2.10:5060>\r\nMax-Forwards: 70\r\nRecord-Route: <sip:192.0.2.11;lr>\r\nContent-Length: 0\r\n\r\n"
)
OUTBOUND = (
    b"INVITE sip:+1@192.0.2.10 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:40001;rport;branch=z9hG4bKPjo\r\nMax-Forwards: 70\r\n"
    b"From: <sip:us@198.51.100.1>;tag=us\r\nTo: <sip:+1@192.0.2.10>\r\nCall-ID: own-1\r\nCSeq: 10 INVITE\r\n"
    b"Contact: <sip:us@127.0.0.1:40001;ob>\r\nRoute: <sip:127.0.0.1:5999;lr;hop=udp-192.0.2.10-5060>\r\nContent-Length: 0\r\n\r\n"
)
MULTIPART = (
    b"INFO sip:1-x@198.51.100.1 SIP/2.0\r\nVia: SIP/2.0/TCP [2001:db8::1]:5060;branch=z9hG4bKm\r\n"
    b"From: <sip:a@h>;tag=f\r\nTo: <sip:b@h>;tag=t\r\n"
    b'Call-ID: m\r\nCSeq: 2 INFO\r\nContent-Type: multipart/mixed;boundary="b"\r\nContent-Length: 95\r\n\r\n'
    b"--b\r\nContent-Type: application/sdp\r\nContent-ID: <1@h>\r\n\r\nv=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nt=0 0\r\n\r\n--b--\r\n"
)
WORDS = (
    b"\r\n", b"\r\n ", b"\r\n\r\n", b"\0", b"\xff", b'"', b"\\", b"<", b">", b",", b";", b":", b"@", b"[", b"]", b"=", b"%", b"%00",
    b"sip:", b"tel:", b"SIP/2.0", b"SIP/2.0/UDP ", b"Via: ", b"v: ", b"To: ", b"Route: ", b"Contact: ", b"Record-Route: ",
    b"Content-Length: ", b"l: -1\r\n", b"Require: ", b"Content-Type: application/sdp\r\n", b";lr", b";rport", b";branch=z9hG4bK",
    b";tag=", b"m=audio 1 RTP/AVP 0\r\n", b"a=rtpmap:", b"a=fmtp:", b"c=IN IP4 ", b"4294967296", b"-1", b"99999999999999999999",
    "é".encode(), "\u0661".encode(), b" ", b"\t",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FrontDoor:
    """The functions under test, imported late so that atheris can instrument them."""

    parse_and_check: Callable[[bytes], None]
    frame: Callable[[bytes], None]
    route: Callable[[bytes], None]

    def take(self, data: bytes) -> None:
        """Give one input to each; whatever is raised is a finding."""
        self.parse_and_check(data)
        self.frame(data)
        self.route(data)


def load() -> FrontDoor:
    """Import the front door and build the functions."""
    from sipcore.frontdoor.framing import StreamFramer
    from sipcore.frontdoor.grammar import Malformed
    from sipcore.frontdoor.message import parse
    from sipcore.frontdoor.reply import reply_to
    from sipcore.frontdoor.wellformed import check

    def parse_and_check(data: bytes) -> None:
        try:
            message = parse(data)
            check(message)
        except Malformed as error:
            if error.message is not None:
                reply_to(error.message, error.sip_code or 400)
            return
        again = parse(message.to_bytes())
        check(again)  # what passes must pass again, and be the same
        assert (again.start, again.body) == (message.start, message.body)

    def frame(data: bytes) -> None:
        framer, half = StreamFramer(), len(data) // 2
        try:
            framer.feed(data[:half])
            framer.feed(data[half:])
        except Malformed:
            return

    return FrontDoor(parse_and_check, frame, _router_target())


def _router_target() -> Callable[[bytes], None]:
    from sipcore.frontdoor.router import Router
    from sipcore.frontdoor.steps import Ask, Flow, Step, ToTarget
    from sipcore.wire import DoorLimits, DoorSettings, DoorTrunk

    us = "198.51.100.1:5060"
    settings = DoorSettings(
        inner_address=INNER,
        listeners=(("udp", us), ("tcp", us)),
        public_address="",
        secret=b"s" * 32,
        user_agent="sipcore",
        trunks=(DoorTrunk("fuzz", ("192.0.2.0/24",)),),
        limits=DoorLimits(offers=100),
    )
    router = Router(settings)
    router.set_workers({1: WORKER_PORT})
    flows = (Flow("udp", us, ("192.0.2.10", 5060)), Flow("tcp", us, ("192.0.2.10", 5061), 7))
    clock = iter(range(1 << 62))

    def carry_out(steps: list[Step], now: float) -> None:
        for step in steps:
            if isinstance(step, ToTarget):
                step.finish(us, "udp")
                carry_out(router.unsendable(step, "fuzz", now), now)
            elif isinstance(step, Ask):
                carry_out(router.placed(step.key, "call", 1, now), now)

    def route(data: bytes) -> None:
        now = next(clock) / 10.0
        for flow in flows:
            carry_out(router.from_outside(data, flow, now), now)
        carry_out(router.from_worker(data, WORKER_PORT, now), now)
        carry_out(router.expire(now), now)

    return route


def seeds() -> list[bytes]:
    """The torture messages, a call each way, a body with parts."""
    return [CALL, OUTBOUND, MULTIPART, *[path.read_bytes() for path in sorted(TORTURE.glob("*/*.dat"))]]


def mutate(data: bytes, dice: random.Random, others: list[bytes]) -> bytes:
    """One to eight small changes: bytes, words of the grammar, pieces doubled, dropped, moved, taken from another message."""
    changed = bytearray(data)
    for _ in range(dice.randint(1, 8)):
        start = dice.randint(0, len(changed))
        end = min(len(changed), start + dice.choice((1, 1, 2, 8, 40, 300)))
        match dice.randrange(6):
            case 0:
                changed[start:end] = dice.randbytes(end - start)
            case 1:
                changed[start:start] = dice.choice(WORDS)
            case 2:
                changed[start:end] = dice.choice(WORDS)
            case 3:
                changed[start:start] = changed[start:end] * dice.choice((1, 2, 100))
            case 4:
                del changed[start:end]
            case _:
                other = dice.choice(others)
                cut = dice.randint(0, len(other))
                changed[start:end] = other[cut : cut + dice.choice((10, 80, 500))]
    return bytes(changed[:MAX_BYTES])


def run_random(seconds: float, seed: int) -> int:
    """Number of findings; the same seed gives the same inputs."""
    door, dice, others = load(), random.Random(seed), seeds()
    findings = count = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        data = mutate(dice.choice(others), dice, others)
        began = time.process_time()
        count += 1
        try:
            door.take(data)
        except Exception as error:  # noqa: BLE001 - to find these is what this is for
            findings += 1
            print(f"{type(error).__name__}: {error}\n  {data!r}")
        lasted_s = time.process_time() - began
        if lasted_s > SLOW_S:
            findings += 1
            print(f"slow, {lasted_s * 1e3:.0f} ms, {len(data)} bytes\n  {data[:2_000]!r}")
    print(f"seed {seed}: {count} inputs, {findings} findings")
    return findings


def run_atheris(folder: Path, arguments: list[str]) -> None:
    """Hand over to libFuzzer, which does not come back."""
    atheris = _atheris()
    with atheris.instrument_imports(include=["sipcore.frontdoor"]):
        door = load()
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(seeds()):
        (folder / f"seed{number:02}").write_bytes(data)
    atheris.Setup([sys.argv[0], str(folder), *arguments], door.take)
    atheris.Fuzz()


def _atheris() -> ModuleType:
    try:
        import atheris  # type: ignore[import-not-found,unused-ignore]
    except ModuleNotFoundError:
        sys.exit("atheris is not installed (pip install atheris; Linux, CPython 3.11 to 3.13). Without it: --seconds N")
    module: ModuleType = atheris
    return module


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long, without atheris")
    parser.add_argument("--seed", type=int, default=None, help="repeat a run")
    parser.add_argument("--atheris", type=Path, metavar="FOLDER", help="use atheris, with its corpus here")
    options, rest = parser.parse_known_args()
    if options.atheris is not None:
        run_atheris(options.atheris, rest)
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    return 1 if run_random(options.seconds, seed) else 0


if __name__ == "__main__":
    sys.exit(main())
