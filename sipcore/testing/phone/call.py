"""One call as the phone saw it: a record to assert on, safe to read from any thread."""

from __future__ import annotations

import enum
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from . import listening
from .assertions import HeardAssertions
from .audio import write_samples
from .listening import Listener
from .rtp import ReceivedPacket
from .sip_message import Headers, parse_message

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sipcore import wire
    from sipcore.testing.hearing import Capture


_LOOKED_AT_EVERY = 5
_OVERLAP_PACKETS = 25  # what came late, and the edges of a tone
"""Packets of 20 ms."""


class CallState(enum.Enum):
    """Where a call is; one of the phone's own begins with `CALLING`. `CANCELLED` is the end of one that the caller gave up
    before the answer.
    """

    INCOMING = "incoming"
    CALLING = "calling"
    RINGING = "ringing"
    EARLY = "early"
    ANSWERED = "answered"
    CANCELLED = "cancelled"
    ENDED = "ended"


class TracedMessage(NamedTuple):
    """A SIP message on the wire; `at_s` is monotonic, `direction` is `in` or `out`, `remote` is `host:port`."""

    at_s: float
    direction: str
    text: str
    remote: str = ""


@dataclass(slots=True)
class CallRecord:
    """What the loop's thread writes about a call."""

    call_id: str
    from_uri: str
    to_uri: str
    headers: Headers
    arrived_at: float
    address: str = ""
    """The phone's own SIP address, `host:port`."""
    listener: Listener = field(default_factory=Listener)
    messages: list[TracedMessage] = field(default_factory=list)
    state: CallState = CallState.INCOMING
    sip_code: int = 0
    ended_by: str = ""
    answered_at: float | None = None
    acknowledged_at: float | None = None
    ended_at: float | None = None
    is_settled: bool = False
    """Over, and nothing of it is due on the wire: its last ACK or the answer to its BYE came, or was given up."""


class CallControl(Protocol):
    """What can be done to a live call; under the loop's lock."""

    def hang_up(self, reason: str | None) -> None:
        """BYE, or a refusal before the answer."""

    def send_digits(self, digits: str) -> None:
        """Press keys."""


