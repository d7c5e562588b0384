"""An RTP far end for SIP that somebody else speaks: hears PCMU, says a tone or a file, and answers to where it is talked to from."""

from __future__ import annotations

import contextlib
import select
import threading
import time
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from media.measure import tone_level_db, tone_to_rest_db
from sipcore.testing import g711
from sipcore.testing.arrival import ANCILLARY_BYTES, arrival_s, note_arrivals
from sipcore.testing.phone.audio import FRAME_MS, FRAME_SAMPLES, RATE_HZ, Source, source_of
from sipcore.testing.phone.listening import Listener, capture, laid_out, lost_packets, max_gap_ms
from sipcore.testing.phone.rtp import DIGITS, ReceivedPacket, event_frames, format_packet
from sipcore.testing.ports import bind_rtp_pair

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sipcore.testing.hearing.capture import Capture

PCMU: Final = 0  # RFC 3551 table 4
Key = tuple[int, bytes | None]
"""A payload type, and what of a press goes out in 20 ms; `None`: a pause."""
_FRAME_S: Final = FRAME_MS / 1000
_IDLE_S: Final = 0.1
_AUDIBLE_DBFS: Final = -40.0
_TONE_TO_REST_DB: Final = 20.0


class RtpSink:
    """One RTP port with a thread of its own.

    It sends only after it has received: to the address the last packet came from, as a far end behind NAT does. So nobody has to read an
    SDP for it; the scenario that names its `port` is enough.

    Args:
        says: A tone (Hz), a sound file or a source; silence of the wire when `None`.
        host: Where to bind.

    Attributes:
        port: The RTP port; RTCP's is the next one.
    """

    def __init__(self, says: str | Path | float | Source | None = None, host: str = "127.0.0.1") -> None:
        self._rtp, self._rtcp = bind_rtp_pair(host)
        note_arrivals(self._rtp)
        self.port: int = self._rtp.getsockname()[1]
        self._source = None if says is None else source_of(says)
        self._keys: deque[Key] = deque()
        self._listener = Listener()
        self._listener.address = f"{host}:{self.port}"
        self._changed = threading.Condition()
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name=f"rtp-sink-{self.port}", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stop the thread and close the ports. Idempotent; what was heard stays."""
        self._is_closing = True
        self._thread.join()
        self._rtp.close()
        self._rtcp.close()

    @property
    def packets(self) -> list[ReceivedPacket]:
        """RTP packets so far, in order of arrival."""
        with self._changed:
            return list(self._listener.packets)

    @property
    def address(self) -> str:
        """`host:port` of the RTP port."""
        return self._listener.address

    @property
    def lost(self) -> int:
        """Sequence numbers that never came."""
        packets = self.packets
        return lost_packets(packets) if packets else 0

    @property
    def max_gap_ms(self) -> float:
        """Longest time between two packets."""
        return max_gap_ms(self.packets)

    def send_digits(self, digits: str, payload_type: int = 101) -> None:
        """Press keys (RFC 4733), 180 ms each, as soon as somebody has sent something here; `payload_type` as the SDP of the scenario says.

        Raises:
            ValueError: not a digit of a phone.
        """
        if not set(digits.upper()) <= set(DIGITS):
            raise ValueError(f"{digits!r} has more than {DIGITS}")
        self._keys.extend((payload_type, frame) for digit in digits.upper() for frame in event_frames(digit))

    def heard(self) -> NDArray[np.int16]:
        """What was heard so far, 8 kHz, laid out by timestamp."""
        with self._changed:
            audio = self._listener.audio()
        return laid_out(audio)

    def capture(self) -> Capture:
        """What was heard so far with its packets, for the assertions of `sipcore.testing.hearing`."""
        with self._changed:
            heard = self._listener.snapshot()
        return capture(f"RTP port {self.port}", heard)

    def wait_for_packets(self, count: int, timeout_s: float = 10.0) -> None:
        """Wait for `count` more packets than there are now; each is 20 ms.

        Raises:
            TimeoutError: they did not come.
        """
        with self._changed:
            wanted = len(self._listener.packets) + count
            if not self._changed.wait_for(lambda: len(self._listener.packets) >= wanted, timeout_s):
                raise TimeoutError(f"{wanted - len(self._listener.packets)} of {count} RTP packets missing after {timeout_s:g} s")

    def wait_for_tone(self, hz: float, duration_s: float = 0.5, timeout_s: float = 10.0) -> None:
        """Wait until the last `duration_s` heard is this tone and nothing else (all else 20 dB below it).

        Raises:
            TimeoutError: it never was.
        """
        end_s = time.monotonic() + timeout_s
        samples = round(duration_s * RATE_HZ)
        while True:
            latest = self.heard()[-samples:]
            level_db = tone_level_db(latest, hz, RATE_HZ)
            rest_db = tone_to_rest_db(latest, hz, RATE_HZ)
            if len(latest) == samples and level_db > _AUDIBLE_DBFS and rest_db > _TONE_TO_REST_DB:
                return
            if time.monotonic() > end_s:
                raise TimeoutError(
                    f"no {hz:g} Hz alone within {timeout_s:g} s: last it had {level_db:.1f} dBFS, {rest_db:.1f} dB to the rest"
                )
            with contextlib.suppress(TimeoutError):
                self.wait_for_packets(5, 0.2)

    # ------------------------------------------------------------------------------------------------- the thread

    def _run(self) -> None:
        sender: _Sender | None = None
        while not self._is_closing:
            wait_s = _IDLE_S if sender is None else min(_IDLE_S, max(0.0, sender.next_s - time.monotonic()))
            readable, _, _ = select.select([self._rtp, self._rtcp], [], [], wait_s)
            if self._rtcp in readable:
                with contextlib.suppress(OSError):
                    self._rtcp.recv(2048)
            if self._rtp in readable and (address := self._receive()) is not None:
                if sender is None and (self._source is not None or self._keys):
                    sender = _Sender(self._source, self._keys)
                if sender is not None:
                    sender.address = address
            if sender is not None:
                for packet in sender.due(time.monotonic()):
                    with contextlib.suppress(OSError):  # nobody is there any more
                        self._rtp.sendto(packet, sender.address)

    def _receive(self) -> tuple[str, int] | None:
        try:
            datagram, ancillary, _, address = self._rtp.recvmsg(2048, ANCILLARY_BYTES)
        except OSError:  # ICMP: a packet of ours did not arrive
            return None
        with self._changed:
            self._listener.receive(datagram, arrival_s(ancillary), f"{address[0]}:{address[1]}")
            self._changed.notify_all()
        return address[0], address[1]


class _Sender:
    """A PCMU stream paced at 20 ms (RFC 3550 §5.1), with pressed keys in it; without a source nothing but those."""

    def __init__(self, source: Source | None, keys: deque[Key]) -> None:
        self._source, self._keys = source, keys
        self._sent = self._timestamp = 0
        self._press_began: int | None = None  # every packet of a press has the timestamp of its start
        self._ssrc = int.from_bytes(np.random.default_rng().bytes(4), "big")
        self.next_s = time.monotonic()
        self.address = ("", 0)

    def due(self, now_s: float) -> list[bytes]:
        """The packets whose time has come; after a stall of this machine all that were missed, so that the clock stays right."""
        packets = []
        while self.next_s <= now_s:
            if (packet := self._packet()) is not None:
                packets.append(packet)
                self._sent += 1
            self._timestamp += FRAME_SAMPLES
            self.next_s += _FRAME_S
        return packets

    def _packet(self) -> bytes | None:
        payload_type, event = self._keys.popleft() if self._keys else (PCMU, None)
        if event is not None:
            is_first = self._press_began is None
            if self._press_began is None:
                self._press_began = self._timestamp
            return format_packet(payload_type, self._sent, self._press_began, self._ssrc, event, marker=is_first)
        self._press_began = None
        if self._source is None:
            return None
        payload = g711.encode_mu_law(self._source.frame(self._timestamp))
        return format_packet(PCMU, self._sent, self._timestamp, self._ssrc, payload, marker=self._sent == 0)
