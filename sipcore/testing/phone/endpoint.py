"""The phone's SIP port: sorts what arrives by transaction, dialog and method (RFC 3261 §8.2, §12.2.2, §17.2.3)."""

from __future__ import annotations

import time
from collections.abc import Callable

from sipcore.testing.ports import bind_udp

from .answering import IncomingCall
from .call import CallRecord, PhoneCall, TracedMessage
from .calling import Credentials, OutgoingCall
from .loop import Loop
from .media_session import may_send
from .responses import ALLOW, Address
from .script import Script
from .sip_message import MalformedMessage, Message, address_uri, parse_message
from .transactions import Responded, ServerTransaction

_DATAGRAMS_AT_ONCE = 32
_LARGEST_DATAGRAM_BYTES = 65536
_IN_DIALOG_METHODS = frozenset({"INVITE", "BYE", "OPTIONS", "INFO"})
_RECEIVE_BUFFER_BYTES = 1 << 20  # a burst of call set-ups waits here while the test computes


_Call = IncomingCall | OutgoingCall


class Endpoint:
    """One UDP port and all the calls on it. `script` gives the behaviour for a call that arrives now."""

    def __init__(
        self, loop: Loop, name: str, host: str, port: int, codecs: tuple[str, ...], t1_s: float, script: Callable[[], Script]
    ) -> None:
        self.loop, self.name, self.host, self.codecs, self.t1_s = loop, name, host, codecs, t1_s
        self.calls: list[PhoneCall] = []
        self.malformed = 0
        self._script = script
        self._socket = bind_udp(host, port)
        self.sip_port: int = self._socket.getsockname()[1]
        self._live: list[_Call] = []
        self._by_call_id: dict[str, _Call] = {}
        self._by_dialog: dict[tuple[str, str, str], _Call] = {}
        self._requests: dict[tuple[str, str], ServerTransaction] = {}
        self._invites: dict[str, IncomingCall] = {}
        self._clients: dict[tuple[str, str], Responded] = {}
        loop.watch(self._socket, self._receive)

    # ----------------------------------------------------------------------------------------------- for the calls

    def transmit(self, text: str, address: Address, call_id: str) -> None:
        """Send a message, and note it in the trace of the call."""
        call = self._by_call_id.get(call_id)
        if call is not None:
            call.record.messages.append(TracedMessage(time.monotonic(), "out", text, f"{address[0]}:{address[1]}"))
        if may_send(self.host, address[0]):
            self._send(text.encode("utf-8", "surrogateescape"), address)

    def _send(self, datagram: bytes, address: Address) -> None:
        try:
            self._socket.sendto(datagram, address)
        except OSError:
            return  # as if the network had lost it

    def expect_responses(self, branch: str, method: str, transaction: Responded) -> None:
        """Hand the responses with this branch to `transaction`."""
        self._clients[branch, method] = transaction

    # ------------------------------------------------------------------------------------------------ for the phone

    def shut_down(self) -> None:
        """End every call; their last messages may still be due."""
        for call in self._live:
            call.shut_down()

    def close(self) -> None:
        """Close every socket. When the loop has stopped."""
        for call in self._live:
            call.dialog.release()
        self.loop.unwatch(self._socket)
        self._socket.close()

    def call(self, uri: str, credentials: Credentials | None) -> PhoneCall:
        """Send an INVITE to `uri`, which names an IPv4 address and a port. Under the loop's lock."""
        outgoing = OutgoingCall(self, self._script(), uri, credentials, self._on_dialog)
        self._live.append(outgoing)
        self._by_call_id[outgoing.record.call_id] = outgoing
        self.calls.append(PhoneCall(outgoing.record, self.loop.changed, outgoing))
        outgoing.start()
        return self.calls[-1]

    def _on_dialog(self, call: OutgoingCall, remote_tag: str) -> None:
        self._by_dialog[call.record.call_id, call.peer.local_tag, remote_tag] = call

    # ------------------------------------------------------------------------------------------------ what arrives

    def _receive(self) -> None:
        for _ in range(_DATAGRAMS_AT_ONCE):
            try:
                datagram, source = self._socket.recvfrom(_LARGEST_DATAGRAM_BYTES)
            except BlockingIOError:
                return
            except OSError:
                continue  # a closed port of the other side, reported by ICMP
            if datagram.strip(b"\r\n\0"):  # what is left out is a keep-alive (RFC 5626 §3.5.1)
                self._on_datagram(datagram, source)

    def _on_datagram(self, datagram: bytes, source: Address) -> None:
        try:
            message = parse_message(datagram)
        except MalformedMessage:
            self.malformed += 1
            return
        self._trace(message, datagram, source)
        if message.code:
            self._on_response(message)
        elif message.method == "ACK":
            call = self._by_dialog.get((message.call_id, message.to_tag, message.from_tag))
            if call is not None:
                call.dialog.on_ack(message)
        else:
            self._on_request(message, datagram, source)

    def _trace(self, message: Message, datagram: bytes, source: Address) -> None:
        call = self._by_call_id.get(message.call_id)
        if call is not None:
            text = datagram.decode("utf-8", "surrogateescape")
            call.record.messages.append(TracedMessage(time.monotonic(), "in", text, f"{source[0]}:{source[1]}"))

    def _on_response(self, response: Message) -> None:
        transaction = self._clients.get((response.branch.split(" ")[0], response.method))
        if transaction is not None:
            transaction.on_response(response)

    def _on_request(self, message: Message, datagram: bytes, source: Address) -> None:
        key = (message.method, message.branch)
        known = self._requests.get(key)
        if known is not None:
            known.replay()
            return
        request = self._requests[key] = ServerTransaction(self, message, source)
        if message.method == "CANCEL":
            self._on_cancel(request)
        elif message.to_tag:
            self._on_request_in_dialog(request)
        elif message.method == "INVITE":
            self._on_invite(request, datagram, source)
        elif not self._script().is_silent:
            code = 200 if message.method == "OPTIONS" else 405
            request.respond(code, to_tag="phone", headers=[("Allow", ALLOW), ("Accept", "application/sdp")])

    def _on_cancel(self, request: ServerTransaction) -> None:
        call = self._invites.get(request.request.branch)
        if call is None:
            request.respond(481)
        else:
            call.on_cancel(request)

    def _on_request_in_dialog(self, request: ServerTransaction) -> None:
        message = request.request
        call = self._by_dialog.get((message.call_id, message.to_tag, message.from_tag))
        if call is None:
            request.respond(481)
        elif message.method not in _IN_DIALOG_METHODS:
            request.respond(405, headers=[("Allow", ALLOW)])
        else:
            call.on_request(request)

    def _on_invite(self, invite: ServerTransaction, datagram: bytes, source: Address) -> None:
        message = invite.request
        call = self._by_call_id.get(message.call_id)
        if isinstance(call, OutgoingCall) or (call is not None and not call.dialog.is_over and call.peer.remote_cseq == message.cseq):
            invite.respond(482, to_tag="merged")  # the same request by another way (RFC 3261 §8.2.2.2), or one of our own come back
            return
        if call is None or not call.is_waiting_for_credentials:
            call = self._new_call(invite, source)
            self._trace(message, datagram, source)
        self._invites[message.branch] = call
        call.on_invite(invite)

    def _new_call(self, invite: ServerTransaction, source: Address) -> IncomingCall:
        message = invite.request
        from_uri, to_uri = address_uri(message.headers.get("from")), address_uri(message.headers.get("to"))
        record = CallRecord(message.call_id, from_uri, to_uri, message.headers, time.monotonic(), f"{self.host}:{self.sip_port}")
        call = IncomingCall(self, record, self._script(), invite, source)
        self._live.append(call)
        self._by_call_id[message.call_id] = call
        self._by_dialog[message.call_id, call.peer.local_tag, message.from_tag] = call
        self.calls.append(PhoneCall(record, self.loop.changed, call))
        return call
