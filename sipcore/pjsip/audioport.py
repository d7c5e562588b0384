"""Live audio of legs: one Python port on the bridge each, which moves 20 ms a tick between PJSIP and a socket to call control.

Destroying a port while PJSIP runs corrupts its heap, so a port that is free again is kept for the next one. It is made when it is first
needed: a port costs the bridge's clock a call into Python each tick, whether anything is connected to it or not.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from typing import Any, Final, Protocol

import pjsua2 as pj

from sipcore import engine
from sipcore.liveaudio import audiowire

from .guard import guarded
from .mediaframe import FrameSource, content, content_by_swig, fill_by_swig, frames_are_plain
from .siptext import readable
from .threadstate import keep_thread_state

_BITS: Final = 16
_MAX_FAULTS: Final = 4
MAX_PORTS: Final = 32
"""Of one worker, for its four legs; the bridge has 254 places."""

_REST_S: Final = 0.25
"""From one use to the next: the bridge disconnects at the next tick of its clock, and the clock's thread may still be inside."""


class Outbox:
    """What the ports of one worker have to send in this tick. The first packet wakes call control, which finds the others then.

    The bridge goes through its places in order, so the tick is over with the last of them. Of the clock's thread, but for `last`.
    """

    def __init__(self) -> None:
        self.last: AudioPort | None = None
        self._waiting: list[tuple[AudioPort, Any, bytes]] = []

    def add(self, port: AudioPort, sock: Any, packet: bytes) -> None:
        """To be sent at the end of the tick."""
        self._waiting.append((port, sock, packet))

    def send(self) -> None:
        """The tick is over."""
        waiting, self._waiting = self._waiting, []
        for port, sock, packet in waiting:
            try:
                sock.send(packet)
            except BlockingIOError:
                pass  # call control does not read: it sees the missing tick
            except OSError:
                port.is_broken = True


class AudioPort(pj.AudioMediaPort):  # type: ignore[misc]
    """A place on the bridge. `onFrame...` run on the clock's thread, and are all that runs there; the rest is the owner thread's.

    One that hears what the far end hears has no socket: it keeps its frame for the port that has. The bridge goes through its places in
    order, so it must be the one that was made first to be of the same tick.

    Attributes:
        number: In the order in which they were made.
    """

    # Of a port that is being destroyed, at the end of the worker: the clock's thread may come once more when it has no attributes any more.
    _outbox = Outbox()
    heard: bytes | None = None
    """Where it keeps what it hears: this is what it does, unless `None`."""
    is_broken = False
    """Call control has closed its end."""
    _sock: Any = None

    def __init__(self, number: int, rate_hz: int, outbox: Outbox) -> None:
        super().__init__()
        self.number = number
        self._outbox = outbox
        self._near: AudioPort | None = None
        self.faults: deque[tuple[str, str]] = deque(maxlen=_MAX_FAULTS)
        """Of the clock's thread, for the owner's to tell."""
        self._tick = self._taken = 0
        self._frame_bytes = rate_hz // audiowire.TICKS_PER_S * audiowire.SAMPLE_BYTES
        self._silence = bytes(self._frame_bytes)
        is_plain = frames_are_plain()
        self._read = content if is_plain else content_by_swig
        self._fill = FrameSource(self._frame_bytes).fill if is_plain else fill_by_swig
        form = pj.MediaFormatAudio()
        form.init(pj.PJMEDIA_FORMAT_PCM, rate_hz, 1, int(audiowire.TICK_S * 1_000_000), _BITS)
        self.createPort(f"audio{number}", form)
        if outbox.last is None or outbox.last.getPortId() < self.getPortId():
            outbox.last = self

    def report_fault(self, where: str, details: str) -> None:
        """For the guard."""
        self.is_broken = True  # not the same fault fifty times a second
        self.faults.append((where, details))

    def open(self, sock: Any, near: AudioPort | None) -> None:
        """Begin."""
        self._tick = self._taken = 0
        self.is_broken = False
        self._near = near
        self._sock = sock

    def listen(self) -> None:
        """Keep what is heard, for another port."""
        self.heard = self._silence

    def shut(self) -> Any:
        """Stop; the socket, if it had one, which is to be closed when the clock's thread cannot use it any more."""
        sock, self._sock = self._sock, None
        self._near = self.heard = None
        return sock

    @guarded
    def onFrameReceived(self, frame: Any) -> None:
        """What the leg says. Comes each tick, without content while nothing is connected."""
        keep_thread_state()
        self._receive(frame)
        if self._outbox.last is self:
            self._outbox.send()

    def _receive(self, frame: Any) -> None:
        sock = self._sock
        if sock is None or self.is_broken:
            if self.heard is not None:
                self.heard = self._read(frame) or self._silence
            return
        self._tick = (self._tick + 1) % audiowire.WRAP
        samples = self._read(frame) or self._silence
        near = self._near
        heard = b"" if near is None else near.heard or self._silence
        self._outbox.add(self, sock, audiowire.HEAD.pack(self._tick, self._taken) + samples + heard)

    @guarded
    def onFrameRequested(self, frame: Any) -> None:
        """What the leg shall hear; without content: silence."""
        sock = self._sock
        if sock is None or self.is_broken:
            return
        try:
            samples = sock.recv(audiowire.MAX_PACKET_BYTES)
        except BlockingIOError:
            return
        except OSError:
            samples = b""
        if not samples:
            self.is_broken = True
            return
        self._taken = (self._taken + 1) % audiowire.WRAP
        if len(samples) == self._frame_bytes:
            self._fill(frame, samples)


