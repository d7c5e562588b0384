"""What crosses the wall between call control and the process that holds PJSIP.

`Engine` is the whole contract. Orders go down as commands, news comes up as events; both are frozen values, so
the same call control runs on the pool of PJSIP workers and on the in-memory fake of `sipcore.testing`.
The promises an engine makes:

* `reserve` either keeps room for all the legs of a group in one place, where they can hear each other, or raises
  `CapacityError` and keeps nothing.
* `submit` never blocks and never raises for what the network or the far end does: that comes back as an event.
* After `Dial` of a call, exactly one `CallDisconnected` follows, on every path, a killed worker included, and it is the last
  event of that call but for `RecordingFinished`. A command for a call that is unknown or over is ignored.
  The id may be dialled again after it (a redirection does so).
* Commands of one call are carried out in the order of submission, events arrive in the order they happened.
* `Play`, `Bridge` before the media of a leg is up are kept and take effect as soon as it is.
* A call from outside is an `Offer`. Nothing of it exists until the `on_offer` given to `start` has accepted it; from then on it is a call
  like any other: commands for it are kept until its leg is there, and exactly one `CallDisconnected` ends it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

# ---------------------------------------------------------------------------------------------------- commands


@dataclass(frozen=True, slots=True)
class Account:
    """Who we are towards one trunk; equal accounts share one PJSIP account.

    `route_uri` is the next hop for every request (RFC 3261 §8.1.2 loose route), `None` sends to the request URI.
    """

    username: str = ""
    password: str = ""
    realm: str = "*"
    route_uri: str | None = None
    srtp: str = "off"
    """`off`, `optional` or `required`: SDES keys in SDP (RFC 4568)."""

    def __repr__(self) -> str:  # a password never reaches a log
        return f"Account(username={self.username!r}, route_uri={self.route_uri!r})"


@dataclass(frozen=True, slots=True)
class Dial:
    """Send an INVITE. Every string here has been checked by `sipcore.addresses`: no control characters, no URI headers."""

    call_id: str
    group_id: str
    """The reservation this leg takes its place from."""
    request_uri: str
    """`sip:+8210...@trunk.example:5060;transport=tcp`"""
    from_uri: str
    """The name-addr of the From header: `"Name" <sip:+8210...@host>`."""
    account: Account
    headers: tuple[tuple[str, str], ...] = ()
    codecs: tuple[str, ...] = ()
    """RTP names in the order of preference, `PCMU/8000`; empty: every codec of the switch, in its order."""
    targets: tuple[str, ...] = ()
    """Where the INVITE may be sent, in this order, each `host[:port][;transport=udp|tcp|tls]`: the next one is tried when there is no
    answer in time, no connection, or a 503. Empty: where the request URI says (RFC 3263)."""


@dataclass(frozen=True, slots=True)
class Ring:
    """Answer an incoming INVITE with 180 (RFC 3261 §21.1.2), or with 183 and SDP: what is played from then on is early media."""

    call_id: str
    sip_code: int = 180


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer an incoming INVITE with 200; `CallConfirmed` follows with the far end's ACK."""

    call_id: str


@dataclass(frozen=True, slots=True)
class Reject:
    """Refuse an incoming INVITE that is not answered yet with a final code, 300 to 699. `CallDisconnected` follows."""

    call_id: str
    sip_code: int
    sip_phrase: str = ""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Hold:
    """Put the far end on hold by a re-INVITE with `a=sendonly` (RFC 3264 §8.4), or take it back."""

    call_id: str
    is_held: bool = True


@dataclass(frozen=True, slots=True)
class Transfer:
    """Send a REFER (RFC 3515); `TransferProgressed` tells what became of it. Our own leg stays up until it is hung up."""

    call_id: str
    target_uri: str
    replaced_id: str = ""
    """The leg that the far end is to take our place in (RFC 3891), one of the same group; its far end is the target then."""


@dataclass(frozen=True, slots=True)
class AnswerTransfer:
    """Tell a far end that has sent a REFER what came of it: 202 or a refusal first, then its NOTIFYs; the last is a final code."""

    call_id: str
    sip_code: int


@dataclass(frozen=True, slots=True)
class Hangup:
    """End the leg: CANCEL before the answer, BYE after it (RFC 3261 §9, §15); an incoming call that is not answered is refused with 603."""

    call_id: str
    reason: str = ""
    """Value of the Reason header (RFC 3326); empty: none."""


@dataclass(frozen=True, slots=True)
class Play:
    """Play one file to the leg; files of one leg play one at a time, a new one replaces the running one.

    `path` names a 16-bit PCM mono WAV that `media` wrote, at least 20 ms long; PJSIP never sees another file.
    Ends with `PlaybackFinished`, unless the leg ends first; one that is replaced ends with the error "replaced". `loop` repeats until
    `StopPlay`.
    """

    call_id: str
    play_id: str
    path: str
    loop: bool = False


