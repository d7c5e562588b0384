"""One run of SIPp: what it is told, as its command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from sipcore.testing.ports import free_media_port, free_port

HOST: Final = "127.0.0.1"
_OWN_LIMIT_EXTRA_S: Final = 30
"""SIPp also ends by itself this long after our limit: even a test process that was killed leaves none behind for ever."""

Transport = Literal["udp", "tcp", "tls"]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of SIPp, as its command line says it."""

    scenario: Path
    """Its file, or the name that `text` gets."""
    calls: int = 1
    """Calls to wait for or to place; 0 expects that none comes."""
    timeout_s: float = 30.0
    """After this long SIPp is ended, whatever it does."""
    keys: Mapping[str, str | int] | None = None
    """`[name]` in the scenario."""
    rows: Sequence[Sequence[str | int]] = ()
    """One for each call: `[field0]`, `[field1]`, ... in the scenario."""
    variables: Mapping[str, str | int] | None = None
    """`[$name]` in the scenario, which declares it with `<Global variables="name"/>`."""
    csv: Path | None = None
    """A file of SIPp's to inject, instead of `rows`: SEQUENTIAL, RANDOM or USER in its first line, then a call in each."""
    pause_ms: int = 0
    """Length of each `<pause/>` of the scenario."""
    transport: Transport = "udp"
    """SIPp itself has no TLS: with `tls` it speaks TCP, to a `TlsTunnel`, and says TLS in its messages."""
    absorbs_retransmissions: bool = True
    """False: a repeated message is one more message of the scenario, and SIPp repeats nothing itself."""
    target: str = ""
    rate: float = 10.0
    """New calls a second, as a caller."""
    user: str = "sipp"
    """The user part of `uas.uri`, and of the request URI of a caller."""
    password: str = "password"  # noqa: S105 - of a test account
    from_user: str = "sipp"
    """Who a caller says it is, and the name of its account."""
    host: str = HOST
    """Where SIPp is bound."""
    port: int = 0
    """Its SIP port; 0: a free one."""
    text: str = ""
    """The scenario itself, when it is no file yet."""
    limit: int = 0
    """The most calls that a caller has up at once; 0: as many as the rate makes."""

    def arguments(self, log_dir: Path, port: int) -> list[str]:
        """The command line, without the program."""
        options: dict[str, object] = {
            "-sf": self.scenario,
            "-i": self.host,
            "-p": port,
            "-ci": HOST,
            "-cp": free_port(),
            "-mi": self.host,
            "-mp": free_media_port(self.host),
            "-t": "u1" if self.transport == "udp" else "t1",
            "-m": max(self.calls, 1),
            "-d": self.pause_ms,
            "-s": self.user,
            "-au": self.from_user if self.target else self.user,
            "-ap": self.password,
            "-timeout": f"{int(self.timeout_s) + _OWN_LIMIT_EXTRA_S}s",
            "-error_file": log_dir / "errors.log",
            "-message_file": log_dir / "messages.log",
            "-screen_file": log_dir / "screen.log",
            "-log_file": log_dir / "actions.log",
            "-stf": log_dir / "statistics.csv",
            "-fd": "1",
            "-rtt_freq": "1",
        }
        if self.target:
            options["-r"] = f"{self.rate:g}"
        if self.limit:
            options["-l"] = self.limit
        arguments = [str(part) for pair in options.items() for part in pair]
        arguments += ["-nostdin", "-bind_local", "-trace_err", "-trace_msg", "-trace_screen", "-trace_logs", "-trace_stat"]
        arguments += ["-trace_counts", "-trace_rtt"]
        known = {"wire": self.transport.upper(), "from_user": self.from_user}
        for name, value in (known | dict(self.keys or {})).items():
            arguments += ["-key", name, str(value)]
        for name, value in (self.variables or {}).items():
            arguments += ["-set", name, str(value)]
        if self.csv is not None:
            arguments += ["-inf", str(self.csv.absolute())]
        elif self.rows:
            arguments += ["-inf", str(_write_rows(log_dir, self.rows))]
        if not self.absorbs_retransmissions:
            arguments += ["-nr", "-default_behaviors", "all,-abortunexp"]  # a 100 between two of our own repetitions is no fault
        return [*([self.target] if self.target else []), *arguments]


def _write_rows(log_dir: Path, rows: Sequence[Sequence[str | int]]) -> Path:
    path = log_dir / "rows.csv"
    lines = ["SEQUENTIAL", *(";".join(str(cell) for cell in row) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
