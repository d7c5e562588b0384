"""One SIPp: started, watched, ended by its process id; its logs stay when something failed."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, TypeVar

from sipcore.testing.ports import free_port, is_bound_by
from sipcore.testing.sipp_messages import SippMessage
from sipcore.testing.sipp_result import Logs, RtpCounts, SippResult
from sipcore.testing.sipp_run import Run

if TYPE_CHECKING:
    from sipcore.testing.rtp_sink import RtpSink

RTP_KEY: Final = "rtp_port"
"""The key that the driver gives a value by itself: the port of an `RtpSink`."""
_START_TIMEOUT_S: Final = 10.0
_START_TRIES: Final = 5
_SOFT_END_S: Final = 0.5
_HARD_END_S: Final = 2.0
_POLL_S: Final = 0.01
_BIND_FAILED: Final = 254  # SIPp's exit code -2
_BIND_WORDS: Final = "Unable to bind"

Found = TypeVar("Found")


class SippError(RuntimeError):
    """SIPp could not run the scenario at all; the message has what it printed."""


class SippMissing(SippError):
    """SIPp is not installed."""

    def __init__(self) -> None:
        super().__init__("sipp is not installed or not on PATH: install Debian's package sip-tester (apt-get install sip-tester)")


class SippProcess:
    """A SIPp that runs; a context manager that ends it.

    Attributes:
        port: Its SIP port.
        rtp: What listens at the scenario's `[rtp_port]`, when the test named no other port.
    """

    def __init__(self, run: Run, log_root: Path | None = None, *, keeps_logs: bool = False) -> None:
        """Start it, and wait until its port is open. Its logs get a folder in `log_root`, the system's temporary folder by default.

        With `keeps_logs` those of a run that went well stay too.

        Raises:
            SippMissing: there is no SIPp here.
            SippError: it cannot run the scenario.
        """
        self._result: SippResult | None = None
        self._keeps_logs = keeps_logs
        self._hung_at = ""
        self.port = 0
        self.rtp: RtpSink | None = None
        program = shutil.which("sipp")
        if program is None:
            raise SippMissing
        self._deadline_s = time.monotonic() + run.timeout_s
        folder = _new_folder(run.scenario, log_root)
        if run.text:
            run = replace(run, scenario=folder / run.scenario.name)
            run.scenario.write_text(run.text, encoding="utf-8")
        self._logs = Logs(folder, run.scenario)
        try:
            self._run = self._with_rtp(run)
            for _ in range(_START_TRIES):
                if self._start(program):
                    return
                if run.port:
                    raise SippError(f"{run.scenario.name}: port {run.port} of {run.host} is taken: {self._logs.said()}")
            raise SippError(f"{run.scenario.name}: no port could be bound: {self._logs.said()}")
        except BaseException:
            self._close_rtp()
            shutil.rmtree(self._logs.folder, ignore_errors=True)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        try:
            result = self.stop()
        except SippError as failure:
            if error is None:
                raise
            error.add_note(str(failure))
            return
        if error is not None and result.log_dir is None:
            error.add_note(f"SIPp's logs of {self.name} are in {self.log_dir}")
        elif error is not None:
            error.add_note(f"SIPp failed {self.name}: {_summary(result)}")
        elif result.log_dir is None and not self._keeps_logs:
            shutil.rmtree(self.log_dir, ignore_errors=True)

    @property
    def name(self) -> str:
        """The file name of the scenario."""
        return self._run.scenario.name

    @property
    def transport(self) -> str:
        """`udp`, `tcp` or `tls`."""
        return self._run.transport

    @property
    def log_dir(self) -> Path:
        """The folder of its logs."""
        return self._logs.folder

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
    def settings(self) -> dict[str, str]:
        """Of a switch that has this SIPp as its trunk."""
        return {"trunk": self.trunk}

    @property
    def uri(self) -> str:
        """To be called: `sip:user@host:port`."""
        return self.trunk.replace("sip:", f"sip:{self._run.user}@", 1)

    @property
    def target(self) -> str:
        """Whom it calls, `host:port`; empty when it waits for calls."""
        return self._run.target

    @property
    def messages(self) -> tuple[SippMessage, ...]:
        """What was sent and received until now."""
        return self._logs.messages()

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
                raise TimeoutError(f"{self.name}: no {what} within {timeout_s:g} s")
            time.sleep(_POLL_S)
        return found

    def wait(self, timeout_s: float | None = None) -> SippResult:
        """Wait for all the calls of the run, and end.

        Raises:
            SippError: it could not even begin.
        """
        limit_s = self._deadline_s - time.monotonic()
        try:
            self._process.wait(max(0.0, limit_s if timeout_s is None else min(timeout_s, limit_s)))
        except subprocess.TimeoutExpired:
            self._end()
            self._hung_at = self._logs.hung_at()
        return self.stop()

    def stop(self) -> SippResult:
        """End it now, if it has not ended by itself. Idempotent.

        Raises:
            SippError: it could not even begin.
        """
        if self._result is None:
            has_ended = self._process.poll() is not None and not self._hung_at
            self._end()
            self._close_rtp()
            if has_ended and self._run.target and self._process.returncode and not self._logs.counters()["created"]:
                said = self._logs.said()
                shutil.rmtree(self.log_dir, ignore_errors=True)
                self._result = SippResult(0, self._run.calls, self._process.returncode, (), said, None, self.name)
                raise SippError(f"{self.name}: SIPp ended with {self._process.returncode} before its first call: {said}")
            self._result = self._read_result()
        return self._result

    def end(self) -> None:
        """As `stop`, and what it could not do is no matter any more."""
        with contextlib.suppress(SippError):
            self.stop()

    # ------------------------------------------------------------------------------------------------- private

    def _with_rtp(self, run: Run) -> Run:
        """Open a sink for a scenario that names `[rtp_port]`, which nobody has given."""
        if RTP_KEY in (run.keys or {}) or f"[{RTP_KEY}]" not in run.scenario.read_text(encoding="utf-8", errors="replace"):
            return run
        from sipcore.testing.rtp_sink import RtpSink  # with numpy, which a scenario without audio does not need

        self.rtp = RtpSink(host=run.host)
        return replace(run, keys={**(run.keys or {}), RTP_KEY: self.rtp.port})

    def _close_rtp(self) -> None:
        if self.rtp is not None:
            self.rtp.close()

    def _start(self, program: str) -> bool:
        """False when the port is somebody else's."""
        run, self.port = self._run, self._run.port or free_port(self._run.host)
        with (self.log_dir / "output.log").open("wb") as output:
            self._process = subprocess.Popen(
                [program, *run.arguments(self.log_dir, self.port)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.log_dir,
                env={**os.environ, "TERM": "dumb"},
                start_new_session=True,
            )
        end_s = time.monotonic() + _START_TIMEOUT_S
        try:
            while self._process.poll() is None:
                if self._has_port():
                    return True
                if time.monotonic() > end_s:
                    raise SippError(f"{run.scenario.name}: SIPp did not open its port: {self._logs.said()}")
                time.sleep(_POLL_S)
        except BaseException:
            self._kill()
            raise
        said = self._logs.said()
        if self._process.returncode == _BIND_FAILED or _BIND_WORDS in said:
            return False
        if run.target and self._logs.counters()["created"]:
            return True  # it was quicker than we could look
        raise SippError(f"{run.scenario.name}: SIPp ended at once with {self._process.returncode}: {said}")

    def _has_port(self) -> bool:
        is_udp = self._run.transport == "udp"
        if self._run.target and not is_udp:
            return True  # a caller over TCP listens nowhere
        with contextlib.suppress(FileNotFoundError):  # it has just ended
            return is_bound_by(self._process.pid, self.port, "udp" if is_udp else "tcp")
        return False

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
        counters, expected = self._logs.counters(), self._run.calls
        successful, unsuccessful = counters["successful"], counters["failed"] + counters["current"]
        failed = max(unsuccessful, expected - successful) if expected else successful + unsuccessful
        rtp = None if self.rtp is None else RtpCounts(len(self.rtp.packets), self.rtp.lost, self.rtp.max_gap_ms)
        return SippResult(
            successful=successful,
            failed=failed,
            exit_code=self._process.returncode,
            messages=self.messages,
            errors=self._logs.text("errors.log"),
            log_dir=self.log_dir if failed else None,
            scenario=self.name,
            calls=counters["created"],
            unexpected=counters["unexpected"],
            retransmissions=counters["retransmissions"],
            hung_at=self._hung_at if failed else "",
            response_times_ms=self._logs.response_times_ms(),
            rtp=rtp,
        )


def _new_folder(scenario: Path, log_root: Path | None) -> Path:
    try:
        if log_root is not None:
            log_root.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f"sipp-{scenario.stem}-", dir=log_root))
    except OSError as error:
        raise SippError(f"SIPp's logs cannot be written to {log_root or tempfile.gettempdir()}: {error.strerror or error}") from None


def _summary(result: SippResult) -> str:
    hung = f", {result.hung_at}" if result.hung_at else ""
    head = f"{result.failed} calls failed, exit code {result.exit_code}{hung}, logs in {result.log_dir}"
    return "\n".join([head, *result.last_errors()])
