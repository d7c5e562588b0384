"""The conferences of a switch, for synchronous code."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from sipcore.conferences.access import AsyncConferences
from sipcore.store import DEFAULT_PAGE_SIZE

if TYPE_CHECKING:
    from sipcore.conferences.record import Conference, ConferencePage
    from sipcore.recordings.recording import Recording

Result = TypeVar("Result")


class LoopThread(Protocol):
    """The switch that runs the loop."""

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine there and wait for it."""


class Conferences:
    """The conferences of a switch; each is named by its id, or by its name while it is not over. See `AsyncConferences`."""

    def __init__(self, switch: LoopThread, conferences: AsyncConferences) -> None:
        self._switch, self._conferences = switch, conferences

    def create(
        self,
        name: str = "",
        detail: str = "",
        *,
        end_when_moderator_leaves: bool = False,
        entry_tone: bool | None = None,
        exit_tone: bool | None = None,
        max_members: int | None = None,
    ) -> Conference:
        """Make a conference that stays until it is ended."""

        async def creating() -> Conference:
            return self._conferences.create(
                name,
                detail,
                end_when_moderator_leaves=end_when_moderator_leaves,
                entry_tone=entry_tone,
                exit_tone=exit_tone,
                max_members=max_members,
            )

        return self._switch.run(creating())

    def get(self, conference: str) -> Conference:
        """A conference, over or not."""
        return self._switch.run(self._conferences.get(conference))

    def list(self, page_size: int = DEFAULT_PAGE_SIZE, page_token: str | None = None) -> ConferencePage:
        """One page of conferences, newest first."""
        return self._switch.run(self._conferences.list(page_size, page_token))

    def mute(self, conference: str, call_id: str) -> Conference:
        """Let the others not hear a member; it hears them."""
        return self._switch.run(self._conferences.mute(conference, call_id))

    def unmute(self, conference: str, call_id: str) -> Conference:
        """Undo `mute`."""
        return self._switch.run(self._conferences.unmute(conference, call_id))

    def kick(self, conference: str, call_id: str) -> Conference:
        """Let a member out; its call goes on with its next action."""
        return self._switch.run(self._conferences.kick(conference, call_id))

    def end(self, conference: str) -> Conference:
        """Let all out, and take nobody in any more; one that is over stays as it is."""
        return self._switch.run(self._conferences.end(conference))

    def beep(self, conference: str, frequency_hz: float = 1000.0, duration_ms: int = 400) -> Conference:
        """Let all members hear a tone."""
        return self._switch.run(self._conferences.beep(conference, frequency_hz, duration_ms))

    def start_recording(self, conference: str) -> Recording:
        """Record all that is said, until it is stopped or all have left. `switch.recordings.wait` waits for the file."""
        return self._switch.run(self._conferences.start_recording(conference))

    def stop_recording(self, conference: str) -> Recording:
        """End the recording."""
        return self._switch.run(self._conferences.stop_recording(conference))
