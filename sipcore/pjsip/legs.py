"""The calls of one worker: dialled, expected, live, refused; and the commands for them."""

from __future__ import annotations

import time
from collections import deque
from typing import Any, Final, Protocol

import pjsua2 as pj

from sipcore import engine, wire

from .accounts import AccountBook, AccountPlaces, LocalAccount
from .arrivals import Arrivals
from .audioport import AudioDesk
from .dtmf import DigitDesk
from .endpoint import bridge_rate_hz
from .firstaudio import FirstAudioDesk
from .incoming import IncomingLeg
from .leg import Leg
from .outgoing import OutgoingLeg
from .patch import PatchCommand, PatchPanel
from .playback import PlayerPool
from .recording import RecorderPool
from .refer import TransferDesk
from .refusal import RefusedCall
from .siptext import header_of, readable
from .slots import slot_counter

SLOT_WAIT_S: Final = 40.0
"""For a slot of PJSIP to become free: more than the 32 s that the slowest transaction lasts (RFC 3261 timers B and F)."""

_NO_SUCH_CALL: Final = 481

TEND_S: Final = 1.0
"""How often each leg looks after its RTP."""


class Host(Protocol):
    """What the legs need of their worker."""

    settings: wire.WorkerSettings

    def emit(self, event: engine.Event) -> None:
        """Send an event to the control process."""

    def report_fault(self, where: str, details: str) -> None:
        """An `EngineFault` of no particular call."""

    def wake(self) -> None:
        """End the sleep of the owner loop; from any thread."""

    def read_ahead(self) -> None:
        """Take what waits on the channel now: calls that are expected are made known, the rest is kept for the loop."""

    def obey_first(self, commands: list[engine.CallCommand]) -> None:
        """Carry these out in the loop, before all that waits."""