class TappedLeg(Protocol):
    """What is needed of a leg."""

    call_id: str
    audio: Any
    taps: list[Tap]

    @property
    def ears(self) -> list[Any]:
        """What hears what the far end hears."""


class Patch(Protocol):
    """Who knows what a leg hears."""

    def add_ear(self, leg: Any, ear: Any) -> None:
        """Let this hear what the far end hears."""

    def remove_ear(self, leg: Any, ear: Any) -> None:
        """No longer."""


class Host(Protocol):
    """What the desk needs of its worker."""

    def emit(self, event: engine.Event) -> None:
        """Send an event to the control process."""

    def report_fault(self, where: str, details: str) -> None:
        """An `EngineFault` of no particular call."""


class Tap:
    """One `OpenAudio` that is carried out; `near` is its port that hears what the far end hears, if it is to."""

    def __init__(self, order: engine.OpenAudio, port: AudioPort, sock: Any, near: AudioPort | None) -> None:
        self.order = order
        self.port = port
        self.near = near
        if near is not None:
            near.listen()
        port.open(sock, near)

    def connect(self, leg: TappedLeg) -> None:
        """The leg has (new) media."""
        if leg.audio is not None:
            leg.audio.startTransmit(self.port)
            self.port.startTransmit(leg.audio)
        for ear in leg.ears:
            self.port.startTransmit(ear)

    def disconnect(self, leg: TappedLeg) -> None:
        """The leg lives on without it."""
        if leg.audio is not None:
            leg.audio.stopTransmit(self.port)
            self.port.stopTransmit(leg.audio)
        for ear in leg.ears:
            self.port.stopTransmit(ear)


class AudioDesk:
    """The live audio of the legs of one worker. Owner thread only."""

    def __init__(self, legs: Mapping[str, TappedLeg], rate_hz: int, host: Host, patch: Patch) -> None:
        self._legs = legs
        self._patch = patch
        self._rate_hz = rate_hz
        self._host = host
        self._outbox = Outbox()
        self._ports: list[AudioPort] = []
        """All that were ever made."""
        self._free: deque[AudioPort] = deque()
        self._resting: deque[tuple[float, AudioPort, Any]] = deque()
        self._tapped: dict[str, TappedLeg] = {}

    @property
    def next_due_s(self) -> float | None:
        """When `tend` has something to do (monotonic); `None`: nothing that can be foreseen."""
        return self._resting[0][0] if self._resting else None

    def open(self, order: engine.OpenAudio) -> None:
        """Carry out a command; one for a leg that is not there is ignored."""
        leg = self._legs.get(order.call_id)
        if leg is None:
            return
        try:
            sock = audiowire.connect(order.address)
        except (OSError, ValueError) as error:
            self._refuse(order, str(error))
            return
        try:
            near, port = sorted((self._port(), self._port()), key=lambda port: port.number) if order.hears_near else (None, self._port())
        except (pj.Error, OverflowError) as error:
            sock.close()
            self._refuse(order, readable(error.reason) if isinstance(error, pj.Error) else str(error))
            return
        tap = Tap(order, port, sock, near)
        leg.taps.append(tap)
        self._tapped[leg.call_id] = leg
        if near is not None:
            self._patch.add_ear(leg, near)
        tap.connect(leg)

    def _refuse(self, order: engine.OpenAudio, why: str) -> None:
        self._host.emit(engine.AudioRefused(order.call_id, order.audio_id, why))

    def connect(self, leg: TappedLeg) -> None:
        """The leg has (new) media."""
        for tap in leg.taps:
            tap.connect(leg)

    def remove(self, leg: TappedLeg) -> None:
        """The leg is over, its place on the bridge is gone already."""
        self._tapped.pop(leg.call_id, None)
        while leg.taps:
            self._rest(leg.taps.pop())

    def tend(self, now_s: float) -> None:
        """Let go of those that call control has closed, and of sockets that nobody can use any more."""
        for leg in list(self._tapped.values()):
            for tap in [tap for tap in leg.taps if tap.port.is_broken]:
                tap.disconnect(leg)
                if tap.near is not None:
                    self._patch.remove_ear(leg, tap.near)
                leg.taps.remove(tap)
                self._rest(tap)
            if not leg.taps:
                del self._tapped[leg.call_id]
        while self._resting and self._resting[0][0] <= now_s:
            _, port, sock = self._resting.popleft()
            if sock is not None:
                sock.close()
            self._free.append(port)
        for port in self._ports:
            while port.faults:
                self._host.report_fault(*port.faults.popleft())

    def close(self) -> None:
        """Destroy the ports, at the end of the worker."""
        for leg in list(self._tapped.values()):
            self.remove(leg)
        while self._resting:
            if (sock := self._resting.popleft()[2]) is not None:
                sock.close()
        self._free.clear()
        self._outbox.last = None
        self._ports.clear()

    def _port(self) -> AudioPort:
        if self._free:
            return self._free.popleft()
        if len(self._ports) >= MAX_PORTS:
            raise OverflowError(f"more than {MAX_PORTS} places for live audio at once in one worker")
        port = AudioPort(len(self._ports), self._rate_hz, self._outbox)
        self._ports.append(port)
        return port

    def _rest(self, tap: Tap) -> None:
        for port in (tap.port, tap.near):
            if port is not None:
                self._resting.append((time.monotonic() + _REST_S, port, port.shut()))
