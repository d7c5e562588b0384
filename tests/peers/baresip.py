"""Debian's baresip as an independent phone: it registers, calls and is called, plays a WAV and writes what it hears into one.

Steered over its control socket: commands and events are JSON in netstrings.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sipcore.testing.ports import free_port

from .programs import START_S, needs, running

EVENT_S = 10.0
RTP_PORTS = 100
WAV_HEADER_BYTES = 44
MODULES = ("/usr/lib/baresip/modules", "/usr/lib/*/baresip/modules")
_CONFIG = """\
poll_method epoll
sip_listen 127.0.0.1:{sip_port}
sip_cafile {ca_file}
{certificate}
call_local_timeout 60
call_max_calls 4
audio_path {folder}
audio_source aufile,{source}
audio_player aubridge,none
audio_alert aubridge,none
ausrc_channels 1
auplay_channels 1
audio_srate {rate_hz}
rtp_ports {rtp_first}-{rtp_last}
rtp_tos 184
rtcp_mux no
jitter_buffer_delay 1-5
rtp_stats yes
net_interface 127.0.0.1
module_path {modules}
{loaded}
module_app account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:{control_port}
snd_path {folder}
"""

Event = dict[str, Any]


@dataclass
class BaresipCall:
    """One of its calls; its events are kept apart from those of others."""

    phone: Baresip = field(repr=False)
    id: str
    """The Call-ID."""
    events: list[Event] = field(default_factory=list)
    """Every event so far."""

    def wait_for(self, kind: str, timeout_s: float = EVENT_S) -> Event:
        """The first event of this kind: `CALL_RINGING`, `CALL_ESTABLISHED`, `CALL_CLOSED`, ..."""
        return self.phone.wait_until(lambda: next((event for event in self.events if event["type"] == kind), None), kind, timeout_s)

    def wait_closed(self) -> str:
        """Until it is over; why, in baresip's words."""
        return str(self.wait_for("CALL_CLOSED")["param"])


@dataclass
class Baresip:
    """One phone with one account."""

    folder: Path
    port: int
    """Of UDP and TCP; TLS has the next one."""
    rate_hz: int
    control: socket.socket
    events: list[Event] = field(default_factory=list)
    """Those of no call."""
    calls: list[BaresipCall] = field(default_factory=list)
    _answers: dict[str, Event] = field(default_factory=dict)
    _taken: int = 0
    _buffer: bytes = b""

    @property
    def uri(self) -> str:
        return f"sip:phone@127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.folder / "baresip.log").read_text(errors="replace")

    def command(self, name: str, params: str = "") -> str:
        """Run one of baresip's commands (`accept`, `hangup`, `hold`, `sndcode` ...); its answer."""
        token = str(time.monotonic_ns())
        body = json.dumps({"command": name, "params": params, "token": token}).encode()
        self.control.sendall(b"%d:%s," % (len(body), body))
        answer = self.wait_until(lambda: self._answers.pop(token, None), f"answer to {name}")
        assert answer.get("ok"), answer
        return str(answer.get("data", ""))

    def dial(self, uri: str) -> BaresipCall:
        """Call somebody."""
        self.command("dial", uri)
        return self.next_call()

    def next_call(self) -> BaresipCall:
        """The next call that was not returned before; waits until it comes."""
        call = self.wait_until(lambda: self.calls[self._taken] if len(self.calls) > self._taken else None, "call")
        self._taken += 1
        return call

    def wait_registered(self) -> None:
        """Until its registrar took it; the event may have come before we listened."""
        self.wait_until(lambda: "binding]" in self.log or None, "registration", every_s=0.02)

    def wait_until(self, look: Callable[[], Any], what: str, timeout_s: float = EVENT_S, every_s: float = 0.5) -> Any:
        """What `look` finds, as soon as that is not `None`; what baresip says meanwhile is kept."""
        end_s = time.monotonic() + timeout_s
        while (found := look()) is None:
            assert time.monotonic() < end_s, f"no {what} within {timeout_s} s: {self.events} {self.calls} {self.log[-3000:]}"
            self._read(every_s)
        return found

    @property
    def recorded_bytes(self) -> int:
        """Of the last call, so far; 16-bit samples."""
        recordings = self._recordings()
        return recordings[-1].stat().st_size if recordings else 0

    @property
    def received_packets(self) -> int:
        """RTP packets of the last call; it must be over."""
        return int(re.findall(r"packets: +\d+ +(\d+)", self.log)[-1])

    def heard(self) -> Path:
        """What it decoded in the last call, a WAV; the call must be over. Waits until the file is closed."""
        return self.wait_until(
            lambda: next((path for path in self._recordings()[-1:] if _is_closed(path)), None), "recording", every_s=0.02
        )

    def _recordings(self) -> list[Path]:
        return sorted(self.folder.glob("dump-*-dec.wav"), key=lambda path: path.stat().st_mtime_ns)

    def _read(self, wait_s: float) -> None:
        """Sort what has arrived."""
        self.control.settimeout(wait_s)
        with contextlib.suppress(TimeoutError):
            data = self.control.recv(65536)
            assert data, f"it has gone: {self.log[-2000:]}"
            self._buffer += data
        while b":" in self._buffer:
            size, _, rest = self._buffer.partition(b":")
            if len(rest) <= int(size):
                return
            self._buffer = rest[int(size) + 1 :]
            self._sort(json.loads(rest[: int(size)]))

    def _sort(self, message: Event) -> None:
        if not message.get("event"):
            self._answers[message["token"]] = message
        elif not message.get("id"):
            self.events.append(message)
        else:
            call = next((call for call in self.calls if call.id == message["id"]), None)
            if call is None:
                call = BaresipCall(self, message["id"])
                self.calls.append(call)
            call.events.append(message)