class PhoneCall(HeardAssertions):
    """A call that reached the phone, or that it made. Times are monotonic seconds."""

    def __init__(self, record: CallRecord, changed: threading.Condition, control: CallControl) -> None:
        self._record, self._changed, self._control = record, changed, control
        self.call_id, self.from_uri, self.to_uri = record.call_id, record.from_uri, record.to_uri

    @property
    def headers(self) -> Headers:
        """The INVITE's header fields, of the last one when it was sent again with credentials; those of the 200 when the phone called."""
        return self._record.headers

    @property
    def state(self) -> CallState:
        """Where the call is now."""
        return self._record.state

    @property
    def sip_code(self) -> int:
        """The final answer we gave, or got: 200, a refusal, 487 after CANCEL, 401 or 407 after a challenge; 0 before."""
        return self._record.sip_code

    @property
    def ended_by(self) -> str:
        """`local` (the phone), `remote`, or empty before the end."""
        return self._record.ended_by

    @property
    def is_settled(self) -> bool:
        """Whether the call is over and its last message has been exchanged or given up."""
        return self._record.is_settled

    @property
    def answered_at(self) -> float | None:
        """When the 200 was first sent, or came."""
        return self._record.answered_at

    @property
    def ended_at(self) -> float | None:
        """When BYE was sent or came, or the refusal was sent."""
        return self._record.ended_at

    @property
    def messages(self) -> list[TracedMessage]:
        """Every SIP message of the call in both directions, repeated ones included."""
        with self._changed:
            return list(self._record.messages)

    def traced(self) -> tuple[wire.TracedMessage, ...]:
        """Return them as SIP lint takes them, `sipcore.siplint.lint(phone.last_call.traced())`; times are since 1970."""
        from sipcore import wire

        offset_s = time.time() - time.monotonic()
        return tuple(
            wire.TracedMessage(at_s + offset_s, direction == "out", "udp", self._record.address, remote, text)
            for at_s, direction, text, remote in self.messages
        )

    def methods_received(self) -> list[str]:
        """Return the methods of the requests that came, in order: `["INVITE", "ACK", "BYE"]`."""
        first_words = [message.text.split(" ", 1)[0] for message in self.messages if message.direction == "in"]
        return [word for word in first_words if word != "SIP/2.0"]

    def codes_sent(self) -> list[int]:
        """Return the codes of the responses that went out, in order: `[180, 200, 200]`."""
        texts = [message.text for message in self.messages if message.direction == "out"]
        return [int(text.split(" ", 2)[1]) for text in texts if text.startswith("SIP/2.0 ")]

    def codes_received(self) -> list[int]:
        """Return the codes of the responses that came, in order."""
        texts = [message.text for message in self.messages if message.direction == "in"]
        return [int(text.split(" ", 2)[1]) for text in texts if text.startswith("SIP/2.0 ")]

    def wait_answered(self, timeout_s: float) -> None:
        """Return when the answer has been acknowledged (ACK).

        Raises:
            TimeoutError: not within `timeout_s`.
            AssertionError: the call ended without it.
        """
        record = self._record
        self._wait(lambda: record.acknowledged_at is not None or record.is_settled, timeout_s, "an ACK for the answer")
        if record.acknowledged_at is None:
            raise AssertionError(f"{self} ended without an acknowledged answer: {self.flow()}")

    def wait_ended(self, timeout_s: float) -> None:
        """Return when the call is over and its last message has been exchanged.

        Raises:
            TimeoutError: not within `timeout_s`.
        """
        self._wait(lambda: self._record.is_settled, timeout_s, "the end")

    def assert_hung_up(self, reason: str) -> None:
        """Fail unless the other side sent a BYE with this Reason header (RFC 3326), `Q.850;cause=16`; empty: with none."""
        byes = [message.text for message in self.messages if message.direction == "in" and message.text.startswith("BYE ")]
        if not byes:
            raise AssertionError(f"{self} was not hung up by the other side: {self.flow()}")
        given = parse_message(byes[0].encode("utf-8", "surrogateescape")).headers.get("reason")
        if given.replace(" ", "") != reason.replace(" ", ""):
            raise AssertionError(f"{self} was hung up with Reason {given!r}, not {reason!r}")

    def wait_digits(self, count: int, timeout_s: float) -> str:
        """Return the digits as soon as there are `count` of them.

        Raises:
            TimeoutError: not within `timeout_s`.
            AssertionError: the call is over, and there were not so many.
        """
        self._wait_before_end(lambda: len(self.digits), count, timeout_s, "digits")
        return self.digits

    def wait_packets(self, count: int, timeout_s: float) -> None:
        """Return when `count` RTP packets have come, 50 a second.

        Raises:
            TimeoutError: not within `timeout_s`.
            AssertionError: the call is over, and there were not so many.
        """
        self._wait_before_end(lambda: len(self._record.listener.packets), count, timeout_s, "RTP packets")

    def wait_tone(self, hz: float, timeout_s: float, min_s: float = 0.3, tolerance_hz: float = 10.0) -> None:
        """Return when a tone of `hz` has been heard for `min_s` on end, as `assert_tone` hears it.

        Raises:
            TimeoutError: not within `timeout_s`.
            AssertionError: the call is over, and it was not heard.
        """
        from sipcore.testing.hearing import tone_in

        until_s, packets = time.monotonic() + timeout_s, self._record.listener.packets
        looked_at = 0
        while True:
            is_over = self._record.is_settled
            with self._changed:
                begin, looked_at = max(0, looked_at - math.ceil(50 * min_s) - _OVERLAP_PACKETS), len(packets)
                heard = self._record.listener.snapshot(begin)
            if tone_in(listening.capture(str(self), heard), hz, min_s, tolerance_hz):
                return
            what = f"{hz:g} Hz for {min_s:g} s"
            if is_over:
                raise AssertionError(f"{self} ended without {what}: {self.flow()}")
            is_more = partial(self._have_come, looked_at + _LOOKED_AT_EVERY)
            self._wait(is_more, timeout_s, what, until_s - time.monotonic())

    def _have_come(self, packets: int) -> bool:
        return len(self._record.listener.packets) >= packets or self._record.is_settled

    def _wait_before_end(self, counted: Callable[[], int], wanted: int, timeout_s: float, what: str) -> None:
        self._wait(lambda: counted() >= wanted or self._record.is_settled, timeout_s, f"{wanted} {what}")
        if (got := counted()) < wanted:
            raise AssertionError(f"{self} ended with {got} of {wanted} {what}: {self.flow()}")

    def _wait(self, is_there: Callable[[], bool], timeout_s: float, what: str, left_s: float | None = None) -> None:
        with self._changed:
            if not self._changed.wait_for(is_there, timeout_s if left_s is None else max(0.0, left_s)):
                raise TimeoutError(f"{self} waited {timeout_s:g} s for {what}: {self.flow()}")

    def flow(self) -> str:
        """Return the call's messages as one line: `< INVITE > 180 > 200 < ACK`."""
        steps = []
        for _, direction, text, _ in self.messages:
            words = text.split(" ", 2)
            steps.append(("< " if direction == "in" else "> ") + (words[1] if words[0] == "SIP/2.0" else words[0]))
        return " ".join(steps)

    def hang_up(self, reason: str | None = None) -> None:
        """End this call: BYE once the answer is acknowledged, before it 603, or CANCEL when the phone called; nothing when it is over.

        `reason` is the value of a Reason header (RFC 3326).
        """
        with self._changed:
            self._control.hang_up(reason)

    def send_digits(self, digits: str) -> None:
        """Press keys on this call, 180 ms each (RFC 4733).

        Raises:
            RuntimeError: the call is over, or the other side did not offer telephone-event.
        """
        with self._changed:
            self._control.send_digits(digits)

    @property
    def packets(self) -> tuple[ReceivedPacket, ...]:
        """Every RTP packet, in order of arrival."""
        with self._changed:
            return tuple(self._record.listener.packets)

    @property
    def rtp_address(self) -> str:
        """Where the phone listens for them, `host:port`; empty before there was any audio."""
        return self._record.listener.address

    @property
    def digits(self) -> str:
        """The keys pressed by the other side (RFC 4733), one for each press."""
        return self._record.listener.digits

    @property
    def lost_packets(self) -> int:
        """How many RTP sequence numbers are missing."""
        return listening.lost_packets(self.packets)

    @property
    def max_gap_ms(self) -> float:
        """The longest time between two RTP packets."""
        return listening.max_gap_ms(self.packets)

    @property
    def first_rtp_at(self) -> float | None:
        """When the first RTP packet came."""
        return next((packet.arrival_s for packet in self.packets), None)

    @property
    def first_audible_at(self) -> float | None:
        """When the first packet above -50 dBFS came."""
        with self._changed:
            heard = self._record.listener.snapshot()
        return listening.first_audible_s(heard.audio())

    @property
    def sent_late_ms(self) -> float:
        """How late the phone sent the latest of its own packets, after its clock of 20 ms; 0 when none was later than 40 ms.

        More says that this process or its machine was held up: what was measured meanwhile is not about the thing under test alone.
        """
        with self._changed:
            return max(((done_s - due_s) * 1000 for due_s, done_s in self._record.listener.hold_ups), default=0.0)

    def heard(self) -> NDArray[np.int16]:
        """Return what was heard, 8 kHz from the first packet on, placed by RTP timestamp, zeros for what was lost."""
        with self._changed:
            heard = self._record.listener.snapshot()
        return listening.laid_out(heard.audio())

    def capture(self) -> Capture:
        """Return what was heard so far with its packets and presses, for the assertions of `sipcore.testing.hearing`."""
        with self._changed:
            heard = self._record.listener.snapshot()
        return listening.capture(str(self), heard)

    def write_wav(self, path: str | Path) -> None:
        """Write `heard()` as a 16-bit mono 8 kHz WAV."""
        write_samples(path, self.heard())

    def __repr__(self) -> str:
        return f"<PhoneCall {self.call_id} {self.state.value} {self.sip_code or ''}>"
