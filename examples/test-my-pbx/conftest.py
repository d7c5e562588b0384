"""What the tests of the PBX start with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pbx import PASSWORD, Pbx, running_pbx

from sipcore.testing import Phone, report


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory, free_ports, rtp_ports: tuple[int, int]) -> Iterator[Pbx]:
    """One PBX for all tests of this process; with `pytest -n` each process has its own."""
    first, last = rtp_ports
    with running_pbx(tmp_path_factory.mktemp("pbx"), free_ports(2), ((first + last) // 2 + 1, last)) as pbx:
        yield pbx


@pytest.fixture
def pbx(running: Pbx, request: pytest.FixtureRequest) -> Pbx:
    """The PBX; its logs are named in the report of a test that fails."""
    for log in running.logs:
        report.attach(request.node, "logs of the PBX", log)
    return running


@pytest.fixture
def extension(phones, pbx: Pbx) -> Callable[[str], Phone]:
    """`alice = extension("201")`: a telephone that is registered with the PBX."""

    def registered(number: str) -> Phone:
        (phone,) = phones(number)
        phone.register(pbx.uri(number), number, PASSWORD)
        return phone

    return registered


@pytest.fixture
def switch_settings(switch_settings: dict[str, Any], pbx: Pbx, rtp_ports: tuple[int, int]) -> dict[str, Any]:
    """The switch is one more customer of the PBX, and calls through it."""
    first, last = rtp_ports
    account = {"name": "pbx", "addresses": [pbx.address], "username": "299", "password": PASSWORD}
    return switch_settings | {"trunks": [account], "rtp_ports": (first, (first + last) // 2)}
