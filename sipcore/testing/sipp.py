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

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

from sipcore.testing.ports import free_port, is_bound_by
from sipcore.testing.sipp_messages import SippMessage, parse_messages
from sipcore.testing.sipp_run import HOST, Run, Transport

_START_TIMEOUT_S: Final = 10.0
_START_TRIES: Final = 5
_SOFT_END_S: Final = 0.5
_HARD_END_S: Final = 2.0
_POLL_S: Final = 0.01
_BIND_FAILED: Final = 254  # SIPp's exit code -2

Found = TypeVar("Found")


class SippError(RuntimeError):
    """SIPp could not run the scenario at all; the message has what it printed."""


class SippMissing(SippError):
    """SIPp is not installed."""

    def __init__(self) -> None:
        super().__init__("sipp is not installed or not on PATH: install Debian's package sip-tester (apt-get install sip-tester)")


@dataclass(frozen=True, slots=True)
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
    """Where SIPp's logs are kept; `None` when nothing failed, then they are gone."""

    def received(self, method: str) -> list[SippMessage]:
        """Requests of this method that SIPp got."""
        return [message for message in self.messages if message.is_received and message.is_request and message.method == method]


class SippProcess:
    """A SIPp that runs; a context manager that ends it.

    Attributes:
        port: Its SIP port.
    """

    def __init__(self, run: Run, log_root: Path | None = None) -> None:
        """Start it, and wait until its port is open. Its logs get a folder in `log_root`, the system's temporary folder by default.

        Raises:
            SippMissing: there is no SIPp here.
            SippError: it cannot run the scenario.
        """
        self._run = run
        self._result: SippResult | None = None
        self.port = 0
        program = shutil.which("sipp")
        if program is None:
            raise SippMissing
        self._deadline_s = time.monotonic() + run.timeout_s
        self._log_dir = Path(tempfile.mkdtemp(prefix=f"sipp-{run.scenario.stem}-", dir=log_root))
        try:
            for _ in range(_START_TRIES):
                if self._start(program):
                    return
            raise SippError(f"{run.scenario.name}: no port could be bound: {self._said()}")
        except BaseException:
            shutil.rmtree(self._log_dir, ignore_errors=True)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        result = self.stop()
        if error is not None and result.log_dir is None:
            error.add_note(f"SIPp's logs of {self._run.scenario.name} are in {self._log_dir}")
        elif error is not None:
            error.add_note(f"SIPp failed {self._run.scenario.name}: {_summary(result)}")
        elif result.log_dir is None:
            shutil.rmtree(self._log_dir, ignore_errors=True)

    @property
    def pid(self) -> int:
        """Of SIPp, which is the head of its own session and group."""
        return self._process.pid

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"{self._run.host}:{self.port}"

    @property
    def trunk(self) -> str:
        """As `trunk` of a switch: `sip:host:port`, with `;transport=tcp`."""
        return f"sip:{self.address}" + (";transport=tcp" if self._run.transport == "tcp" else "")

    @property
    def uri(self) -> str:
        """To be called: `sip:user@host:port`."""
        return self.trunk.replace("sip:", f"sip:{self._run.user}@", 1)

    @property
    def messages(self) -> tuple[SippMessage, ...]:
        """What was sent and received until now."""
        return parse_messages(_text_of(self._log_dir / "messages.log"))

    def wait_for(self, method: str, timeout_s: float = 10.0, *, is_received: bool = True, status: int = 0) -> SippMessage:
        """The first request of this method that came; with a status, the first such response to it.

        Raises:
            TimeoutError: none came in time.
        """
        wanted = (is_received, method, status)

        def matching(messages: Sequence[SippMessage]) -> SippMessage | None:
            return next((m for m in messages if (m.is_received, m.method, m.status) == wanted), None)

        return self.wait_until(matching, f"{status or ''} {method}".strip(), timeout_s)

    def wait_until(self, look: Callable[[Sequence[SippMessage]], Found | None], what: str, timeout_s: float = 10.0) -> Found:
        """What `look` finds in the messages so far, as soon as it finds something true.

        Raises:
            TimeoutError: it never did; names `what`.
        """
        end_s = time.monotonic() + timeout_s
        while not (found := look(self.messages)):
            if time.monotonic() > end_s:
                raise TimeoutError(f"{self._run.scenario.name}: no {what} within {timeout_s:g} s")
            time.sleep(_POLL_S)
        return found

    def wait(self, timeout_s: float | None = None) -> SippResult:
        """Wait for all the calls of the run, and end."""
        limit_s = self._deadline_s - time.monotonic()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, limit_s if timeout_s is None else min(timeout_s, limit_s)))
        return self.stop()

    def stop(self) -> SippResult:
        """End it now, if it has not ended by itself. Idempotent."""
        if self._result is None:
            self._end()
            self._result = self._read_result()
        return self._result

    # ------------------------------------------------------------------------------------------------- private

    def _start(self, program: str) -> bool:
        run, self.port = self._run, free_port()
        with (self._log_dir / "output.log").open("wb") as output:
            self._process = subprocess.Popen(
                [program, *run.arguments(self._log_dir, self.port)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._log_dir,
                env={**os.environ, "TERM": "dumb"},
                start_new_session=True,
            )
        end_s = time.monotonic() + _START_TIMEOUT_S
        try:
            while self._process.poll() is None:
                with contextlib.suppress(FileNotFoundError):  # it has just ended
                    if run.target or is_bound_by(self._process.pid, self.port, "udp" if run.transport == "udp" else "tcp"):
                        return True
                if time.monotonic() > end_s:
                    raise SippError(f"{run.scenario.name}: SIPp did not open its port: {self._said()}")
                time.sleep(_POLL_S)
        except BaseException:
            self._kill()
            raise
        if self._process.returncode == _BIND_FAILED:
            return False
        raise SippError(f"{run.scenario.name}: SIPp ended at once with {self._process.returncode}: {self._said()}")

    def _end(self) -> None:
        """First SIGUSR1 lets SIPp finish, the second aborts its calls, then it is killed."""
        for patience_s in (0.05, _SOFT_END_S):
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGUSR1)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(patience_s)
        self._kill()

    def _kill(self) -> None:
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(_HARD_END_S)

    def _read_result(self) -> SippResult:
        successful, unsuccessful = _counts(self._log_dir / "statistics.csv")
        expected = self._run.calls
        failed = max(unsuccessful, expected - successful) if expected else successful + unsuccessful
        exit_code = self._process.returncode
        return SippResult(
            successful=successful,
            failed=failed,
            exit_code=exit_code,
            messages=self.messages,
            errors=_text_of(self._log_dir / "errors.log"),
            log_dir=self._log_dir if failed else None,
        )

    def _said(self) -> str:
        return (_text_of(self._log_dir / "errors.log") + _text_of(self._log_dir / "output.log")).strip()[-2000:]


