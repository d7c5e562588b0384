"""What the switches of a test did: flight records in the report when it fails, and SIP lint when it does not.

The plugin watches every switch that is opened in a test, whoever opens it. `sip_lint` of the configuration says whose faults fail a test
(`off`, `ours`, `all`); one that plants faults names the rules: `@pytest.mark.sip_faults("ack-missing")`, and none for all.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sipcore.flight.page import draw_page
from sipcore.flight.record import FlightRecord
from sipcore.flight.text import draw_text
from sipcore.siplint import RULES, Finding, lint_flight
from sipcore.switch import WATCHERS
from sipcore.testing import report

if TYPE_CHECKING:
    from sipcore.switch import AsyncSwitch

PATIENCE_S = 4.0
"""For answers and ACKs: in a test both ends are on one machine."""
MAX_CALLS = 200
"""Of one switch; the last ones."""
_MAX_SHOWN = 10
_ASKING_S = 5.0
_WITNESS = pytest.StashKey["Witness"]()


class Witness:
    """Keeps the flight records of switches that close, and asks those that are open."""

    def __init__(self) -> None:
        self._open: list[tuple[AsyncSwitch, asyncio.AbstractEventLoop]] = []
        self._closed: list[FlightRecord] = []

    def switch_opened(self, switch: AsyncSwitch) -> None:
        """See `SwitchWatcher`."""
        self._open.append((switch, asyncio.get_running_loop()))

    async def switch_closes(self, switch: AsyncSwitch) -> None:
        """See `SwitchWatcher`."""
        self._open = [entry for entry in self._open if entry[0] is not switch]
        self._closed += await switch.calls.flights(MAX_CALLS)

    def flights(self) -> list[FlightRecord]:
        """Of every call so far; those of a switch whose event loop is this thread's are there when it has closed."""
        return [*self._closed, *(record for switch, loop in self._open for record in _ask(switch, loop))]


def _ask(switch: AsyncSwitch, loop: asyncio.AbstractEventLoop) -> Iterable[FlightRecord]:
    with contextlib.suppress(RuntimeError):
        if asyncio.get_running_loop() is loop:
            return ()
    if not loop.is_running():
        return ()
    asked = asyncio.run_coroutine_threadsafe(switch.calls.flights(MAX_CALLS), loop)
    try:
        return asked.result(_ASKING_S)
    except TimeoutError:
        asked.cancel()
        return ()


def watch(item: pytest.Item, folder: Callable[[], Path]) -> Witness:
    """Watch the switches of this test from now on, once; `folder` is asked where to save pages when it fails."""
    if (known := item.stash.get(_WITNESS, None)) is not None:
        return known
    witness = item.stash[_WITNESS] = Witness()
    WATCHERS.append(witness)
    item.addfinalizer(lambda: WATCHERS.remove(witness))
    report.on_failure(item, lambda: sections(witness.flights(), folder))
    return witness


def sections(flights: Iterable[FlightRecord], folder: Callable[[], Path]) -> list[tuple[str, report.Content]]:
    """For the report of a test that has failed: of each call a ladder, and the file of its page."""
    shown: list[tuple[str, report.Content]] = []
    place: Path | None = None
    for number, flight in enumerate(flights):
        if number == _MAX_SHOWN:
            shown.append(("SIP of more calls", "is not shown"))
            break
        path = (place := place or folder()) / f"call-{number + 1}.html"
        path.write_text(draw_page(flight), encoding="utf-8")
        findings = "\n".join(f"lint: {finding}" for finding in lint_flight(flight, patience_s=PATIENCE_S))
        shown.append((f"SIP of call {flight.call_id}", f"{draw_text(flight)}{findings}\npage: {path}"))
    return shown


def check(item: pytest.Item, blamed: str) -> None:
    """Fail a test that is watched for what SIP lint finds in its calls, beside what it plants; `blamed`: whose faults, `ours` or `all`."""
    witness = item.stash.get(_WITNESS, None)
    if witness is None:
        return
    planted = {rule for marker in item.iter_markers("sip_faults") for rule in marker.args or RULES}
    if unknown := sorted(planted - set(RULES)):
        pytest.fail(f"sip_faults names rules that are none: {', '.join(unknown)}; there are {', '.join(RULES)}", pytrace=False)
    found: list[tuple[FlightRecord, Finding]] = [
        (flight, finding)
        for flight in witness.flights()
        for finding in lint_flight(flight, patience_s=PATIENCE_S)
        if finding.rule not in planted and (finding.is_ours or blamed == "all")
    ]
    if not found:
        return
    flights = {flight.call_id: flight for flight, _ in found}
    told = "\n".join(f"  call {flight.call_id}: {finding}" for flight, finding in found)
    ladders = "\n".join(draw_text(flight) for flight in list(flights.values())[:_MAX_SHOWN])
    pytest.fail(f"SIP lint has found {len(found)} faults:\n{told}\n{ladders}", pytrace=False)
