"""SIPp as a caller from outside, over UDP, TCP and TLS, and what every message that it gets must keep to itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

from sipcore import CallRecord, Switch
from sipcore.testing.certificates import Certificates
from sipcore.testing.sipp import Sipp, SippProcess, SippResult
from sipcore.testing.sipp_messages import SippMessage
from sipcore.testing.tls_tunnel import TlsTunnel

DEFAULT_KEYS: dict[str, str | int] = {
    "rtp_port": 9,
    "more": "X-Test: yes",
    "max_forwards": 70,
    "media_at": "IP4 127.0.0.1",
    "codecs": 0,
    "direction": "sendrecv",
}
_NAMING_US = ("Via", "Contact", "Record-Route", "Route", "Refer-To", "Reply-To", "Warning")
_LOOPBACK_PORT = re.compile(r"127\.0\.0\.1:(\d+)")


class Outside:
    """Whoever calls the switch from outside."""

    def __init__(self, sipp: Sipp, certificates: Certificates, transport: str = "udp") -> None:
        self.sipp, self.certificates, self.transport = sipp, certificates, transport

    @property
    def settings(self) -> dict[str, str]:
        """What the switch needs to be reached."""
        return self.certificates.settings if self.transport == "tls" else {}

    @contextmanager
    def calling(self, switch: Switch, scenario: str, *, keys: dict[str, str | int] | None = None, **more: object) -> Iterator[SippProcess]:
        """One call to the switch, over this transport."""
        with ExitStack() as stack:
            target = switch.sip_address
            if self.transport == "tls":
                peer = ("127.0.0.1", int(switch.tls_address.rpartition(":")[2]))
                target = f"127.0.0.1:{stack.enter_context(TlsTunnel(peer, tls_to_target=self.certificates.for_client())).port}"
            known = DEFAULT_KEYS | (keys or {})
            yield stack.enter_context(
                self.sipp.calling(scenario, target=target, keys=known, transport=self.transport, **{"user": "service"} | more)
            )

    def call(self, switch: Switch, scenario: str, **more: object) -> SippResult:
        """The same, to its end, and to that of our calls: SIPp has the last message of a call before we know that it is over."""
        with self.calling(switch, scenario, **more) as caller:
            result = caller.wait()
        assert_followed(result)
        switch.run(switch._switch.wait_idle(10))
        return result


def assert_followed(result: SippResult) -> None:
    """SIPp got what its scenario expects, and nothing else."""
    assert result.failed == 0, f"{result.errors[-1500:]}\n{[m.first_line for m in result.messages]}"


def assert_no_worker_shows(result: SippResult, switch: Switch, *known_ports: int) -> None:
    """Headers that we wrote name the front door, the far end, and nobody else."""
    known = {*known_ports, *(int(ours.rpartition(":")[2]) for ours in (switch.sip_address, switch.tls_address) if ours)}
    known |= ports_of(m for m in result.messages if not m.is_received)
    told = ports_of(message for message in result.messages if message.is_received)
    assert told <= known, f"{told - known} of {[m.text for m in result.messages if m.is_received]}"
    assert not [m for m in result.messages if "X-Sipcore" in m.text]


def ports_of(messages: Iterable[SippMessage]) -> set[int]:
    values = [value for message in messages for name in _NAMING_US for value in (*message.headers(name), message.first_line)]
    return {int(port) for value in values for port in _LOOPBACK_PORT.findall(value)}


def answers(result: SippResult, method: str = "INVITE") -> list[int]:
    """The status codes that came for this method, without 100."""
    return [m.status for m in result.messages if m.is_received and not m.is_request and m.method == method and m.status > 100]


def response(result: SippResult, status: int, method: str = "INVITE") -> SippMessage:
    """The first answer with this status."""
    return next(m for m in result.messages if m.is_received and (m.status, m.method) == (status, method))


def only_record(switch: Switch) -> CallRecord:
    """The record of the only call there was."""
    (record,) = switch.calls.list().result
    return record
