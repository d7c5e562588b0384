"""Calls from outside, which this version refuses."""

from __future__ import annotations

from typing import Any, Protocol

import pjsua2 as pj

from .guard import guarded


class Worker(Protocol):
    """What accounts and refused calls need of their worker."""

    refused: set[Any]

    def report_fault(self, where: str, details: str) -> None:
        """Tell the control process."""


class RefusedCall(pj.Call):  # type: ignore[misc]
    """An incoming call that lives just long enough to be refused.

    PJSIP needs a Call object for it: without one it answers 500. The last reference goes inside `onCallState(DISCONNECTED)`, since a Call
    that is collected later hangs up whoever has its slot by then.
    """

    def __init__(self, account: Any, worker: Worker, pjsip_id: int) -> None:
        super().__init__(account, pjsip_id)
        self._worker = worker

    @classmethod
    def refuse(cls, account: Any, worker: Worker, pjsip_id: int) -> None:
        """Answer 404 to the call PJSIP numbered `pjsip_id`."""
        call = cls(account, worker, pjsip_id)
        worker.refused.add(call)
        answer = pj.CallOpParam()
        answer.statusCode = pj.PJSIP_SC_NOT_FOUND
        call.hangup(answer)

    def report_fault(self, where: str, details: str) -> None:
        """For the guard."""
        self._worker.report_fault(where, details)

    @guarded
    def onCallState(self, prm: Any) -> None:  # noqa: ARG002
        """Let go of the call at its end."""
        if self.getInfo().state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self._worker.refused.discard(self)
