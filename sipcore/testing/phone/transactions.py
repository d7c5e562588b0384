"""SIP transactions over UDP: what is sent again, and until when (RFC 3261 §13.3.1.4, §17)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from .loop import Loop, Timer
from .responses import Address, response_address, response_text
from .sip_message import Header, Message

_T2_S = 4.0  # RFC 3261 table 4: the longest pause between two copies
_TIMEOUT_IN_T1 = 64


class Responded(Protocol):
    """A request of ours, which responses are for."""

    def on_response(self, response: Message) -> None:
        """Take a response."""


class Wire(Protocol):
    """The phone's SIP port, as transactions and calls see it."""

    loop: Loop
    host: str
    sip_port: int
    name: str
    codecs: tuple[str, ...]
    t1_s: float

    def transmit(self, text: str, address: Address, call_id: str) -> None:
        """Send a message and note it in the call's trace."""

    def expect_responses(self, branch: str, method: str, transaction: Responded) -> None:
        """Hand the responses with this branch to `transaction`; a CANCEL has the branch of its INVITE."""


class Retransmission:
    """Calls `send` after T1, 2 T1, 4 T1 ... (at most every 4 s), then `give_up` after 64 T1."""

    def __init__(self, wire: Wire, send: Callable[[], None], give_up: Callable[[], None]) -> None:
        self._loop, self._send = wire.loop, send
        self._pause_s = wire.t1_s
        self._copy = self._loop.call_later(self._pause_s, self._again)
        self._end: Timer = self._loop.call_later(_TIMEOUT_IN_T1 * wire.t1_s, lambda: self._give_up(give_up))

    def stop(self) -> None:
        """Send no more copies and never give up."""
        self._copy.cancel()
        self._end.cancel()

    def _again(self) -> None:
        self._send()
        self._pause_s = min(2 * self._pause_s, _T2_S)
        self._copy = self._loop.call_later(self._pause_s, self._again)

    def _give_up(self, give_up: Callable[[], None]) -> None:
        self._copy.cancel()
        give_up()


class ServerTransaction:
    """A request that came, and our latest response to it."""

    def __init__(self, wire: Wire, request: Message, source: Address) -> None:
        self.request = request
        self._wire, self._source = wire, source
        self._response = ""
        self._copies: Retransmission | None = None

    def respond(self, code: int, *, to_tag: str = "", reason: str | None = None, headers: Sequence[Header] = (), body: str = "") -> None:
        """Send a response; copies of the request will get the same one."""
        self._response = response_text(self.request, self._source, code, to_tag=to_tag, reason=reason, headers=headers, body=body)
        self.replay()

    def say(self, code: int, *, to_tag: str, headers: Sequence[Header] = ()) -> None:
        """Send a response once, out of turn; copies of the request still get the one before."""
        text = response_text(self.request, self._source, code, to_tag=to_tag, headers=headers)
        self._wire.transmit(text, response_address(self.request, self._source), self.request.call_id)

    def repeat_until_acknowledged(self, give_up: Callable[[], None]) -> None:
        """Send the final response to an INVITE again and again until `acknowledge`; `give_up` runs after 64 T1."""
        self._copies = Retransmission(self._wire, self.replay, give_up)

    def acknowledge(self) -> None:
        """Send no more copies."""
        if self._copies is not None:
            self._copies.stop()

    def replay(self) -> None:
        """Send the latest response (again)."""
        if self._response:
            self._wire.transmit(self._response, response_address(self.request, self._source), self.request.call_id)


class ClientTransaction:
    """A request of ours other than INVITE (RFC 3261 §17.1.2). `done` gets the final code, 408 when none came."""

    def __init__(self, wire: Wire, text: str, address: Address, call_id: str, branch: str, done: Callable[[int], None]) -> None:
        self._wire, self._text, self._address, self._call_id, self._done = wire, text, address, call_id, done
        self._is_done = False
        wire.expect_responses(branch, text.split(" ", 1)[0], self)
        self._copies = Retransmission(wire, self._send, lambda: self._finish(408))
        self._send()

    def on_response(self, response: Message) -> None:
        """Take a response; a provisional one changes nothing."""
        code = response.code
        if code >= 200 and not self._is_done:
            self._copies.stop()
            self._finish(code)

    def stop(self) -> None:
        """Forget about it."""
        self._copies.stop()

    def _send(self) -> None:
        self._wire.transmit(self._text, self._address, self._call_id)

    def _finish(self, code: int) -> None:
        self._is_done = True
        self._done(code)
