"""Calls from outside that nobody expects."""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

import pjsua2 as pj

from .guard import guarded
from .siptext import readable


class Worker(Protocol):
    """What accounts and refused calls need of their worker."""

    refused: set[Any]
    to_refuse: deque[Any]

    def arrived(self, account: Any, prm: Any) -> None:
        """An INVITE, inside `onIncomingCall`."""

    def report_fault(self, where: str, details: str) -> None:
        """Tell the control process."""


class RefusedCall(pj.Call):  # type: ignore[misc]
    """An incoming call that lives just long enough to be refused.

    PJSIP needs a Call object for it: without one it answers 500. The last reference goes inside `onCallState(DISCONNECTED)`, or as soon as
    `refuse` returns, since a Call that is collected later hangs up whoever has its slot by then.
    """

    def __init__(self, account: Any, worker: Worker, pjsip_id: int) -> None:
        super().__init__(account, pjsip_id)
        self._worker = worker

    @classmethod
    def keep(cls, account: Any, worker: Worker, pjsip_id: int) -> None:
        """Leave the call PJSIP numbered `pjsip_id` to the owner loop: an answer within `onIncomingCall` aborts PJSIP without SDP."""
        call = cls(account, worker, pjsip_id)
        worker.refused.add(call)
        worker.to_refuse.append(call)

    def refuse(self) -> None:
        """Answer 404. Not inside a callback."""
        answer = pj.CallOpParam()
        answer.statusCode = pj.PJSIP_SC_NOT_FOUND
        try:
            self.hangup(answer)
        except pj.Error as error:
            self.report_fault("refusal", readable(error.info()))

    def report_fault(self, where: str, details: str) -> None:
        """For the guard."""
        self._worker.report_fault(where, details)

    @guarded
    def onCallState(self, prm: Any) -> None:  # noqa: ARG002
        """Let go of the call at its end."""
        if self.getInfo().state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self._worker.refused.discard(self)
            if self in self._worker.to_refuse:  # a CANCEL came first
                self._worker.to_refuse.remove(self)