@dataclass(frozen=True, slots=True)
class StopPlay:
    """Stop the file of this id, at once; no `PlaybackFinished` follows. Ignored when it is over already."""

    call_id: str
    play_id: str


@dataclass(frozen=True, slots=True)
class SendDigits:
    """Press keys: as RFC 4733 events, or as INFO with `application/dtmf-relay`; in tones they are played as a file.

    Ends with `DigitsSent`, unless the leg ends first. Digits of one leg are sent one after the other; new ones replace those that are
    not sent yet, which end with the error "replaced". A leg without media gets `DigitsSent` with an error, and so does one whose far end
    takes no telephone-event (`NO_TELEPHONE_EVENT`) or refuses INFO.
    """

    call_id: str
    send_id: str
    digits: str
    """0-9, A-D, `#`, `*`"""
    duration_ms: int = 200
    interval_ms: int = 100
    """Silence after each digit. With RFC 4733 it is longer where it has to be: an event ends with three packets (§2.5.1.4)."""
    mode: str = "rfc4733"
    """`rfc4733` or `info`"""


NO_TELEPHONE_EVENT = "the far end takes no telephone-event"
"""What `DigitsSent` says when RFC 4733 was not negotiated."""


@dataclass(frozen=True, slots=True)
class StopDigits:
    """Send no more digits of this id; no `DigitsSent` follows. Ignored when they are sent already."""

    call_id: str
    send_id: str


@dataclass(frozen=True, slots=True)
class AwaitDigits:
    """Somebody waits for digits of this leg, so that they are told at once, or does no longer.

    Otherwise they may be told 100 ms late, and their process sleeps longer.
    """

    call_id: str
    is_awaited: bool = True


@dataclass(frozen=True, slots=True)
class AwaitAudio:
    """Tell by `AudioArrived` when the first RTP packet of this leg has come, to within about 10 ms; otherwise nobody is told."""

    call_id: str


@dataclass(frozen=True, slots=True)
class Bridge:
    """Let two legs of one group hear each other, both ways. A leg bridged with itself hears itself."""

    call_id: str
    peer_id: str


@dataclass(frozen=True, slots=True)
class Unbridge:
    """Undo `Bridge`. A leg that ends is taken out of its bridges by the engine."""

    call_id: str
    peer_id: str


@dataclass(frozen=True, slots=True)
class Mute:
    """Silence a leg, or let it be heard again; what is connected to it stays connected.

    `in`: nobody hears what the far end says. `out`: the far end hears nothing. `both`.
    """

    call_id: str
    direction: str
    is_muted: bool = True


def recording_files(path: str) -> tuple[str, str]:
    """Where `StartRecording` writes: what the far end says, and what it hears."""
    return f"{path}.said.wav", f"{path}.heard.wav"


@dataclass(frozen=True, slots=True)
class StartRecording:
    """Record a leg, from now on, into the two files of `recording_files(path)`: 16-bit PCM mono WAV, sample-aligned.

    Each file can be played at any moment: at most about a second is missing at its end. Ends with `RecordingFinished`, which may follow the
    `CallDisconnected` of its call.
    """

    call_id: str
    recording_id: str
    path: str


@dataclass(frozen=True, slots=True)
class StopRecording:
    """End a recording; ignored when it is over already."""

    call_id: str
    recording_id: str


@dataclass(frozen=True, slots=True)
class OpenAudio:
    """Carry what the far end says to call control, and what call control says to the far end, as `sipcore.audiowire` has it.

    The engine connects to `address` at once; there is silence as long as the leg has no media. It goes on until either end closes the
    socket: the engine does so at the end of the leg. `AudioRefused` comes instead when it cannot begin.
    """

    call_id: str
    audio_id: str
    address: str
    hears_near: bool = False
    """Carry what the far end hears, too."""


@dataclass(frozen=True, slots=True)
class Register:
    """Keep a registration at a registrar alive (RFC 3261 §10), refreshed and retried until `Unregister`. Belongs to no call."""

    trunk: str
    registrar_uri: str
    """`sip:provider.example;transport=tls`"""
    address_of_record: str
    """`sip:alice@provider.example`"""
    contact_user: str
    """User part of the Contact: calls that come for it are this trunk's."""
    account: Account
    expires_s: int = 300
    retry_s: int = 30
    """First wait after a refusal or a timeout; it doubles to at most ten minutes."""
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unregister:
    """Take a registration back."""

    trunk: str


