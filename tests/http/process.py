"""`sipcore serve` as a process of its own, with real workers."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

HERE = Path(__file__).parent
TOKEN = "a-token-for-the-tutorial"
READY_S = 60.0


class Served:
    """A running server: `url`, `client` with the token, and what it printed."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process, self.url = process, url
        self.client = httpx.Client(base_url=url, headers={"authorization": f"Bearer {TOKEN}"}, timeout=10, trust_env=False, verify=False)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self, timeout_s: float) -> int:
        return self.process.wait(timeout_s)

    def follow(self) -> Any:
        """`GET /v1.0/events`, as a context manager."""
        return self.client.stream("GET", "/v1.0/events")


@contextmanager
def serving(
    folder: Path, settings: str, *, program: tuple[str, ...] = ("-m", "sipcore"), environment: dict[str, str] | None = None
) -> Iterator[Served]:
    """Start it at a free port; ended, by its process id, when it does not end by itself."""
    config = folder / "sipcore.toml"
    config.write_text(
        f'sip_address = "127.0.0.1:0"\ncache_dir = "{folder}/cache"\nmedia_root = "{folder}"\n{settings}\n[http]\ntokens = ["{TOKEN}"]\n'
    )
    command = [sys.executable, *program, "serve", "--config", str(config), "--http", "127.0.0.1:0"]
    log = (folder / "serve.log").open("w")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=os.environ | (environment or {}))
    watchdog = threading.Timer(READY_S, process.kill)
    watchdog.start()
    try:
        line = process.stdout.readline()
        watchdog.cancel()
        assert line.startswith("sipcore: HTTP at "), (line, (folder / "serve.log").read_text())
        served = Served(process, line.split()[3].rstrip(","))
        try:
            yield served
        finally:
            served.client.close()
    finally:
        watchdog.cancel()
        watchdog.join()
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        process.stdout.close()
        log.close()


def sipcore(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    environment = os.environ | {"COLUMNS": "200"} | (environment or {})
    return subprocess.run(
        [sys.executable, "-m", "sipcore", *arguments], capture_output=True, text=True, timeout=60, check=False, env=environment
    )
