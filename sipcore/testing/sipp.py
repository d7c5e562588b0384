"""Runs scenarios of SIPp (Debian package sip-tester) as far ends: on free ports, with a time limit, with logs when something failed.

    sipp = Sipp("tests/sip/scenarios")
    with sipp.uas("uas-200-expect-bye.xml") as uas:       # SIPp waits for calls at uas.uri
        ...
        result = uas.wait(timeout_s=10)
    assert result.failed == 0
    assert sipp.uac("uac-invite-expect-404.xml", target="127.0.0.1:5060").failed == 0

A SIPp never outlives its `with` block: it is ended by its process id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from sipcore.testing.sipp_process import RTP_KEY, SippError, SippMissing, SippProcess
from sipcore.testing.sipp_result import RtpCounts, SippResult
from sipcore.testing.sipp_run import Run, Transport

if TYPE_CHECKING:
    from sipcore.testing.scenarios import Scenario

__all__ = ["RtpCounts", "Sipp", "SippError", "SippMissing", "SippProcess", "SippResult"]


class RunOptions(TypedDict, total=False):
    """What every run can be told; see `Run` for each."""

    calls: int
    timeout_s: float
    keys: Mapping[str, str | int] | None
    variables: Mapping[str, str | int] | None
    rows: Sequence[Sequence[str | int]]
    csv: str | Path | None
    pause_ms: int
    transport: Transport
    absorbs_retransmissions: bool
    user: str
    password: str
    host: str
    port: int


class CallerOptions(RunOptions, total=False):
    """And what one that calls can be told."""

    rate: float
    limit: int
    from_user: str


class Sipp:
    """Runs scenarios: files of these folders, those of the library (`sipcore scenario list`), and `Scenario`s of your own.

    A file in the folders goes before one of the library with its name. `keys` are the variables of a library's scenario, too.

    Args:
        scenarios: The folder, or several; the first that has a scenario of the name is taken.
        log_root: Where the logs of what failed are kept; the system's temporary folder by default.
        keeps_logs: Whether those of what went well are kept as well.

    Attributes:
        runs: Every SIPp that was started, in order.
    """

    def __init__(self, scenarios: str | Path | Sequence[str | Path], log_root: Path | None = None, *, keeps_logs: bool = False) -> None:
        self._folders = [Path(scenarios)] if isinstance(scenarios, str | Path) else [Path(folder) for folder in scenarios]
        self._log_root = log_root
        self._keeps_logs = keeps_logs
        self.runs: list[SippProcess] = []

    def uas(self, scenario: str | Path | Scenario, **options: Unpack[RunOptions]) -> SippProcess:
        """A SIPp that waits for calls; use it with `with`. See `Run` for the options.

        Raises:
            SippMissing: there is no SIPp here.
            SippError: it cannot run the scenario.
        """
        return self._started(scenario, "", options)

    def uac(self, scenario: str | Path | Scenario, *, target: str, **options: Unpack[CallerOptions]) -> SippResult:
        """Place `calls` calls to `target` (`host:port`), `rate` a second, at most `limit` at once, and wait for their end. See `Run`.

        Raises:
            SippMissing: there is no SIPp here.
            SippError: it cannot run the scenario.
        """
        with self.calling(scenario, target=target, **options) as process:
            return process.wait()

    def calling(self, scenario: str | Path | Scenario, *, target: str, **options: Unpack[CallerOptions]) -> SippProcess:
        """As `uac`, but calls while the test goes on; use it with `with`.

        Raises:
            SippMissing: there is no SIPp here.
            SippError: it cannot run the scenario.
        """
        if not target:
            raise SippError(f"{scenario}: a caller needs a target, host:port")
        return self._started(scenario, target, options)

    def close(self) -> None:
        """End every SIPp that still runs."""
        for process in self.runs:
            process.end()

    def _started(self, scenario: str | Path | Scenario, target: str, options: CallerOptions | RunOptions) -> SippProcess:
        csv = options.get("csv")
        given = {**options, "csv": None if csv is None else Path(csv)}
        if isinstance(scenario, str | Path) and (path := self._path(str(scenario))) is not None:
            run = Run(path, target=target, **given)  # type: ignore[arg-type]
        else:
            run = self._described(scenario, target, given)
        _check(run)
        process = SippProcess(run, self._log_root, keeps_logs=self._keeps_logs)
        self.runs.append(process)
        return process

    def _path(self, scenario: str) -> Path | None:
        """The file; `None` when there is none."""
        return next((path for folder in self._folders if (path := (folder / scenario).absolute()).is_file()), None)

    def _described(self, scenario: str | Path | Scenario, target: str, options: dict[str, Any]) -> Run:
        """The run of a scenario that is made from its description."""
        from sipcore.testing.scenarios import LIBRARY, PlayDigits, PlayFile, make_xml  # only who uses them waits for them

        if isinstance(scenario, str | Path):
            name = str(scenario).removesuffix(".xml")
            if name not in LIBRARY:
                raise SippError(self._unknown(str(scenario), LIBRARY))
            scenario = LIBRARY[name]
        keys = dict(options.pop("keys", None) or {})
        values = {key: keys.pop(key) for key in tuple(keys) if key in scenario.used}
        if RTP_KEY in scenario.used and not any(isinstance(step, PlayFile | PlayDigits) for step in scenario.steps):
            values.setdefault(RTP_KEY, f"[{RTP_KEY}]")  # so that somebody listens; SIPp plays from a port of its own
        if options.get("pause_ms") and "pause_ms" in scenario.used:
            values.setdefault("pause_ms", options["pause_ms"])
        return Run(Path(f"{scenario.name}.xml"), target=target, keys=keys, text=make_xml(scenario, values), **options)

    def _unknown(self, scenario: str, library: Iterable[str]) -> str:
        known = {name: name for name in library} | {path.stem: path.name for folder in self._folders for path in folder.glob("*.xml")}
        close = [known[name] for name in get_close_matches(scenario.removesuffix(".xml"), sorted(known), n=1)]
        places = " or ".join(str(folder) for folder in self._folders)
        return f"no scenario {scenario} in {places}, nor in the library" + (f"; did you mean {close[0]}?" if close else "")


def _check(run: Run) -> None:
    name = run.scenario.name
    if run.calls < 0 or (run.target and not run.calls):
        raise SippError(f"{name}: calls is {run.calls}: a caller places at least one, and who waits for none says 0")
    if run.rate <= 0 or run.limit < 0 or run.timeout_s <= 0:
        raise SippError(f"{name}: rate ({run.rate:g}) and timeout_s ({run.timeout_s:g}) must be above 0, limit ({run.limit}) not below")
    if run.csv is not None and not run.csv.is_file():
        raise SippError(f"{name}: there is no file {run.csv} to inject")
    if run.csv is not None and run.rows:
        raise SippError(f"{name}: either csv or rows")
