"""REFER from the far end (RFC 3515), when it is allowed.

PJSIP answers a REFER with 202, then dials its target by itself, and turns what becomes of that call into NOTIFYs. Who is dialled, and
how, is for call control to decide; so PJSIP's own INVITE goes to a socket of ours, which answers with what call control reports. Nothing
leaves the worker but the 202 and the NOTIFYs. Meanwhile the dummy call has a slot of PJSIP.
"""

from __future__ import annotations

import re
import socket
import time
from collections import deque
from typing import Any, Final, Protocol

import pjsua2 as pj

from .guard import guarded
from .siptext import header_of, readable

_DATAGRAM_BYTES: Final = 65536
_TOLD_WITHIN_S: Final = 0.05
"""Takes less than a millisecond; no longer than a stretched frame of audio if something is wrong."""
_KEPT_HEADERS: Final = ("Via", "From", "Call-ID", "CSeq")
_NEVER_DIALLED: Final = -1  # PJSUA_INVALID_ID
_TARGET: Final = re.compile(r"[^<]*<(sips?:[!-;=@-~]+)>|(sips?:[!-;=@-~]+)", re.IGNORECASE)
"""Without URI headers: `?Replaces=` asks for what we do not do, and any other one for a header of somebody else's choice."""


def target_of(refer_to: str) -> str:
    """The SIP URI a REFER names; empty when it is none we take."""
    match = _TARGET.fullmatch(refer_to.strip())
    return (match[1] or match[2]) if match else ""


class DummyOwner(Protocol):
    """What a dummy call needs of its desk."""

    dummies: set[Any]
    to_end: deque[Any]

    def report_fault(self, where: str, details: str) -> None:
        """Tell the control process."""


class DummyCall(pj.Call):  # type: ignore[misc]
    """PJSIP's call to the target, which goes to our socket. It lives as `RefusedCall` does.

    Attributes:
        call_id: The call that asked.
    """

    def __init__(self, call_id: str, account: Any, owner: DummyOwner) -> None:
        super().__init__(account)
        self.call_id = call_id
        self._owner = owner

    def report_fault(self, where: str, details: str) -> None:
        """For the guard."""
        self._owner.report_fault(where, details)

    def end(self) -> None:
        """Hang up; not inside a callback."""
        try:
            self.hangup(pj.CallOpParam())
        except pj.Error as error:
            self.report_fault("transfer", readable(error.info()))

    @guarded
    def onCallState(self, prm: Any) -> None:  # noqa: ARG002
        """The NOTIFY of a final answer is PJSIP's; then the call has served its purpose."""
        state = self.getInfo().state
        if state == pj.PJSIP_INV_STATE_CONFIRMED:
            self._owner.to_end.append(self)
        elif state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self._owner.dummies.discard(self)
            if self in self._owner.to_end:
                self._owner.to_end.remove(self)


class TransferDesk:
    """The far end of all dummy calls of a worker. Owner thread only.

    Attributes:
        dummies: Those that are not over.
        to_end: Those that are answered.
    """

    def __init__(self, report_fault: Any) -> None:
        self.dummies: set[Any] = set()
        self.to_end: deque[Any] = deque()
        self.report_fault = report_fault
        self._socket: socket.socket | None = None
        self._asked: deque[str] = deque()
        self._invites: dict[str, tuple[str, tuple[str, int]]] = {}

    @property
    def route_uri(self) -> str:
        """Where PJSIP has to send the INVITE."""
        if self._socket is None:
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            self._socket.bind(("127.0.0.1", 0))
        return f"sip:127.0.0.1:{self._socket.getsockname()[1]};lr"

    def take(self, call_id: str, account: Any) -> DummyCall:
        """A REFER of this call is about to be accepted: the call PJSIP shall dial with."""
        self._asked.append(call_id)
        dummy = DummyCall(call_id, account, self)
        self.dummies.add(dummy)
        return dummy

    def answer(self, call_id: str, code: int) -> None:
        """What became of the transfer: a final code ends it."""
        self.receive()
        if call_id in self._invites and code > 100 and code != 202:  # 202 is for the REFER, and was sent
            is_kept = code < 300  # until PJSIP's BYE
            invite = self._invites[call_id] if is_kept else self._invites.pop(call_id)
            self._reply(*invite, code)
            if code >= 200:
                self._wait_told(call_id)

    def _wait_told(self, call_id: str) -> None:
        """Until PJSIP has read our answer and sent its NOTIFY: a BYE that follows would overtake it, and end the subscription."""
        end_s = time.monotonic() + _TOLD_WITHIN_S
        while any(dummy.call_id == call_id and dummy not in self.to_end for dummy in self.dummies) and time.monotonic() < end_s:
            pj.Endpoint.instance().libHandleEvents(1)

    def forget(self, call_id: str) -> None:
        """The call that asked is over."""
        self.answer(call_id, 487)
        if call_id in self._asked:
            self._asked.remove(call_id)
        self.dummies -= {dummy for dummy in self.dummies if dummy.call_id == call_id and dummy.getId() == _NEVER_DIALLED}

    def receive(self) -> None:
        """Take what PJSIP has sent; hang up what is answered. Not inside a callback."""
        while self.to_end:
            self.to_end.popleft().end()
        while self._socket is not None:
            try:
                data, address = self._socket.recvfrom(_DATAGRAM_BYTES)
            except BlockingIOError:
                return
            self._take_request(data.decode(errors="replace"), address)

    def close(self) -> None:
        """At the end of the worker."""
        if self._socket is not None:
            self._socket.close()

    def _take_request(self, text: str, address: tuple[str, int]) -> None:
        method, sip_call_id = text.partition(" ")[0], header_of(text, "Call-ID")
        asker = next((key for key, (invite, _) in self._invites.items() if header_of(invite, "Call-ID") == sip_call_id), None)
        if method == "INVITE":
            if asker is None and self._asked:
                self._invites[self._asked.popleft()] = (text, address)
            self._reply(text, address, 100)
        elif method in ("CANCEL", "BYE"):
            self._reply(text, address, 200)
            if asker is not None:
                invite = self._invites.pop(asker)
                if method == "CANCEL":
                    self._reply(*invite, 487)

    def _reply(self, request: str, address: tuple[str, int], code: int) -> None:
        to = header_of(request, "To")
        lines = [f"SIP/2.0 {code} {'OK' if code == 200 else 'Transfer'}"]
        lines += [f"{name}: {header_of(request, name)}" for name in _KEPT_HEADERS]
        lines += [f"To: {to}" if "tag=" in to or code == 100 else f"To: {to};tag=desk"]
        if self._socket is not None:
            lines += [f"Contact: <sip:desk@127.0.0.1:{self._socket.getsockname()[1]}>", "Content-Length: 0", "", ""]
            self._socket.sendto("\r\n".join(lines).encode(errors="replace"), address)
