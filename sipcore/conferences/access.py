"""The conferences of a switch, as the user handles them: make, look up, list, mute, kick, record, end.

Wherever a conference is named, that is its id, or its name while it is not over.
"""

from __future__ import annotations

from typing import Protocol

from media import tones
from sipcore.actions import Beep, parse_action
from sipcore.conferences.record import Conference, ConferencePage
from sipcore.conferences.registry import ConferenceRegistry
from sipcore.conferences.request import ConferenceRequest, parse_conference
from sipcore.errors import SwitchDraining
from sipcore.exchange import Exchange
from sipcore.paging import check_paging
from sipcore.recordings.recording import Recording
from sipcore.store import DEFAULT_PAGE_SIZE
from sipcore.store_thread import StoreThread


class ConferencesHost(Protocol):
    """What the conferences need of their switch."""

    store: StoreThread

    @property
    def exchange(self) -> Exchange:
        """Raises `SwitchClosed` while the switch is not open."""

    @property
    def takes_calls(self) -> bool:
        """Whether new calls are taken."""


class AsyncConferences:
    """The conferences of a switch. Each method takes the id of a conference, or the name of one that is not over.

    With `user_id` only conferences of this user are found; without it all are, by name those of user 1.
    """

    def __init__(self, switch: ConferencesHost) -> None:
        self._switch = switch

    def create(
        self,
        name: str = "",
        detail: str = "",
        *,
        end_when_moderator_leaves: bool = False,
        entry_tone: bool | None = None,
        exit_tone: bool | None = None,
        max_members: int | None = None,
        user_id: int = 1,
    ) -> Conference:
        """Make a conference that stays until it is ended, at once.

        Args:
            name: What it can be joined by, beside its id; empty: its id only.
            detail: Yours.
            end_when_moderator_leaves: It is over when its last moderator leaves.
            entry_tone: Whether the others hear a tone when a call comes; the configuration's by default.
            exit_tone: The same when one goes.
            max_members: So many calls at most; the configuration's `max_conference_members` by default, and at most.
            user_id: Whose it is.

        Raises:
            InvalidRequest: an argument is wrong, or there is one of this name.
            CapacityError: there are too many.
            SwitchClosed: the switch is not open, or about to close.
        """
        wanted = ConferenceRequest(
            name,
            detail,
            end_when_moderator_leaves=end_when_moderator_leaves,
            entry_tone=entry_tone,
            exit_tone=exit_tone,
            max_members=max_members,
        )
        return self._create({name: getattr(wanted, name) for name in wanted.__slots__}, user_id)

    def create_from(self, body: object, *, user_id: int = 1) -> Conference:
        """As `create`, from the body of `POST /v1.0/conferences`."""
        return self._create(body, user_id)

    async def get(self, conference: str, *, user_id: int | None = None) -> Conference:
        """A conference, over or not.

        Raises:
            ConferenceNotFound: there is none.
        """
        return await self._registry.get(conference, user_id)

    async def list(
        self, page_size: int = DEFAULT_PAGE_SIZE, page_token: str | None = None, *, user_id: int | None = None
    ) -> ConferencePage:
        """One page of conferences, newest first; see `AsyncCalls.list`.

        Raises:
            InvalidRequest: the size is less than 1, or the token is no time.
        """
        check_paging(page_size, page_token)
        _ = self._switch.exchange
        return await self._switch.store.ask_conferences(lambda table: table.list(page_size, page_token or None, user_id))

    async def mute(self, conference: str, call_id: str, *, user_id: int | None = None) -> Conference:
        """Let the others not hear a member; it hears them.

        Raises:
            ConferenceNotFound, MemberNotFound: there is no such one.
        """
        return self._registry.mute(conference, call_id, is_muted=True, user_id=user_id)

    async def unmute(self, conference: str, call_id: str, *, user_id: int | None = None) -> Conference:
        """Undo `mute`."""
        return self._registry.mute(conference, call_id, is_muted=False, user_id=user_id)

    async def kick(self, conference: str, call_id: str, *, user_id: int | None = None) -> Conference:
        """Let a member out; its call goes on with its next action.

        Raises:
            ConferenceNotFound, MemberNotFound: there is no such one.
        """
        return self._registry.kick(conference, call_id, user_id)

    async def end(self, conference: str, *, user_id: int | None = None) -> Conference:
        """Let all out, and take nobody in any more; one that is over stays as it is.

        Raises:
            ConferenceNotFound: there is none.
        """
        registry = self._registry
        if registry.find(conference, user_id) is None:
            return await self.get(conference, user_id=user_id)
        return registry.end(conference, user_id)

    async def beep(
        self, conference: str, frequency_hz: float = 1000.0, duration_ms: int = 400, *, user_id: int | None = None
    ) -> Conference:
        """Let all members hear a tone.

        Raises:
            ConferenceNotFound: there is none that is not over.
            InvalidRequest: there is no such tone.
        """
        wanted = parse_action(Beep(frequency_hz, duration_ms), "beep")
        assert isinstance(wanted, Beep)
        return self._registry.sound(conference, lambda rate_hz: tones.beep(frequency_hz, duration_ms / 1000, rate_hz), user_id)

    async def start_recording(self, conference: str, *, user_id: int | None = None) -> Recording:
        """Record all that is said, as a WAV file, until it is stopped or all have left. `recordings.wait` of the switch waits for the file.

        Raises:
            ConferenceNotFound: there is none that is not over.
            ConferenceRefused: it is being recorded already.
        """
        return await self._registry.start_recording(conference, user_id)

    async def stop_recording(self, conference: str, *, user_id: int | None = None) -> Recording:
        """End the recording.

        Raises:
            ConferenceNotFound: there is none that is not over.
            ConferenceRefused: it is not being recorded.
        """
        return self._registry.stop_recording(conference, user_id)

    def _create(self, body: object, user_id: int) -> Conference:
        registry = self._registry
        if not self._switch.takes_calls:
            raise SwitchDraining("the switch is about to close and takes no new conferences")
        return registry.create(parse_conference(body), user_id)

    @property
    def _registry(self) -> ConferenceRegistry:
        return self._switch.exchange.conferences
