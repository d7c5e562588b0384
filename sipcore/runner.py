"""Runs the action list of one call, in the order that `sipcore.flow` says.

The audio of what may come next is prepared while the call is dialling and ringing, and while it does something else, so that an answer is
followed by sound at once. The list of an outgoing call starts at the answer, that of a call from outside at once. An action that fails is
told to the listeners and skipped; after the last one the call is hung up, or refused when it was never answered. When the call ends, the
runner is cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from sipcore.actions import Action, Run
from sipcore.actions.templates import names_in
from sipcore.errors import ActionFailed, InvalidRequest
from sipcore.flow import Flow, FlowTooLong, Step
from sipcore.performer import Performer
from sipcore.preparation import Preparation
from sipcore.session import Session

LOOK_AHEAD = 20
"""How many of the next actions have their audio made ready; so many prompts fit into the time that a phone rings."""


async def run_list(session: Session, actions: Sequence[Action], performer: Performer) -> None:
    """Carry the list out. Cancelled when the call ends."""
    flow = performer.flow = Flow(actions, performer.host.flow_limits)
    prepared = performer.prepare()
    try:
        _look_ahead(flow, prepared, performer)
        if not session.is_up and not await asyncio.shield(session.answered):
            return
        while session.is_up and (step := flow.take()) is not None:  # a listener may end the call at each event
            await _carry_out(step, prepared, performer)
            _look_ahead(flow, prepared, performer)
        if not flow.is_stopped:
            end(session, performer)
    except FlowTooLong as error:
        session.fail(str(error))
    finally:
        performer.flow = None
        await prepared.stop()


def end(session: Session, performer: Performer) -> None:
    """Nothing is left to do for the call: hang it up, or refuse a caller whom nothing has answered."""
    if not session.reject(performer.sip_code):
        session.hang_up()


async def _carry_out(step: Step, prepared: Preparation, performer: Performer) -> None:
    if isinstance(step.action, Run):
        await performer.run_function(step.action)
        return
    try:
        action = performer.filled(step.action)
    except InvalidRequest as error:
        performer.refuse(step.action, str(error))
        return
    prepared.add(step.number, action)
    with contextlib.suppress(ActionFailed):
        await performer.perform(action, prepared.pieces(step.number))


def _look_ahead(flow: Flow, prepared: Preparation, performer: Performer) -> None:
    """Prepare what may come next, and of what has variables, what is known by now; should they change, it is prepared again."""
    variables = performer.session.variables
    for step in flow.ahead(LOOK_AHEAD):
        if isinstance(step.action, Run) or any(variables.get(name) is None for name in names_in(step.action)):
            continue
        with contextlib.suppress(InvalidRequest):  # which it is told about when its turn comes
            prepared.add(step.number, performer.filled(step.action))
