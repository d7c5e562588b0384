"""Real calls: PJSIP workers on our side, SIPp on the other, RTP heard and measured."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sipcore.testing.certificates import Certificates
from sipcore.testing.rtp_sink import RtpSink
from sipcore.testing.sipp import Sipp

from .listening import BurstSynthesizer
from .outside import Outside

HERE = Path(__file__).parent
SCENARIOS = HERE / "scenarios"
_MARK = "SIPCORE_SIP_TEST"
_GONE_WITHIN_S = 3.0


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
def switch_settings(switch_settings: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """Settings as they are by default, but for short time limits, and speech that is made at once."""
    kept = ("sip_address", "rtp_ports", "dial_timeout_s", "hangup_timeout_s", "grace_s")
    return {name: switch_settings[name] for name in kept} | {
        "cache_dir": tmp_path / "cache",
        "media_root": tmp_path,
        "synthesizer": BurstSynthesizer(),
    }


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
