"""Real calls: PJSIP workers on our side, SIPp on the other, RTP heard and measured."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from sipcore import Switch
from sipcore.testing.rtp_sink import RtpSink
from sipcore.testing.sipp import Sipp

from .listening import BurstSynthesizer
from .outside import Certificates, Outside

HERE = Path(__file__).parent
SCENARIOS = HERE / "scenarios"
_MARK = "SIPCORE_SIP_TEST"
_GONE_WITHIN_S = 3.0
_RTP_RANGE = (20000, 32600)  # below the ports that the system gives out by itself, above those that a switch takes by default
_RTP_PORTS = 200

OpenSwitch = Callable[..., AbstractContextManager[Switch]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.sip)
            item.add_marker(pytest.mark.sipp)
            item.add_marker(pytest.mark.timeout(45))


@pytest.fixture(autouse=True)
def no_process_is_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """After each test no process that was started in it is left, orphans included: they inherit a mark. So none has a port either."""
    mark = uuid.uuid4().hex
    monkeypatch.setenv(_MARK, mark)
    yield
    end_s = time.monotonic() + _GONE_WITHIN_S
    while (left := list(_marked_processes(mark))) and time.monotonic() < end_s:
        time.sleep(0.02)
    assert not left, f"left behind: {left}"


@pytest.fixture
def sipp(tmp_path: Path) -> Sipp:
    if shutil.which("sipp") is None:
        pytest.skip("SIPp is not installed: apt-get install sip-tester")
    return Sipp(SCENARIOS, log_root=tmp_path)


@pytest.fixture(scope="session")
def rtp_ports() -> Iterator[tuple[int, int]]:
    """RTP ports that no other test process uses.

    PJSIP sends its audio to whoever sends to its port. So a far end that still talks to the port of a call that is over would get the
    audio of the next call there, and that call's far end nothing.
    """
    for first in range(*_RTP_RANGE, _RTP_PORTS):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as claim, contextlib.suppress(OSError):
            claim.bind(("127.0.0.1", first + _RTP_PORTS - 1))
            yield first, first + _RTP_PORTS - 3
            return
    raise OSError("every block of RTP ports is claimed")


@pytest.fixture
def open_switch(tmp_path: Path, rtp_ports: tuple[int, int]) -> OpenSwitch:
    """`with open_switch(trunk=...) as switch`: short time limits, speech that is made at once."""

    @contextmanager
    def opened(**settings: object) -> Iterator[Switch]:
        defaults: dict[str, object] = {
            "sip_address": "127.0.0.1:0",
            "cache_dir": tmp_path / "cache",
            "media_root": tmp_path,
            "rtp_ports": rtp_ports,
            "dial_timeout_s": 10.0,
            "hangup_timeout_s": 3.0,
            "grace_s": 3.0,
            "synthesizer": BurstSynthesizer(),
        }
        with Switch(**(defaults | settings)) as switch:
            yield switch

    return opened


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.write(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(params=["udp", "tcp", "tls"])
def outside(request: pytest.FixtureRequest, sipp: Sipp, certificates: Certificates) -> Outside:
    """A caller, over each transport."""
    return Outside(sipp, certificates, request.param)


@pytest.fixture
def caller(sipp: Sipp, certificates: Certificates) -> Outside:
    """A caller over UDP."""
    return Outside(sipp, certificates)


@pytest.fixture
def ear() -> Iterator[RtpSink]:
    """A far end that listens and says nothing."""
    with RtpSink() as sink:
        yield sink


def _marked_processes(mark: str) -> Iterator[tuple[int, str]]:
    wanted = f"{_MARK}={mark}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                yield int(entry.name), (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue  # ended just now, or somebody else's