class Sipp:
    """Runs the scenarios of one folder.

    Args:
        scenarios: The folder.
        log_root: Where the logs of what failed are kept; the system's temporary folder by default.
    """

    def __init__(self, scenarios: str | Path, log_root: Path | None = None) -> None:
        self._scenarios = Path(scenarios)
        self._log_root = log_root

    def uas(
        self,
        scenario: str,
        *,
        calls: int = 1,
        timeout_s: float = 30.0,
        keys: Mapping[str, str | int] | None = None,
        rows: Sequence[Sequence[str | int]] = (),
        pause_ms: int = 0,
        transport: Transport = "udp",
        absorbs_retransmissions: bool = True,
        user: str = "sipp",
        password: str = "password",  # noqa: S107 - of a test account
    ) -> SippProcess:
        """A SIPp that waits for calls; use it with `with`. See `Run` for the arguments.

        Raises:
            SippMissing: there is no SIPp here.
            SippError: it cannot run the scenario.
        """
        path = self._path(scenario)
        return SippProcess(
            Run(path, calls, timeout_s, keys, rows, pause_ms, transport, absorbs_retransmissions, user=user, password=password),
            self._log_root,
        )

    def uac(
        self,
        scenario: str,
        *,
        target: str,
        calls: int = 1,
        rate: float = 10.0,
        timeout_s: float = 30.0,
        keys: Mapping[str, str | int] | None = None,
        rows: Sequence[Sequence[str | int]] = (),
        pause_ms: int = 0,
        transport: Transport = "udp",
        user: str = "sipp",
        password: str = "password",  # noqa: S107 - of a test account
    ) -> SippResult:
        """Place `calls` calls to `target` (`host:port`), `rate` a second, and wait for their end. See `Run` for the arguments.

        Raises:
            SippMissing: there is no SIPp here.
            SippError: it cannot run the scenario.
        """
        path = self._path(scenario)
        run = Run(path, calls, timeout_s, keys, rows, pause_ms, transport, target=target, rate=rate, user=user, password=password)
        with SippProcess(run, self._log_root) as process:
            return process.wait()

    def calling(
        self,
        scenario: str,
        *,
        target: str,
        timeout_s: float = 30.0,
        keys: Mapping[str, str | int] | None = None,
        pause_ms: int = 0,
        transport: Transport = "udp",
        absorbs_retransmissions: bool = True,
        user: str = "sipp",
        from_user: str = "sipp",
        password: str = "password",  # noqa: S107 - of a test account
        host: str = HOST,
    ) -> SippProcess:
        """A SIPp that calls `target` (`host:port`) once, now; use it with `with`. See `Run` for the arguments.

        Raises:
            SippMissing: there is no SIPp here.
            SippError: it cannot run the scenario.
        """
        run = Run(
            self._path(scenario),
            timeout_s=timeout_s,
            keys=keys,
            pause_ms=pause_ms,
            transport=transport,
            absorbs_retransmissions=absorbs_retransmissions,
            target=target,
            user=user,
            password=password,
            from_user=from_user,
            host=host,
        )
        return SippProcess(run, self._log_root)

    def _path(self, scenario: str) -> Path:
        path = (self._scenarios / scenario).absolute()
        if not path.is_file():
            raise SippError(f"no scenario {scenario} in {self._scenarios}")
        return path


def _counts(statistics: Path) -> tuple[int, int]:
    """Calls that succeeded, and calls that failed or were cut off, from the last line of SIPp's statistics."""
    lines = [line.split(";") for line in _text_of(statistics).splitlines() if line]
    if len(lines) < 2 or len(lines[-1]) < len(lines[0]):
        lines = lines[:-1] if len(lines) > 2 else []
    if not lines:
        return 0, 0
    last = dict(zip(lines[0], lines[-1], strict=False))
    return int(last["SuccessfulCall(C)"]), int(last["FailedCall(C)"]) + int(last["CurrentCall"])


def _text_of(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""


def _summary(result: SippResult) -> str:
    last_error = result.errors.strip().splitlines()[-8:]
    return f"{result.failed} calls failed, exit code {result.exit_code}, logs in {result.log_dir}\n" + "\n".join(last_error)
