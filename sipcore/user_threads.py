"""Plain functions of the user's, which may block: each runs on a thread of its own, seen from the event loop as a coroutine."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from sipcore.actions.run import Run, as_run, is_async, name_of
from sipcore.calls import AsyncCall
from sipcore.errors import SipcoreError

log = logging.getLogger(__name__)

CallType = TypeVar("CallType")


async def run_in_thread(function: Callable[[CallType], object], call: CallType, call_id: str) -> None:
    """Run a function on a thread of its own, which goes on to its end when whoever waits here is cancelled."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def report(error: Exception | None) -> None:
        if done.cancelled():
            if error is not None and not isinstance(error, SipcoreError):
                log.error("call %s: its handler %s failed after the call", call_id, name_of(function), exc_info=error)
        elif error is not None:
            done.set_exception(error)
        else:
            done.set_result(None)

    def run() -> None:
        error: Exception | None = None
        try:
            function(call)
        except Exception as failure:  # noqa: BLE001 - told to the call
            error = failure
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left who wants to know
            loop.call_soon_threadsafe(report, error)

    start = getattr(loop, "start_user_thread", _start)  # in a simulation threads and the loop take turns
    start(run, f"sipcore call {call_id}")
    await done


def _start(run: Callable[[], None], name: str) -> None:
    threading.Thread(target=run, name=name, daemon=True).start()


def threaded_request(body: Mapping[str, Any], as_call: Callable[[AsyncCall], CallType]) -> Mapping[str, Any]:
    """A request, with each plain function among its actions as one that can be awaited."""
    return {**body, "actions": threaded(body["actions"], as_call)} if "actions" in body else body


def threaded(actions: Any, as_call: Callable[[AsyncCall], CallType]) -> Any:
    """A list of actions, with each plain function in it as one that can be awaited."""
    if not isinstance(actions, list | tuple):
        return actions
    return [_threaded(item, as_call) for item in actions]


def _threaded(item: Any, as_call: Callable[[AsyncCall], CallType]) -> Any:
    action = as_run(item)
    if action is None or is_async(action.function):
        return item
    function: Callable[[CallType], object] = action.function

    async def in_thread(call: AsyncCall) -> None:
        await run_in_thread(function, as_call(call), call.id)

    in_thread.__name__ = action.name
    return replace(action, function=in_thread) if isinstance(item, Run) else Run(in_thread)
