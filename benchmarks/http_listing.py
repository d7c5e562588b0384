"""How long GET /v1.0/calls takes with many calls in the store, at random depths, for an admin and for one user of many.

python benchmarks/http_listing.py --calls 1000000 --requests 1000
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import random
import sqlite3
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sipcore.addresses import Address
from sipcore.config import make_config
from sipcore.http.addresses import bind, url_of
from sipcore.http.server import HttpServer
from sipcore.http.tokens import new_jwt
from sipcore.record import CallRecord, format_time
from sipcore.store import CallStore
from sipcore.switch import AsyncSwitch
from sipcore.testing.fake_engine import FakeEngine

START = datetime(2026, 1, 1, tzinfo=UTC)
STEP = timedelta(milliseconds=137)
USERS = 50
SECRET = "a secret of a benchmark, long enough"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--requests", type=int, default=1000, help="of each kind (default %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "calls.sqlite"
        start = time.monotonic()
        _fill(store, options.calls)
        print(f"filled in {time.monotonic() - start:.0f} s, {store.stat().st_size / 2**20:.0f} MiB", flush=True)
        asyncio.run(_measure(store, options.calls, options.requests))


def _fill(path: Path, calls: int) -> None:
    """One row that the store itself wrote, and copies of it: a million writes one by one would take an hour."""
    store = CallStore(str(path))
    record = CallRecord(
        id=str(uuid.uuid4()),
        source=Address("tel", "+821028286521"),
        destination=Address("tel", "+821021656521"),
        tm_create=START,
        status="hangup",
        hangup_by="remote",
        hangup_reason="normal",
        tm_update=START,
        tm_progressing=START,
        tm_hangup=START,
        sip_code=200,
        sip_phrase="OK",
    )
    store.put(record)
    store.close()
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.row_factory = sqlite3.Row
        row = dict(connection.execute("SELECT * FROM calls").fetchone())
        names = ", ".join(row)
        marks = ", ".join(f":{name}" for name in row)
        connection.executemany(f"INSERT INTO calls ({names}) VALUES ({marks})", _rows(row, calls))


def _rows(row: dict[str, Any], calls: int) -> Iterator[dict[str, Any]]:
    for number in range(1, calls):
        moment = format_time(START + number * STEP)
        yield row | {"id": str(uuid.uuid4()), "user_id": 1 + number % USERS, "tm_create": moment, "tm_update": moment, "tm_hangup": moment}


async def _measure(store: Path, calls: int, requests: int) -> None:
    config = make_config({"store": str(store), "cache_dir": str(store.parent / "cache"), "http": {"jwt_secret": SECRET}})
    sock = bind("127.0.0.1", 0)
    port = int(url_of(sock).rpartition(":")[2])
    async with HttpServer(AsyncSwitch(engine=FakeEngine(), config=config), sock):
        gc.collect()
        gc.freeze()  # this and the next line as `sipcore serve`
        sys.setswitchinterval(0.0005)
        for user_id, size in ((1, 10), (1, 100), (2, 10), (2, 100)):
            times = await asyncio.to_thread(_ask_all, port, new_jwt(SECRET, user_id, 3600), size, calls, requests)
            who = "admin" if user_id == 1 else f"one user of {USERS}"
            print(json.dumps({"who": who, "page_size": size, "requests": len(times), **_summary(times)}), flush=True)


def _ask_all(port: int, token: str, size: int, calls: int, requests: int) -> list[float]:
    import http.client

    chosen = random.Random(1)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    times_ms = []
    for number in range(requests):
        depth = 0 if number % 10 == 0 else chosen.randrange(calls)
        before = format_time(START + (calls - depth) * STEP).replace(" ", "%20")
        start = time.perf_counter()
        connection.request("GET", f"/v1.0/calls?page_size={size}&page_token={before}&token={token}")
        answer = connection.getresponse()
        content = answer.read()
        times_ms.append((time.perf_counter() - start) * 1000)
        assert answer.status == 200, content
        assert json.loads(content)["result"] or depth > calls - USERS * 101
    connection.close()
    return times_ms


def _summary(times_ms: list[float]) -> dict[str, float]:
    ordered = sorted(times_ms)
    names = {"p50_ms": 0.5, "p99_ms": 0.99}
    return {name: round(ordered[int(len(ordered) * share)], 2) for name, share in names.items()} | {"max_ms": round(ordered[-1], 2)}


if __name__ == "__main__":
    main()
