"""How a scenario went, read from the files that SIPp leaves."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from sipcore.testing.sipp_messages import SippMessage, parse_messages

_LAST_ERRORS: Final = 8
_STEPS: Final = frozenset({"send", "recv", "pause", "nop", "sendCmd", "recvCmd", "timewait"})
"""What SIPp numbers in a scenario; labels and declarations have no number."""
_COUNTED: Final = re.compile(r"(\d+)_(.+)_(Sent|Recv)")
_STAMP: Final = re.compile(r"^\d{4}-\d\d-\d\d\t[0-9:.]+\t[0-9.]+: ")
_COUNTERS: Final = {
    "created": "TotalCallCreated",
    "successful": "SuccessfulCall(C)",
    "failed": "FailedCall(C)",
    "current": "CurrentCall",
    "unexpected": "FailedUnexpectedMessage(C)",
    "retransmissions": "Retransmissions(C)",
}


@dataclass(frozen=True, slots=True)
class RtpCounts:
    """What an `RtpSink` heard beside a scenario, of all its calls together."""

    packets: int
    lost: int
    """Sequence numbers that never came, per stream."""
    max_gap_ms: float
    """Longest time between two packets."""


@dataclass(frozen=True, slots=True, repr=False)
class SippResult:
    """How a scenario went."""

    successful: int
    """Calls that followed the scenario to its end."""
    failed: int
    """Calls that were asked for and did not, those that never came included; with `calls=0` every call that did come."""
    exit_code: int
    """SIPp's own; negative for the signal that ended it, as in `subprocess`."""
    messages: tuple[SippMessage, ...]
    errors: str
    """SIPp's error log: what came instead of what was expected."""
    log_dir: Path | None
    """Where SIPp's logs are kept; `None` when nothing failed, then they are gone at the end of the run or of the test."""
    scenario: str = ""
    calls: int = 0
    """Calls that were begun."""
    unexpected: int = 0
    """Calls that failed because of a message that the scenario does not expect."""
    retransmissions: int = 0
    hung_at: str = ""
    """When the time limit ended it: the step of the scenario that its calls waited at."""
    response_times_ms: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """By the name of the scenario's timer (`start_rtd`, `rtd`), one for each call."""
    rtp: RtpCounts | None = None
    """What was heard at the `[rtp_port]` that the driver opened; `None` when the test gave one of its own."""

    def received(self, method: str) -> list[SippMessage]:
        """Requests of this method that SIPp got."""
        return [message for message in self.messages if message.is_received and message.is_request and message.method == method]

    def __repr__(self) -> str:
        parts = [f"{self.scenario}: {self.successful} calls successful, {self.failed} failed, exit code {self.exit_code}"]
        if self.hung_at:
            parts.append(f"the time limit ended it: {self.hung_at}")
        if self.log_dir is not None:
            parts.append(f"logs in {self.log_dir}")
        return "\n".join(["<SIPp " + ", ".join(parts), *self.last_errors()]) + ">"

    def last_errors(self) -> list[str]:
        """The last entries of SIPp's error log, of each its first line."""
        return [_STAMP.sub("", line) for line in self.errors.splitlines() if _STAMP.match(line)][-_LAST_ERRORS:]


@dataclass(frozen=True, slots=True)
class Logs:
    """The folder of one run."""

    folder: Path
    scenario: Path

    def text(self, name: str) -> str:
        """A file of it, empty when there is none."""
        try:
            return (self.folder / name).read_bytes().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def said(self) -> str:
        """What SIPp printed and complained of, the last of it."""
        lines = (self.text("errors.log").strip() or self.text("output.log")).splitlines()  # the output is mostly its screens
        return "\n".join(dict.fromkeys(_STAMP.sub("", line) for line in lines)).strip()[-2000:]

    def messages(self) -> tuple[SippMessage, ...]:
        """What was sent and received by now."""
        return parse_messages(self.text("messages.log"))

    def counters(self) -> dict[str, int]:
        """The last line of SIPp's statistics; all 0 when there is none."""
        rows = list(csv.reader(self.text("statistics.csv").splitlines(), delimiter=";"))
        whole = [row for row in rows[1:] if len(row) >= len(rows[0])]  # the last one may be half written
        last = dict(zip(rows[0], whole[-1], strict=False)) if whole else {}
        return {name: int(last.get(column, 0)) for name, column in _COUNTERS.items()}

    def response_times_ms(self) -> dict[str, tuple[float, ...]]:
        """Of each timer, from `-trace_rtt`: rows of date, milliseconds, name."""
        found: dict[str, list[float]] = {}
        for path in sorted(self.folder.glob("*_rtt.csv")):
            for row in csv.reader(path.read_text(encoding="utf-8", errors="replace").splitlines()[1:], delimiter=";"):
                if len(row) >= 3:
                    found.setdefault(row[2], []).append(float(row[1]))
        return {name: tuple(times) for name, times in found.items()}

    def hung_at(self) -> str:
        """Where the calls that are not over wait, by the counters of `-trace_counts`."""
        counts = self._step_counts()
        optional = _optional_steps(self.scenario)
        before = None
        for step, (words, count) in counts.items():
            if step in optional:
                continue
            if before is not None and count < before:
                return f"{before - count} of {before} calls wait at step {step + 1} of the scenario, {words}"
            if before is None and not count:
                return f"no call came to step {step + 1} of the scenario, {words}"
            before = count
        return "its calls wait in a pause, or it waits for more calls" if counts else "SIPp has written no counters"

    def _step_counts(self) -> dict[int, tuple[str, int]]:
        """By step: what it does, and how many messages did it."""
        path = next(iter(self.folder.glob("*_counts.csv")), None)
        rows = [] if path is None else list(csv.reader(path.read_text(encoding="utf-8", errors="replace").splitlines(), delimiter=";"))
        whole = [row for row in rows[1:] if len(row) >= len(rows[0])]
        if not whole:
            return {}
        found: dict[int, tuple[str, int]] = {}
        for name, value in zip(rows[0], whole[-1], strict=False):
            if (counted := _COUNTED.fullmatch(name)) is not None:
                found[int(counted[1])] = (f"{'send' if counted[3] == 'Sent' else 'receive'} {counted[2]}", int(value))
        return found


def _optional_steps(scenario: Path) -> set[int]:
    try:
        root = ET.parse(scenario).getroot()  # noqa: S314 - the scenario of the test itself
    except (OSError, ET.ParseError):
        return set()
    steps: Sequence[ET.Element] = [element for element in root if element.tag in _STEPS]
    return {number for number, element in enumerate(steps) if element.get("optional", "false") != "false"}
