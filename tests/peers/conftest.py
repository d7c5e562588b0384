"""Calls with programs that are not ours: Debian's Kamailio as a provider, Debian's baresip as a phone. Audio is told by its tone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from media import tones, wav
from sipcore.testing.phone import Phone
from tests.sip.conftest import no_process_is_left, switch_settings

from .baresip import Baresip, baresip
from .kamailio import Kamailio, kamailio

__all__ = ["no_process_is_left", "switch_settings"]

HERE = Path(__file__).parent
SOURCE_S = 20.0

OpenBaresip = Callable[..., Baresip]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.sip)
            item.add_marker(pytest.mark.sip_lint("all"))  # both sides are programs that people use
            item.add_marker(pytest.mark.timeout(45))


@pytest.fixture(scope="session")
def registrar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kamailio]:
    """One for all tests that do not stop it; each test has users of its own."""
    with kamailio(tmp_path_factory.mktemp("kamailio")) as running:
        yield running


@pytest.fixture
def open_baresip(tmp_path: Path) -> Iterator[OpenBaresip]:
    """`open_baresip("bob", says_hz=700)`: a phone until the end of the test; see `baresip` for the rest."""
    with contextlib.ExitStack() as stack:

        def opened(name: str, *, says_hz: float, rate_hz: int = 8000, **settings: Any) -> Baresip:
            source = tmp_path / f"{name}.wav"
            wav.write(source, tones.tone(says_hz, SOURCE_S, rate_hz), rate_hz)
            return stack.enter_context(baresip(tmp_path / name, source, rate_hz=rate_hz, **settings))

        yield opened


@pytest.fixture
def open_ear() -> Iterator[Callable[[float], Phone]]:
    """`open_ear(1100)`: a phone of our own that says a tone, and tells what it hears; for the other side of a `connect`."""
    with contextlib.ExitStack() as stack:

        def opened(says_hz: float) -> Phone:
            phone = stack.enter_context(Phone("ear"))
            phone.tone(says_hz)
            return phone

        yield opened