CallCommand = (
    Dial
    | Ring
    | Answer
    | Reject
    | Hold
    | Transfer
    | AnswerTransfer
    | Hangup
    | Play
    | StopPlay
    | SendDigits
    | StopDigits
    | AwaitDigits
    | AwaitAudio
    | Bridge
    | Unbridge
    | Mute
    | StartRecording
    | StopRecording
    | OpenAudio
)
Command = CallCommand | Register | Unregister

# ------------------------------------------------------------------------------------------------------ events


@dataclass(frozen=True, slots=True)
class CallProvisional:
    """A 101 to 199 answer to our INVITE."""

    call_id: str
    sip_code: int
    sip_phrase: str


@dataclass(frozen=True, slots=True)
class CallConfirmed:
    """The far end answered (2xx) and our ACK went out."""

    call_id: str
    sip_code: int
    sip_phrase: str


@dataclass(frozen=True, slots=True)
class MediaStarted:
    """The audio stream of the leg is up; may come before `CallConfirmed`, and again after a re-INVITE."""

    call_id: str
    codec: str
    """The RTP name, `PCMU/8000`."""


@dataclass(frozen=True, slots=True)
class PlaybackFinished:
    """The file played to its end, or could not be played: then `error` says why."""

    call_id: str
    play_id: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class DigitsSent:
    """The digits are sent, or could not be: then `error` says why."""

    call_id: str
    send_id: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class RecordingFinished:
    """Both files are complete, or cannot be made any longer: then `error` says why, and what there is can be played.

    The one event that may come after `CallDisconnected`; it does not come at all when the worker is lost.
    """

    call_id: str
    recording_id: str
    duration_s: float
    error: str = ""


@dataclass(frozen=True, slots=True)
class AudioRefused:
    """An `OpenAudio` cannot be carried out."""

    call_id: str
    audio_id: str
    error: str


@dataclass(frozen=True, slots=True)
class DtmfReceived:
    """One key press of the far end (RFC 4733 or SIP INFO), once, whichever way or ways it came."""

    call_id: str
    digit: str
    duration_ms: int


@dataclass(frozen=True, slots=True)
class HoldChanged:
    """The far end put us on hold (`a=sendonly` or `inactive` in its SDP, RFC 3264 §8.4), or took us back."""

    call_id: str
    is_held: bool


@dataclass(frozen=True, slots=True)
class RtpSourceChanged:
    """RTP of the leg comes from another address than before: NAT, a moved media gateway, or somebody who should not be heard."""

    call_id: str
    expected: str
    actual: str
    """`host:port`"""


@dataclass(frozen=True, slots=True)
class RtpSilent:
    """No RTP packet came for so long on an answered leg that should receive; once per silence."""

    call_id: str
    silent_s: float


@dataclass(frozen=True, slots=True)
class TransferAsked:
    """The far end sent a REFER (RFC 3515). It waits for `AnswerTransfer`."""

    call_id: str
    target_uri: str


@dataclass(frozen=True, slots=True)
class TransferProgressed:
    """What the far end said of our `Transfer`: 202 or a refusal of the REFER, then the sipfrag of each NOTIFY."""

    call_id: str
    sip_code: int
    sip_phrase: str
    is_final: bool


@dataclass(frozen=True, slots=True)
class RegistrationChanged:
    """A registration succeeded, failed or was taken back; with every change and every refusal."""

    trunk: str
    is_registered: bool
    sip_code: int
    sip_phrase: str
    expires_s: int = 0


@dataclass(frozen=True, slots=True)
class RtpStatistics:
    """What the RTP stream of a leg did, summed over re-INVITEs (RFC 3550 §6.4)."""

    codec: str = ""
    tx_packets: int = 0
    """Can be short of the last packet of each stream: 41 were counted once where 42 arrived."""
    tx_bytes: int = 0
    rx_packets: int = 0
    rx_bytes: int = 0
    rx_lost: int = 0
    rx_discarded: int = 0
    rx_reordered: int = 0
    rx_duplicates: int = 0
    rx_jitter_ms: float = 0.0
    """Mean interarrival jitter of the last stream."""
    rtt_ms: float = 0.0
    """Last round trip from RTCP, 0.0 when none arrived."""


@dataclass(frozen=True, slots=True)
class AudioArrived:
    """The first RTP packet of a leg has come; only after `AwaitAudio`, once for each."""

    call_id: str


@dataclass(frozen=True, slots=True)
class MediaStatistics:
    """How the RTP stream of a leg does, about once a second while it has media; an engine need not tell it."""

    call_id: str
    statistics: RtpStatistics
    """From the begin of the call until now; the last of them are in `CallDisconnected`."""
    jitter_ms: float = 0.0
    """Interarrival jitter now (RFC 3550 §6.4.1), not the mean."""


