"""What a phone heard: RTP packets put back in time, presses, losses and gaps."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from sipcore.testing import g711

from .audio import RATE_HZ
from .rtp import ReceivedPacket, event_digit, parse_packet

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sipcore.testing.hearing.capture import Capture

_JUMP_SAMPLES = 60 * RATE_HZ  # a larger step between two packets is a new stream, not a loss
_AUDIBLE_DBFS = -50.0
_DECODERS = {"PCMU": g711.decode_mu_law, "PCMA": g711.decode_a_law}
_STATIC = {0: "PCMU", 8: "PCMA"}


class Listener:
    """Collects the packets of one call. `codecs` maps payload types to codec names."""

    def __init__(self) -> None:
        self.packets: list[ReceivedPacket] = []
        self.codecs: dict[int, str] = dict(_STATIC)
        self.event_payload_types: set[int] = set()
        self.address = ""
        """Where it listens, `host:port`."""
        self.digits = ""
        self.malformed = 0
        self.presses: list[tuple[str, float]] = []
        """Each digit with the arrival of its first packet."""
        self.hold_ups: list[tuple[float, float]] = []
        """When whoever listens was held up itself: from when it had something to do to when it came to it."""
        self._presses: set[tuple[int, int]] = set()

    def receive(self, datagram: bytes, arrival_s: float, source: str = "") -> None:
        """Take one datagram from the RTP port; `source` is `host:port`."""
        packet = parse_packet(datagram, arrival_s, source)
        if packet is None:
            self.malformed += 1
            return
        self.packets.append(packet)
        press = (packet.ssrc, packet.timestamp)  # every packet of a press has the same timestamp (RFC 4733 §2.2)
        if packet.payload_type in self.event_payload_types and press not in self._presses:
            self._presses.add(press)
            if digit := event_digit(packet.payload):
                self.digits += digit
                self.presses.append((digit, arrival_s))

    def snapshot(self, begin: int = 0) -> Listener:
        """Return what has come so far, from packet `begin` on, which no more comes to. Under the lock of whoever fills the listener."""
        taken = Listener()
        taken.packets, taken.codecs, taken.presses = self.packets[begin:], dict(self.codecs), list(self.presses)
        taken.event_payload_types, taken.hold_ups = set(self.event_payload_types), list(self.hold_ups)
        return taken

    def audio(self) -> list[tuple[ReceivedPacket, NDArray[np.int16]]]:
        """Return the audio packets with their samples, in order of arrival."""
        return [
            (packet, _DECODERS[self.codecs[packet.payload_type]](packet.payload))
            for packet in self.packets
            if packet.payload_type in self.codecs and packet.payload
        ]


def capture(name: str, listener: Listener) -> Capture:
    """Return what was heard, for the assertions of `sipcore.testing.hearing`; of a snapshot, as this takes its time."""
    from media.dtmf_detector import Press
    from media.measure import Span
    from sipcore.testing.hearing.capture import Capture

    audio, packets = listener.audio(), tuple(listener.packets)
    wave = laid_out(audio).astype(np.float32) / np.float32(32768)
    begin_s = audio[0][0].arrival_s if audio else 0.0
    presses = tuple(Press(digit, at_s - begin_s) for digit, at_s in listener.presses)
    codec = listener.codecs[audio[0][0].payload_type] if audio else ""
    held_up = tuple(Span(due_s - begin_s, done_s - begin_s) for due_s, done_s in listener.hold_ups)
    return Capture(wave, RATE_HZ, name, packets, presses if listener.event_payload_types else None, codec, held_up)


def laid_out(audio: Sequence[tuple[ReceivedPacket, NDArray[np.int16]]], rate_hz: int = RATE_HZ) -> NDArray[np.int16]:
    """Put every packet where its timestamp says, from the first one on; what did not arrive is zero.

    Timestamps count 1/8000 s; the samples may be of a multiple of that (G.722, RFC 3551 §4.5.2).

    A stream that starts anew (another SSRC, or a jump of a minute) is put where it arrived.
    """
    placed: list[tuple[int, NDArray[np.int16]]] = []
    position = end = 0
    previous: ReceivedPacket | None = None
    for packet, samples in audio:
        step = 0 if previous is None else _signed(packet.timestamp - previous.timestamp)
        if previous is not None and (packet.ssrc != previous.ssrc or abs(step) > _JUMP_SAMPLES):
            position = max(end, round((packet.arrival_s - audio[0][0].arrival_s) * rate_hz))
        else:
            position += step * rate_hz // RATE_HZ
        previous = packet
        end = max(end, position + len(samples))
        placed.append((position, samples))
    first = min((start for start, _ in placed), default=0)
    heard = np.zeros(end - first, dtype=np.int16)
    for start, samples in placed:
        heard[start - first : start - first + len(samples)] = samples
    return heard


def lost_packets(packets: Sequence[ReceivedPacket]) -> int:
    """Return how many sequence numbers are missing, per SSRC (RFC 3550 §A.3); a repeated packet counts once."""
    lost = 0
    for ssrc in {packet.ssrc for packet in packets}:
        numbers = sequence_numbers([packet.sequence for packet in packets if packet.ssrc == ssrc])
        lost += max(numbers) - min(numbers) + 1 - len(set(numbers))
    return lost


def max_gap_ms(packets: Sequence[ReceivedPacket]) -> float:
    """Return the longest time between the arrivals of two packets that followed each other; 0 with fewer than two."""
    return max(((later.arrival_s - earlier.arrival_s) * 1000 for earlier, later in pairwise(packets)), default=0.0)


def first_audible_s(audio: Sequence[tuple[ReceivedPacket, NDArray[np.int16]]]) -> float | None:
    """Return when the first packet above -50 dBFS (RMS) arrived."""
    threshold = 32768 * 10 ** (_AUDIBLE_DBFS / 20)
    for packet, samples in audio:
        if np.sqrt(np.mean(samples.astype(np.float64) ** 2)) > threshold:
            return packet.arrival_s
    return None


def _signed(step: int) -> int:
    """Return a difference of two 32-bit timestamps with its sign."""
    return (step + 2**31) % 2**32 - 2**31


def sequence_numbers(sequences: Sequence[int]) -> list[int]:
    """Return sequence numbers that go on where those of 16 bits begin anew."""
    if not sequences:
        return []
    extended = [sequences[0]]
    for earlier, later in pairwise(sequences):
        extended.append(extended[-1] + (later - earlier + 2**15) % 2**16 - 2**15)
    return extended
