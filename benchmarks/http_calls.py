"""How long POST /v1.0/calls takes at a steady rate while 16 calls are up and hear a file, for calls that are accepted and refused.

python benchmarks/http_calls.py --rate 200 --seconds 10            # real workers, SIPp as the far end
python benchmarks/http_calls.py --engine fake                      # the HTTP side and call control alone

The load is open-loop: a request has its moment, and its time counts from that moment even when it was sent late. The generator is this
process, on the same cores as the server. Accepted calls are answered 486 by the far end, so that their legs are free again at once; refused
ones meet a switch whose legs are all in use (503 with Retry-After).

Beside the times stands what survives a machine that others use too: the CPU time of the main process and of the front door for each
request, the share of the time that the event loop waited for a core, and the pauses for garbage (number and longest, by generation).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from http_server import Usage, spent

import harness

ROOT = Path(__file__).resolve().parents[1]
SERVER = Path(__file__).with_name("http_server.py")
SCENARIOS = ROOT / "tests" / "sip" / "scenarios"
UP = 16
CONNECTIONS = 32
SOURCE = "+821028286521"


def main() -> None:
    options = _options()
    for name, max_legs in (("accepted", UP + options.spare_legs), ("refused", UP)):
        if options.what not in (None, name):
            continue
        with tempfile.TemporaryDirectory() as folder:
            with _far_end(options) as (stay, busy), _server(options, Path(folder), max_legs) as (port, pid):
                result, before, after = asyncio.run(_measure(port, pid, stay, busy, options.rate, options.seconds))
            result |= spent(before, after, result["requests"], Path(folder) / "pauses")
        print(json.dumps({"what": name, "engine": options.engine, "max_legs": max_legs, **result}), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second (default %(default)g)")
    parser.add_argument("--seconds", type=float, default=10.0, help="of load, each way (default %(default)g)")
    parser.add_argument("--engine", choices=["pjsip", "fake"], default="pjsip")
    parser.add_argument("--spare-legs", type=int, default=64, help="room for calls that are accepted (default %(default)s)")
    parser.add_argument("--what", choices=["accepted", "refused"], help="only these calls (default: both)")
    return parser.parse_args()


@contextlib.contextmanager
def _far_end(options: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Where calls stay up, and where they are refused."""
    if options.engine == "fake":
        yield "sip:stay@192.0.2.1", "sip:busy@192.0.2.1"
        return
    from sipcore.testing.ports import bind_rtp_pair
    from sipcore.testing.sipp import Sipp

    sipp, (rtp, rtcp) = Sipp(SCENARIOS), bind_rtp_pair("127.0.0.1")  # what nobody reads, the kernel throws away
    stay_keys, busy_keys = {"rtp_port": rtp.getsockname()[1]}, {"status": "SIP/2.0 486 Busy Here", "header": "X-Bench: 1"}
    limit_s = options.seconds + 90
    with (
        rtp, rtcp,
        sipp.uas("uas-200-stay-expect-nothing.xml", calls=UP, keys=stay_keys, pause_ms=int(limit_s * 1000), timeout_s=limit_s) as stay,
        sipp.uas("uas-refuse-expect-ack.xml", calls=1_000_000, keys=busy_keys, timeout_s=limit_s) as busy,
    ):  # fmt: skip
        yield f"sip:stay@127.0.0.1:{stay.port}", f"sip:busy@127.0.0.1:{busy.port}"


@contextlib.contextmanager
def _server(options: argparse.Namespace, folder: Path, max_legs: int) -> Iterator[tuple[int, int]]:
    """A server in a process of its own: its port, and the process."""
    from media import tones, wav

    wav.write(folder / "long.wav", tones.tone(600.0, 600.0, 8000), 8000)
    config = folder / "sipcore.toml"
    config.write_text(
        f'sip_address = "127.0.0.1:0"\nmedia_root = "{folder}"\ncache_dir = "{folder}/cache"\nstore = "{folder}/calls.sqlite"\n'
        f"max_legs = {max_legs}\nmin_workers = {max_legs // 4}\ngrace_s = 1.0\n"
    )
    command = [sys.executable, str(SERVER), options.engine, str(config), "127.0.0.1:0", str(folder / "pauses")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=(folder / "log").open("w"), text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, (folder / "log").read_text()
        time.sleep(max_legs / 4 * 0.1 if options.engine == "pjsip" else 0)  # for the workers to be ready
        yield int(line.split()[3].rstrip(",").rpartition(":")[2]), process.pid
    finally:
        process.terminate()
        process.wait(60)
        if process.stdout is not None:
            process.stdout.close()


async def _measure(port: int, pid: int, stay: str, busy: str, rate: float, seconds: float) -> tuple[dict[str, Any], Usage, Usage]:
    clients = [await _Client.connect(port) for _ in range(CONNECTIONS)]
    play = [{"type": "play", "option": {"stream_urls": ["long.wav"]}}]
    for _ in range(UP):
        code, _ = await clients[0].post({"source": SOURCE, "destination": stay, "actions": play})
        assert code == 200, code
        await asyncio.sleep(0.05)
    deadline = time.monotonic() + 20
    while await clients[0].up() < UP:
        assert time.monotonic() < deadline, "the calls did not come up"
        await asyncio.sleep(0.1)
    free: asyncio.Queue[_Client] = asyncio.Queue()
    for client in clients:
        free.put_nowait(client)
    times_ms: list[float] = []
    codes: Counter[int] = Counter()
    body = {"source": SOURCE, "destination": busy, "actions": [{"type": "talk", "option": {"text": "hello"}}]}

    async def one(moment: float) -> None:
        client = await free.get()
        code, has_retry = await client.post(body)
        times_ms.append((time.perf_counter() - moment) * 1000)
        codes[code] += 1
        assert code == 200 or has_retry
        free.put_nowait(client)

    before, stolen = Usage.read(pid), harness.Stolen()
    tasks, start = [], time.perf_counter()
    for number in range(int(rate * seconds)):
        moment = start + number / rate
        await asyncio.sleep(max(0.0, moment - time.perf_counter()))
        tasks.append(asyncio.create_task(one(moment)))
    await asyncio.gather(*tasks)
    after, steal_share = Usage.read(pid), stolen.share
    lasted_s, still_up = time.perf_counter() - start, await clients[0].up()
    for client in clients:
        client.writer.close()
    ordered = sorted(times_ms)
    result = {
        "requests": len(ordered),
        "rate": round(len(ordered) / lasted_s, 1),
        "codes": dict(codes),
        "p50_ms": round(ordered[len(ordered) // 2], 2),
        "p99_ms": round(ordered[int(len(ordered) * 0.99)], 2),
        "max_ms": round(ordered[-1], 2),
        "calls_still_up": still_up,
        "steal_percent": round(steal_share * 100, 1),
    }
    return result, before, after


class _Client:
    """One connection that stays open."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, port: int) -> _Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(reader, writer)

    async def post(self, body: dict[str, Any]) -> tuple[int, bool]:
        content = json.dumps(body).encode()
        head = f"POST /v1.0/calls HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        code, headers, _ = await self._ask(head.encode() + content)
        return code, b"retry-after" in headers

    async def up(self) -> int:
        """Calls that are answered."""
        _, _, content = await self._ask(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        line = next(line for line in content.decode().splitlines() if line.startswith('sipcore_calls{status="progressing"}'))
        return int(float(line.split()[-1]))

    async def _ask(self, data: bytes) -> tuple[int, bytes, bytes]:
        self.writer.write(data)
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        return int(head.split()[1]), head, await self.reader.readexactly(length)


if __name__ == "__main__":
    main()