@dataclass(frozen=True, slots=True)
class CallDisconnected:
    """The leg is over, and its place in the group is free again.

    Underneath, PJSIP may need up to 32 s more for a far end that does not answer our BYE or CANCEL; the engine looks after that by itself.

    `sip_code` is the final answer to our INVITE when it was refused; after an answered call, 200 for a BYE that was sent or received;
    0 when no SIP message ended it (`error` then says what did: "worker lost", a PJSIP error).
    """

    call_id: str
    sip_code: int
    sip_phrase: str
    remote: bool
    """True when the far end or the network ended it, False when our own `Hangup` did."""
    q850_cause: int | None = None
    """From a Reason header (RFC 3326), when one came."""
    error: str = ""
    statistics: RtpStatistics | None = None
    redirect_uri: str = ""
    """First Contact of a 3xx answer (RFC 3261 §8.1.3.4): where the far end says the callee is."""


@dataclass(frozen=True, slots=True)
class EngineFault:
    """Something inside the engine went wrong that is not the far end's doing; for the log. `call_id` may be empty."""

    call_id: str
    message: str


Event = (
    CallProvisional
    | CallConfirmed
    | MediaStarted
    | PlaybackFinished
    | RecordingFinished
    | DigitsSent
    | AudioRefused
    | DtmfReceived
    | HoldChanged
    | RtpSourceChanged
    | RtpSilent
    | TransferAsked
    | TransferProgressed
    | AudioArrived
    | MediaStatistics
    | CallDisconnected
    | RegistrationChanged
    | EngineFault
)

# ----------------------------------------------------------------------------------------------------- inbound


@dataclass(frozen=True, slots=True)
class Offer:
    """An INVITE from outside that would open a call: well-formed, from a source we take calls from, within the limits.

    Every string is clean text without control characters; none of it is to be believed but `trunk`, `username` and `source`.
    """

    sip_call_id: str
    request_uri: str
    """`sip:1000@198.51.100.1:5060`"""
    from_uri: str
    from_name: str
    to_uri: str
    source: str
    """`host:port` the request came from."""
    transport: str
    """`udp`, `tcp` or `tls`"""
    trunk: str = ""
    """The trunk it belongs to, by source address or registration; empty: none."""
    username: str = ""
    """The phone account that proved itself by digest; empty: none."""
    headers: tuple[tuple[str, str], ...] = ()
    """Those of the request that call control may want: `P-Asserted-Identity`, `Diversion`, `User-Agent`, `X-...`."""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The offer becomes the call `call_id`, in a new group of this id with room for `legs` legs, itself included.

    An engine without room answers 503 with Retry-After, and `CallDisconnected` tells so.
    """

    call_id: str
    group_id: str
    legs: int
    codecs: tuple[str, ...] = ()
    srtp: str = "off"


@dataclass(frozen=True, slots=True)
class Refusal:
    """The offer is answered with this code and leaves no trace."""

    sip_code: int
    sip_phrase: str = ""
    headers: tuple[tuple[str, str], ...] = ()


OnOffer = Callable[[Offer], Acceptance | Refusal]


# ---------------------------------------------------------------------------------------------------- contract


class Engine(Protocol):
    """See the module docstring for the promises. Used from one asyncio event loop."""

    @property
    def leg_capacity(self) -> int:
        """The most legs one group can have: what one worker holds. Known after `start`."""

    @property
    def legs_in_use(self) -> int:
        """Legs reserved or alive, at most `max_legs`."""

    @property
    def sip_address(self) -> str:
        """`host:port` of our signalling; empty before `start`."""

    @property
    def tls_address(self) -> str:
        """`host:port` where SIP over TLS is listened for, the real port; empty before `start`, and when it is not."""

    async def start(self, on_event: Callable[[Event], None], on_offer: OnOffer | None = None) -> None:
        """Become ready to take commands. `on_event` is called on the event loop, one event at a time.

        `on_offer` decides, at once, on each call from outside; without it each is refused with 404.

        Raises:
            EngineError: the engine cannot run here; the message says what is missing.
        """

    def reserve(self, group_id: str, legs: int) -> None:
        """Keep room for `legs` legs that can hear each other, at once.

        Raises:
            CapacityError: no room; nothing is kept.
        """

    def release(self, group_id: str) -> None:
        """Give back what the group has reserved; legs of it that are still alive count until they are over. Idempotent."""

    def submit(self, command: Command) -> None:
        """Carry out a command; see the promises above."""

    async def close(self, grace_s: float) -> None:
        """End every call with BYE or CANCEL, then every process, within about `grace_s`; leaves nothing behind. Idempotent."""
