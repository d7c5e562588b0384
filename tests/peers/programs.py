"""Programs of others as the far end of a test: started on free loopback ports, ended by their id, their log in the test's folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

START_S = 10.0


def needs(program: str, package: str) -> str:
    """The path of a program; the test is skipped without it."""
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    if path is None:
        pytest.skip(f"{program} is not installed: apt-get install {package}")
    return path


@contextlib.contextmanager
def running(command: Sequence[str], log: Path, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The program, in a session of its own, until the end of the block: then SIGTERM, and SIGKILL for what does not end."""
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=folder, start_new_session=True)
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the program and its children, then SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
            if number == signal.SIGTERM and not _has_group(process.pid):
                return


def wait_for_options(address: tuple[str, int], process: subprocess.Popen[bytes], log: Path) -> None:
    """Until OPTIONS (RFC 3261 §11) is answered there, over TCP: Kamailio starts its process for that last."""
    end_s = time.monotonic() + START_S
    host, port = address
    asked = (
        f"OPTIONS sip:{host}:{port} SIP/2.0\r\nVia: SIP/2.0/TCP {host}:9;rport;branch=z9hG4bKready\r\nMax-Forwards: 1\r\n"
        f"From: <sip:ready@{host}>;tag=1\r\nTo: <sip:{host}:{port}>\r\nCall-ID: ready\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
    while not _answers(address, asked.encode()):
        assert process.poll() is None, f"it ended with {process.returncode}: {log.read_text(errors='replace')[-2000:]}"
        assert time.monotonic() < end_s, f"no answer: {log.read_text(errors='replace')[-2000:]}"
        time.sleep(0.02)


def _answers(address: tuple[str, int], request: bytes) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(address, 1.0) as connection:
        connection.sendall(request)
        return connection.recv(65535).startswith(b"SIP/2.0 ")
    return False


def _has_group(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
