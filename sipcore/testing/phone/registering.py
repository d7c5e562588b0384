"""A registration of the phone: REGISTER, the challenge, and taking it back (RFC 3261 §10.2)."""

from __future__ import annotations

import secrets

from .calling import Credentials
from .peer import Peer, new_branch
from .responses import Address
from .sip_message import Header, Message, uri_target
from .transactions import Retransmission, Wire

_TIMEOUT_CODE = 408


class Registration:
    """The phone at one registrar, as `username`. Only on the loop's thread, or under its lock.

    `code` is the final answer to the latest REGISTER: 0 before, 408 when none came.
    """

    def __init__(self, wire: Wire, registrar: str, credentials: Credentials) -> None:
        self.registrar, self.credentials, self.code = registrar, credentials, 0
        self._wire, self._call_id = wire, f"{secrets.token_hex(10)}@{wire.host}"
        host, port = self.address = uri_target(registrar)
        record = f"<sip:{credentials.username}@{host}:{port}>"
        tag = secrets.token_hex(8)
        self._peer = Peer(
            wire, self._call_id, self.address, local=f"{record};tag={tag}", remote=record, local_tag=tag, target_uri=f"sip:{host}:{port}"
        )
        self._expires_s = 0
        self._has_answered = False
        self._request: tuple[str, Address] = ("", ("", 0))
        self._copies: Retransmission | None = None

    def send(self, expires_s: int) -> None:
        """Register for so many seconds; 0 takes it back."""
        self.code, self._expires_s, self._has_answered = 0, expires_s, False
        self._send_register([])

    def stop(self) -> None:
        """Send no more copies."""
        if self._copies is not None:
            self._copies.stop()

    def on_response(self, response: Message) -> None:
        """Take a response: credentials for the first challenge, the end otherwise."""
        if response.code < 200 or response.cseq != self._peer.local_cseq or self.code:
            return
        self.stop()
        answer: list[Header] = []
        if response.code in (401, 407) and not self._has_answered:
            answer = self.credentials.answer(response, "REGISTER", self._peer.target_uri)
        if answer:
            self._has_answered = True
            self._send_register(answer)
        else:
            self.code = response.code

    def _send_register(self, credentials: list[Header]) -> None:
        peer, branch = self._peer, new_branch()
        peer.local_cseq += 1
        headers = [peer.contact, ("Expires", str(self._expires_s)), *credentials]
        self._request = peer.write("REGISTER", peer.local_cseq, branch, headers)
        self._wire.expect_responses(branch, "REGISTER", self)
        self._copies = Retransmission(self._wire, self._transmit, self._give_up)
        self._transmit()

    def _transmit(self) -> None:
        self._wire.transmit(*self._request, self._call_id)

    def _give_up(self) -> None:
        self.code = _TIMEOUT_CODE