@contextlib.contextmanager
def baresip(
    folder: Path,
    source: Path,
    account: str = "<sip:phone@127.0.0.1>;regint=0;answermode=auto",
    *,
    codecs: tuple[str, ...] = ("g711",),
    srtp: bool = False,
    ca_file: str = "",
    certificate_file: str = "",
    rate_hz: int = 8000,
) -> Iterator[Baresip]:
    """A phone until the end of the block.

    Args:
        folder: Its own.
        source: The WAV it plays in a call, 16-bit mono at `rate_hz`.
        account: A line of its `accounts` file: `<sip:bob@127.0.0.1:5060>;auth_pass=...;answermode=auto`.
        codecs: Its codec modules: g711, g722, gsm.
        srtp: Loads the module; the account says `mediaenc=srtp-mand`.
        ca_file: Who signs the certificates it trusts (TLS).
        certificate_file: Its own, with the key; without one it has no TLS server.
        rate_hz: At which it plays and records.
    """
    program = needs("baresip", "baresip-core")
    folder.mkdir(parents=True, exist_ok=True)
    sip_port, control_port, rtp = free_port(in_a_row=2), free_port(), free_port() // 2 * 2
    modules = [*codecs, "aufile", "aubridge", "sndfile", *(["srtp"] if srtp else [])]
    config = _CONFIG.format(
        sip_port=sip_port,
        control_port=control_port,
        rtp_first=rtp,
        rtp_last=rtp + RTP_PORTS,
        folder=folder,
        source=source,
        rate_hz=rate_hz,
        ca_file=ca_file,
        certificate=f"sip_certificate {certificate_file}" if certificate_file else "",
        modules=_module_folder(),
        loaded="\n".join(f"module {name}.so" for name in modules),
    )
    (folder / "config").write_text(config)
    (folder / "accounts").write_text(account + "\n")
    (folder / "contacts").write_text("")
    log = folder / "baresip.log"
    with running([program, "-f", str(folder), "-s"], log, folder) as process, contextlib.ExitStack() as stack:
        end_s = time.monotonic() + START_S
        while True:
            assert process.poll() is None, f"it ended with {process.returncode}: {log.read_text(errors='replace')[-3000:]}"
            assert time.monotonic() < end_s, log.read_text(errors="replace")[-3000:]
            with contextlib.suppress(ConnectionRefusedError):
                control = stack.enter_context(socket.create_connection(("127.0.0.1", control_port), 1))
                break
            time.sleep(0.02)
        yield Baresip(folder, sip_port, rate_hz, control)


def _is_closed(recording: Path) -> bool:
    """Its header has the size only when it is complete."""
    content = recording.read_bytes()
    return len(content) > WAV_HEADER_BYTES and int.from_bytes(content[4:8], "little") == len(content) - 8


def _module_folder() -> Path:
    for pattern in MODULES:
        if found := next(Path("/").glob(pattern.removeprefix("/")), None):
            return found
    raise FileNotFoundError("baresip has no modules: apt-get install baresip-core")
