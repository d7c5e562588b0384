"""The PBX under test: Kamailio with `pbx.cfg`, and baresip as its answering machine. Put what starts yours here."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ANNOUNCEMENT = HERE / "announcement.wav"
PASSWORD = "correct-horse"  # of every extension, and of the provider
COMPANY_NUMBER = "+441632960000"
RINGING_S = 0.8  # then the announcement answers; nobody wants to wait for the usual twenty seconds here
START_S = 10.0

BARESIP_CONFIG = """\
sip_listen 127.0.0.1:{port}
audio_source aufile,{announcement}
audio_player aubridge,none
audio_alert aubridge,none
call_max_calls 50
rtp_ports {first}-{last}
net_interface 127.0.0.1
module_path {modules}
module g711.so
module aufile.so
module aubridge.so
module_app account.so
module_app menu.so
"""


@dataclass(frozen=True)
class Pbx:
    """One that runs."""

    port: int
    logs: tuple[Path, ...]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def uri(self, number: str) -> str:
        """Of an extension, or of a number outside: `0` and the number."""
        return f"sip:{number}@{self.address}"


@contextlib.contextmanager
def running_pbx(folder: Path, ports: tuple[int, int], rtp_ports: tuple[int, int]) -> Iterator[Pbx]:
    """The PBX until the end of the block; `ports` are those of SIP, of Kamailio and of baresip."""
    kamailio, baresip = program("kamailio", "kamailio"), program("baresip", "baresip-core")
    port, announcement_port = ports
    config = (HERE / "pbx.cfg").read_text()
    for name, value in {
        "PORT": port,
        "PASSWORD": PASSWORD,
        "ANNOUNCEMENT": f"sip:announcement@127.0.0.1:{announcement_port}",
        "COMPANY_NUMBER": COMPANY_NUMBER,
        "RINGING_MS": round(RINGING_S * 1000),
    }.items():
        config = config.replace(name, str(value))
    (folder / "pbx.cfg").write_text(config)
    (folder / "config").write_text(
        BARESIP_CONFIG.format(
            port=announcement_port, announcement=ANNOUNCEMENT, first=rtp_ports[0], last=rtp_ports[1], modules=baresip_modules()
        )
    )
    (folder / "accounts").write_text("<sip:announcement@127.0.0.1>;regint=0;answermode=auto\n")
    (folder / "contacts").write_text("")
    (folder / "run").mkdir()
    logs = folder / "kamailio.log", folder / "baresip.log"
    kamailio_command = [kamailio, "-f", str(folder / "pbx.cfg"), "-DD", "-E", "-m", "32", "-M", "4", "-Y", str(folder / "run")]
    with started([baresip, "-f", str(folder), "-s"], logs[1], announcement_port), started(kamailio_command, logs[0], port):
        yield Pbx(port, logs)


def program(name: str, package: str) -> str:
    """Its path; the tests are skipped without it."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if path is None:
        pytest.skip(f"{name} is not installed: apt-get install {package}")
    return path


def baresip_modules() -> Path:
    for pattern in ("usr/lib/baresip/modules", "usr/lib/*/baresip/modules"):
        if found := next(Path("/").glob(pattern), None):
            return found
    pytest.skip("baresip has no modules: apt-get install baresip-core")


@contextlib.contextmanager
def started(command: Sequence[str], log: Path, port: int) -> Iterator[None]:
    """A program until the end of the block, from when it answers at its SIP port."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=log.parent, start_new_session=True)
    try:
        end_s = time.monotonic() + START_S
        while not answers_options(port):
            if process.poll() is not None or time.monotonic() > end_s:
                pytest.fail(f"{command[0]} does not answer; its log says:\n{log.read_text(errors='replace')[-2000:]}", pytrace=False)
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):  # the second for what is left of its group
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)


def answers_options(port: int) -> bool:
    """Ask as a SIP phone would whether somebody is there; waits for a moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, contextlib.suppress(OSError):
        sock.settimeout(0.1)
        sock.connect(("127.0.0.1", port))
        own_port = sock.getsockname()[1]
        sock.send(
            f"OPTIONS sip:127.0.0.1:{port} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{own_port};branch=z9hG4bK{own_port}\r\nMax-Forwards: 1\r\n"
            f"From: <sip:ready@127.0.0.1>;tag=1\r\nTo: <sip:127.0.0.1:{port}>\r\nCall-ID: {own_port}\r\nCSeq: 1 OPTIONS\r\n"
            f"Contact: <sip:ready@127.0.0.1:{own_port}>\r\nContent-Length: 0\r\n\r\n".encode()
        )
        return sock.recv(65535).startswith(b"SIP/2.0 ")
    time.sleep(0.02)
    return False