class Legs:
    """Owner thread only, like all of PJSIP.

    Attributes:
        settings: Of the worker.
        refused: Incoming calls on their way out.
        to_refuse: Those of them that have no answer yet.
    """

    def __init__(self, host: Host, places: AccountPlaces) -> None:
        self.settings = host.settings
        self.refused: set[Any] = set()
        self.to_refuse: deque[Any] = deque()
        self._host = host
        self._legs: dict[str, Leg] = {}
        self._waiting: deque[tuple[float, OutgoingLeg]] = deque()
        self._unacceptable: deque[IncomingLeg] = deque()
        self._arrivals = Arrivals()
        recorders = RecorderPool(bridge_rate_hz(host.settings), host.emit)
        self._patch = PatchPanel(self._legs, PlayerPool(host.wake), recorders, host.emit)
        self._digits = DigitDesk(self._legs, host.emit)
        self._first_audio = FirstAudioDesk(self._legs, host.emit)
        self._audio = AudioDesk(self._legs, bridge_rate_hz(host.settings), host, self._patch)
        self._accounts = AccountBook(self, host.settings, places)
        self._slots = slot_counter()
        self._desk = TransferDesk(host.report_fault)
        self._diverted: deque[LocalAccount] = deque()
        self._over: deque[str] = deque()
        self._next_tend_s = 0.0
        self._is_closing = False

    @property
    def count(self) -> int:
        """Legs that are alive, those that wait for a slot included."""
        return len(self._legs)

    @property
    def started(self) -> int:
        """Legs that have a slot of PJSIP."""
        return len(self._legs) - len(self._waiting)

    @property
    def is_empty(self) -> bool:
        """Whether no call object is left."""
        return not (self._legs or self.refused or self._desk.dummies)

    @property
    def next_due_s(self) -> float | None:
        """When `tend` has something to do, besides the legs' once a second; `None`: nothing."""
        desks = (self._arrivals, self._digits, self._audio, self._first_audio)
        dues = (self._patch.next_burial, *(desk.next_due_s for desk in desks))
        return min((due for due in dues if due is not None), default=None)

    @property
    def awaits_digits(self) -> bool:
        """Whether somebody waits for a digit of one of them."""
        return self._digits.is_awaited

    def account_id_for(self, invite: str) -> int:
        """PJSIP's number of the account that an INVITE belongs to; inside a callback."""
        self._host.read_ahead()
        return self._accounts.own_id(self._arrivals.srtp_of(header_of(invite, wire.CALL_HEADER)))

    # ------------------------------------------------------------------------------------------- for legs, accounts

    def emit(self, event: engine.Event) -> None:
        """See `LegOwner`."""
        self._host.emit(event)

    def report_fault(self, where: str, details: str) -> None:
        """For the guard of calls that are nobody's."""
        self._host.report_fault(where, details)

    def media_changed(self, leg: Leg) -> None:
        """See `LegOwner`."""
        self._patch.connect(leg)
        self._audio.connect(leg)

    def leg_over(self, leg: Leg) -> None:
        """See `LegOwner`."""
        self._legs.pop(leg.call_id, None)
        self._over.append(leg.call_id)
        if self._waiting:
            self._waiting = deque(entry for entry in self._waiting if entry[1] is not leg)
        if leg in self._unacceptable:
            self._unacceptable.remove(leg)
        self._patch.remove(leg)
        self._audio.remove(leg)
        self._digits.remove(leg.call_id)
        self._first_audio.remove(leg.call_id)

    def digits_refused(self, leg: Leg, error: str) -> None:
        """See `LegOwner`."""
        self._digits.refuse(leg.call_id, error)

    def transfer_asked(self, leg: Leg) -> Any:
        """See `LegOwner`; inside `onCallTransferRequest`."""
        is_full = self._slots is not None and self._slots() >= pj.UaConfig().maxCalls
        if not self.settings.allows_refer or is_full:
            return None
        self._accounts.divert(leg.local, self._desk.route_uri)
        self._diverted.append(leg.local)
        return self._desk.take(leg.call_id, leg.local)

    def arrived(self, account: Any, prm: Any) -> None:
        """An INVITE, inside `onIncomingCall`: keep it only; answering here aborts PJSIP when it has no SDP."""
        invite = readable(prm.rdata.wholeMsg)
        self._host.read_ahead()
        taken = self._arrivals.take(header_of(invite, wire.CALL_HEADER)) if self._is_from_door(prm.rdata.srcAddress) else None
        if taken is None or taken[0].call_id in self._legs:
            RefusedCall.keep(account, self, prm.callId)
            return
        expected, commands = taken
        leg = self._legs[expected.call_id] = IncomingLeg(expected, invite, account, prm.callId, self)
        self._host.obey_first(commands)
        if not leg.is_acceptable:
            self._unacceptable.append(leg)

    def rejected(self, invite: str, code: int, phrase: str) -> None:
        """PJSIP has refused an INVITE by itself: no codec in common, no free slot, a broken SDP."""
        self._host.read_ahead()
        taken = self._arrivals.take(header_of(invite, wire.CALL_HEADER))
        if taken is not None:
            error = f"PJSIP refused the INVITE: {code} {phrase}"
            self.emit(engine.CallDisconnected(taken[0].call_id, code, phrase, remote=True, error=error))

    def _is_from_door(self, source: str) -> bool:
        return self.settings.door_port in (0, int(source.rpartition(":")[2] or 0))

    # ---------------------------------------------------------------------------------------------- the commands

    def expect(self, order: wire.ExpectCall) -> None:
        """An INVITE is on its way from the front door."""
        if self._is_closing:
            self._refuse(order.call_id, "the worker is shutting down")
        else:
            self._arrivals.expect(order, time.monotonic())

    def obey(self, command: engine.CallCommand) -> None:
        """Carry out a command; one for a call that is not there is ignored."""
        if isinstance(command, engine.Dial):
            self._dial(command)
        elif self._arrivals.keep(command):
            pass
        elif isinstance(command, engine.AnswerTransfer):
            self._desk.answer(command.call_id, command.sip_code)
        elif isinstance(command, PatchCommand):
            self._patch.obey(command)
        elif isinstance(command, engine.SendDigits | engine.StopDigits | engine.AwaitDigits):
            self._digits.obey(command, time.monotonic())
        elif isinstance(command, engine.AwaitAudio):
            self._first_audio.await_audio(command.call_id, time.monotonic())
        elif isinstance(command, engine.OpenAudio):
            self._audio.open(command)
        elif isinstance(command, engine.Transfer) and command.replaced_id:
            self._transfer_replacing(command)
        elif leg := self._legs.get(command.call_id):
            leg.obey(command, time.monotonic())

    def _transfer_replacing(self, command: engine.Transfer) -> None:
        leg, replaced = self._legs.get(command.call_id), self._legs.get(command.replaced_id)
        if leg is not None and replaced is not None:
            leg.transfer_to(replaced)
        else:
            gone = engine.TransferProgressed(command.call_id, _NO_SUCH_CALL, "the call to be replaced is over", is_final=True)
            self.emit(gone)

    def _dial(self, dial: engine.Dial) -> None:
        if self._is_closing or dial.call_id in self._legs:
            self._refuse(dial.call_id, "the worker is shutting down" if self._is_closing else "dialled twice")
            return
        try:
            account = self._accounts.account_for(dial.account, {leg.local.account for leg in self._legs.values()})
        except (pj.Error, ValueError) as error:
            self._refuse(dial.call_id, readable(error.reason) if isinstance(error, pj.Error) else str(error))
            return
        leg = self._legs[dial.call_id] = OutgoingLeg(dial, account, self)
        if self._waiting or not leg.start():
            self._waiting.append((time.monotonic() + SLOT_WAIT_S, leg))

    def _refuse(self, call_id: str, reason: str) -> None:
        self.emit(engine.CallDisconnected(call_id, 0, "", remote=True, error=reason))

    # -------------------------------------------------------------------------------------------------- the loop

    def clear_up(self) -> None:
        """What callbacks have left to do outside of them: refuse what was not expected, and what cannot be taken; see to transfers."""
        while self._diverted:
            self._accounts.undivert(self._diverted.popleft())
        while self._over:
            self._desk.forget(self._over.popleft())
        self._desk.receive()
        while self.to_refuse:
            self.to_refuse.popleft().refuse()  # no name for it here: it must not outlive the answer
        while self._unacceptable:
            self._unacceptable.popleft().refuse_unacceptable()

    def tend(self) -> None:
        """What is due: files that ended, INVITEs that did not come, RTP that stopped, slots that became free."""
        now_s = time.monotonic()
        self._patch.tend()
        self._digits.tend(now_s)
        self._first_audio.tend(now_s)
        self._audio.tend(now_s)
        for call_id in self._arrivals.overdue(now_s):
            self._refuse(call_id, "the INVITE did not arrive")
        if now_s >= self._next_tend_s:
            self._next_tend_s = now_s + TEND_S
            for leg in list(self._legs.values()):
                leg.tend(now_s)
        self._start_waiting()

    def _start_waiting(self) -> None:
        """Dial those for whom PJSIP had no slot, in order, as slots become free."""
        while self._waiting:
            deadline, leg = self._waiting.popleft()
            if leg.start():
                continue
            if time.monotonic() < deadline:
                self._waiting.appendleft((deadline, leg))
                return
            leg.fail("PJSIP has no free call")

    # --------------------------------------------------------------------------------------------------- the end

    def hang_up_all(self) -> None:
        """BYE, CANCEL or a refusal for every call; no new ones from now on."""
        self._is_closing = True
        for call_id in self._arrivals.clear():
            self._refuse(call_id, "the worker is shutting down")
        for leg in list(self._legs.values()):
            leg.hang_up()

    def close(self) -> None:
        """Let go of everything in PJSIP; only when `is_empty`."""
        self._audio.close()
        self._patch.close()
        self._desk.close()
        self._accounts.close()
