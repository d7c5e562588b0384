"""Transfers that a far end asks for (REFER, RFC 5589 §6.1): the one it talks to is connected to somebody else.

While that rings, the one who asked hears of it. When it is answered he is hung up; when it is not, the two hear each other again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from sipcore import events
from sipcore.actions import Connect
from sipcore.addresses import Address, parse_address
from sipcore.clock import Clock
from sipcore.engine import AnswerTransfer, TransferAsked
from sipcore.errors import ActionFailed, InvalidRequest
from sipcore.inbound import is_anonymous, lenient_address
from sipcore.performer import Performer
from sipcore.runner import end
from sipcore.session import DECLINE, Session
from sipcore.trunk import Trunk

log = logging.getLogger(__name__)

ACCEPTED = 202
RINGING = 180
OK = 200


class ReferralHost(Protocol):
    """What a transfer needs of the switch."""

    clock: Clock

    def trunk(self, name: str) -> Trunk | None:
        """The trunk of this name."""

    def route(self, destination: Address) -> object:
        """The way to somebody; raises `InvalidRequest` when there is none."""

    def live(self, call_id: str) -> Session | None:
        """A call that is not over."""

    def submit(self, command: AnswerTransfer) -> None:
        """Give a command to the engine."""

    def stop_work(self, session: Session) -> None:
        """End what is done for a call."""

    def performer(self, session: Session) -> Performer:
        """What carries out the actions of a call."""

    def listen(self, listener: Callable[[events.CallEvent], None]) -> Callable[[], None]:
        """Hear the events of every call."""

    def spawn(self, session: Session, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a task of one call until it ends."""


def answer(asking: Session, event: TransferAsked, host: ReferralHost) -> None:
    """Do what a REFER asks for: on a trunk that allows it, and when there is somebody to transfer. Otherwise it is refused with 603."""
    trunk, bridging, target = host.trunk(asking.trunk), _bridging(asking, host), _target(event.target_uri, host)
    peer = None
    if trunk is not None and trunk.config.allows_refer and bridging is not None and target is not None:
        peer = bridging.session if bridging.peer is asking else bridging.peer
    asking.publish(events.TransferRequested(asking.id, host.clock.now(), event.target_uri, peer is not None))
    if peer is None or bridging is None or target is None:
        log.info("call %s: its far end asks for a transfer to %s: refused", asking.id, event.target_uri)
        host.submit(AnswerTransfer(asking.id, DECLINE))
        return
    _start(asking, peer, bridging, target, host)


def _bridging(session: Session, host: ReferralHost) -> Performer | None:
    """What holds a call and the one it talks to together."""
    for one in (session, host.live(session.record.master_call_id)):
        performer = None if one is None else host.performer(one)
        if performer is not None and performer.peer is not None and session in {performer.session, performer.peer}:
            return performer
    return None


def _target(uri: str, host: ReferralHost) -> Address | None:
    """Whom a far end wants called, if that can be done."""
    target = lenient_address(uri)
    try:
        host.route(parse_address(target))
    except InvalidRequest:
        return None
    return target if uri.lower().startswith(("sip:", "sips:", "tel:")) and not is_anonymous(target) else None


def _start(asking: Session, peer: Session, bridging: Performer, target: Address, host: ReferralHost) -> None:
    """Connect `peer` to the target in place of `asking`."""
    log.info("call %s: is transferred to %s by call %s", peer.id, target, asking.id)
    bridging.let_go()
    for session in (asking, peer):
        host.stop_work(session)
        session.finish_action("interrupted", "transferred")
    peer.unbridge(asking.id)
    host.submit(AnswerTransfer(asking.id, ACCEPTED))
    host.spawn(peer, lambda: _connect(asking, peer, target, host))


async def _connect(asking: Session, peer: Session, target: Address, host: ReferralHost) -> None:
    performer = host.performer(peer)
    earlier = set(peer.record.chained_call_ids)
    peer.legs = 2

    def watch(event: events.CallEvent) -> None:
        if event.call_id not in peer.record.chained_call_ids or event.call_id in earlier:
            return
        if isinstance(event, events.CallRinging):
            host.submit(AnswerTransfer(asking.id, RINGING))
        elif isinstance(event, events.CallAnswered):
            host.submit(AnswerTransfer(asking.id, OK))
            asking.hang_up()

    action = Connect([target])
    prepared = performer.prepare(action)
    stop = host.listen(watch)
    try:
        await performer.perform(action, prepared.pieces(0))
    except ActionFailed:
        host.submit(AnswerTransfer(asking.id, performer.sip_code))
        if asking.is_up:
            peer.bridge(asking.id)
            await asyncio.shield(asking.over)
    finally:
        stop()
        asking.hang_up()
        await prepared.stop()
    end(peer, performer)
