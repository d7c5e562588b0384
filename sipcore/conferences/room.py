"""A room: calls that hear each other, wherever their workers are. Their live audio is mixed here, in one tick of 20 ms for all."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

import numpy as np

from media.mixer import mix_minus
from media.recording import mix
from media.wav import Samples
from sipcore.conferences.slack import Slack
from sipcore.liveaudio.audiowire import TICK_S, TICKS_PER_S
from sipcore.liveaudio.line import AudioFrame, AudioLine
from sipcore.session import Session

_PREFETCH_FRAMES: Final = 2
"""So much of a member's voice has to be there before it is begun with: the room's tick and its own are not in step."""
_HELD_FRAMES: Final = 4
"""Beyond it the oldest is dropped, or the delay would stay."""
_AHEAD_FRAMES: Final = 3
"""So much may wait to be heard by a member; beyond it a frame is left out."""
_EAR: Final = "ear"
"""Who hears all and says nothing, beside the members; no call id."""

Sound = Callable[[int], Samples]
"""Makes a sound at a rate in Hz."""
Ear = Callable[[Samples, int], None]
"""Gets one frame of 20 ms and its rate in Hz; must not block."""


class Member:
    """One call in a room.

    Attributes:
        is_muted: The others do not hear it.
        dropped: Frames that were left out, on either way: there were too many, or the delay could be shortened.
    """

    def __init__(self, session: Session, on_end: Callable[[str], None]) -> None:
        self.session = session
        self.is_muted = False
        self.dropped = 0
        self._clock = asyncio.get_running_loop().time
        self._said: deque[tuple[float, Samples]] = deque()
        """With when it came."""
        self._is_flowing = False
        self._is_hearing = False
        self._speech, self._hearing = Slack(), Slack()
        self._last_tick_s = 0.0
        self._silent_ticks = 0
        self._line: AudioLine = session.open_audio(self._take, lambda: on_end(self._line.error))

    def _take(self, frame: AudioFrame) -> None:
        self._last_tick_s = self._clock()
        self._said.append((self._last_tick_s, frame.samples))
        while len(self._said) > _HELD_FRAMES:
            self._said.popleft()
            self.dropped += 1

    def next_frame(self) -> Samples | None:
        """What it says in this tick; `None`: nothing, or nobody may hear it."""
        self._is_flowing = self._is_flowing or len(self._said) >= _PREFETCH_FRAMES
        frame = self._pop() if self._is_flowing else None
        return None if self.is_muted else frame

    def _pop(self) -> Samples | None:
        if not self._said:
            self._speech.miss()  # it comes in the next tick, and all after it are a tick later: the depth has grown
            return None
        came_s, frame = self._said.popleft()
        if self._said and self._speech.can_spare(self._clock() - came_s, frame):
            self.dropped += 1
            _, frame = self._said.popleft()
        return frame

    @property
    def rate_hz(self) -> int:
        """Of its audio; 0 before the first frame. The same for all workers of a switch."""
        return self._line.rate_hz

    @property
    def late(self) -> int:
        """Frames that were not there when they were needed, on either way: 20 ms of silence each."""
        return self._speech.missing + self._hearing.missing

    @property
    def depth_frames(self) -> tuple[int, float]:
        """How much waits now: of what it says, and of what it shall hear."""
        return len(self._said), self._line.queued_samples / max(1, self.rate_hz) * TICKS_PER_S

    def hear(self, samples: Samples) -> None:
        """Let it hear this."""
        waiting = self._line.queued_samples // len(samples)
        self._count_silence()
        if waiting >= _AHEAD_FRAMES or self._hearing.can_spare(self._early_s(waiting), samples):
            self.dropped += 1
            return
        if not self._is_hearing:
            self._is_hearing = True
            self._line.put(np.zeros_like(samples), at_once=True)  # a frame in hand for the first time that our tick is late
        self._line.put(samples, at_once=True)

    def _count_silence(self) -> None:
        silent_ticks = self._line.silent_ticks
        if self._is_hearing:
            for _ in range(silent_ticks - self._silent_ticks):
                self._hearing.miss()  # each has made the depth grow
        self._silent_ticks = silent_ticks

    def _early_s(self, waiting: int) -> float:
        """How long before it is needed a frame is there that is written now behind so many."""
        return waiting * TICK_S + self._last_tick_s + TICK_S - self._clock()

    def close(self) -> None:
        """The call goes on outside of the room."""
        self._line.close()


class Room:
    """Its members hear each other; it works as long as there are any.

    Args:
        name: Of the room.
        on_empty: Called when the last member has left.

    Attributes:
        ear: Gets all that is said in the room, muted members left out, as long as there are members.
    """

    def __init__(self, name: str, on_empty: Callable[[], None] = lambda: None) -> None:
        self.name = name
        self.ear: Ear | None = None
        self._on_empty = on_empty
        self._members: dict[str, Member] = {}
        self._waiting_sounds: list[tuple[str, Sound]] = []
        self._sounds: list[tuple[str, Samples]] = []
        self._timer: asyncio.TimerHandle | None = None

    @property
    def members(self) -> tuple[Member, ...]:
        """In the order in which they came."""
        return tuple(self._members.values())

    def join(self, session: Session, on_end: Callable[[str], None] | None = None) -> Member:
        """Take a call in; one that is in already stays as it is.

        Args:
            session: The call.
            on_end: Called when its audio is over, with why when it could not even begin; it has to `leave`, which is all that is done
                otherwise.
        """
        call_id = session.id
        if call_id not in self._members:
            self._members[call_id] = Member(session, on_end or (lambda _: self.leave(call_id)))
        if self._timer is None:
            self._wait(asyncio.get_running_loop().time() + TICK_S)
        return self._members[call_id]

    def leave(self, call_id: str) -> None:
        """Let a call out; its end does so by itself."""
        member = self._members.pop(call_id, None)
        if member is None:
            return
        member.close()
        if not self._members:
            self.close()
            self._on_empty()

    def sound(self, make: Sound, by: str = "") -> None:
        """Let all members hear a sound, beside what they say; not the one it is made `by`, by call id, in the room or out of it already."""
        if self._members:
            self._waiting_sounds.append((by, make))

    def close(self) -> None:
        """Let all out. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._waiting_sounds.clear()
        self._sounds.clear()
        members, self._members = self._members, {}
        for member in members.values():
            member.close()

    def _wait(self, when: float) -> None:
        self._timer = asyncio.get_running_loop().call_at(when, self._tick, when)

    def _tick(self, when: float) -> None:
        self._wait(when + TICK_S)
        rate_hz = next((member.rate_hz for member in self._members.values() if member.rate_hz), 0)
        if not rate_hz:
            return
        said = {call_id: frame for call_id, member in self._members.items() if (frame := member.next_frame()) is not None}
        self._add_sounds(said, rate_hz)
        heard = mix_minus(said, [*self._members, _EAR])
        if self.ear is not None:
            self.ear(heard.get(_EAR, np.zeros(rate_hz // TICKS_PER_S, np.int16)), rate_hz)
        for call_id, samples in heard.items():
            if call_id in self._members:
                self._members[call_id].hear(samples)

    def _add_sounds(self, said: dict[str, Samples], rate_hz: int) -> None:
        """Each is part of what its maker says, so that he is the one who does not hear it."""
        self._sounds += [(by, make(rate_hz)) for by, make in self._waiting_sounds]
        self._waiting_sounds.clear()
        size = rate_hz // TICKS_PER_S
        for by, samples in self._sounds:
            frame = np.pad(samples[:size], (0, max(0, size - len(samples))))
            said[by] = mix(said[by], frame) if by in said else frame
        self._sounds = [(by, samples[size:]) for by, samples in self._sounds if len(samples) > size]
