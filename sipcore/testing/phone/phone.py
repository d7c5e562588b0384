"""A scriptable far end: a real SIP and RTP endpoint on UDP that a test or a demo tells what to do."""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from sipcore.testing.impairment import Impairment

from .assertions import HeardAssertions
from .audio import Source, Tone, source_of
from .call import PhoneCall
from .calling import Credentials
from .digest import DigestRule
from .endpoint import Endpoint
from .loop import Loop
from .media_session import may_send
from .registering import Registration
from .script import Faults, Rejection, Script
from .sip_message import Header, uri_target

if TYPE_CHECKING:
    from sipcore.testing.hearing import Capture

_T1_S = 0.5  # RFC 3261 §17.1.1.1
_GOODBYE_S = 1.0


class Phone(HeardAssertions):
    """A telephone on UDP. By default it rings and answers at once, and sends silence.

    What it shall do is said before the call and frozen for each call when its INVITE arrives; a later order
    counts for later calls. Orders add up until `reset`. Every method may be called from any thread; none runs on the phone's own.
    """

    def __init__(
        self,
        name: str = "phone",
        host: str = "127.0.0.1",
        *,
        port: int = 0,
        codecs: Sequence[str] = ("PCMU", "PCMA"),
        t1_s: float = _T1_S,
        goodbye_s: float = _GOODBYE_S,
    ) -> None:
        """Describe the phone.

        `port` 0 takes a free one, `codecs` is what it can do, `t1_s` is SIP's T1, `goodbye_s` is how long `close` waits for answers.
        """
        if not isinstance(ipaddress.ip_address(host), ipaddress.IPv4Address) or ipaddress.ip_address(host).is_unspecified:
            raise ValueError(f"host is an IPv4 address of this machine, not {host!r}")
        if not codecs or not set(codecs) <= {"PCMU", "PCMA"}:
            raise ValueError(f"codecs are PCMU and PCMA, not {codecs!r}")
        self.name, self.host = name, host
        self._port, self._codecs, self._t1_s = port, tuple(codecs), t1_s
        self._goodbye_s = goodbye_s
        self._script = Script()
        self._loop: Loop | None = None
        self._endpoint: Endpoint | None = None
        self._registrations: list[Registration] = []
        self._taken = 0

    # ----------------------------------------------------------------------------------------------- open and close

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def start(self) -> None:
        """Bind the port and start the phone's thread."""
        if self._endpoint is not None:
            raise RuntimeError(f"phone {self.name} was started before")
        loop = Loop(f"phone-{self.name}")
        try:
            self._endpoint = Endpoint(loop, self.name, self.host, self._port, self._codecs, self._t1_s, lambda: self._script)
        except OSError:
            loop.start()
            loop.stop()
            raise
        self._loop = loop
        loop.start()

    def close(self) -> None:
        """Hang up, take registrations back, wait at most `goodbye_s` for the answers, close all sockets, join the thread. May be repeated.

        Raises:
            RuntimeError: the phone itself failed; the cause is chained.
        """
        loop, endpoint = self._loop, self._endpoint
        if loop is None or endpoint is None:
            return
        self._loop = None
        with loop.changed:
            endpoint.shut_down()
            registered = [registration for registration in self._registrations if registration.code == 200]
            for registration in registered:
                registration.send(0)
            ended = [call for call in endpoint.calls if call.ended_by]
            loop.changed.wait_for(
                lambda: all(call.is_settled for call in ended) and all(registration.code for registration in registered), self._goodbye_s
            )
        loop.stop(before_closing=endpoint.close)
        if loop.failures:
            raise RuntimeError(f"phone {self.name} failed") from loop.failures[0]

    # --------------------------------------------------------------------------------------------------- what it is

    @property
    def sip_port(self) -> int:
        """The UDP port for SIP."""
        return self._opened().sip_port

    @property
    def uri(self) -> str:
        """The phone's address: `sip:bob@127.0.0.1:40000`."""
        return f"sip:{self.name}@{self.host}:{self.sip_port}"

    @property
    def malformed(self) -> int:
        """How many datagrams at the SIP port were not SIP."""
        return self._opened().malformed

    @property
    def calls(self) -> list[PhoneCall]:
        """Every call, in order of arrival; they stay readable after `close`."""
        endpoint = self._opened()
        with endpoint.loop.changed:
            return list(endpoint.calls)

    @property
    def last_call(self) -> PhoneCall:
        """The call that arrived last.

        Raises:
            AssertionError: nobody called.
        """
        calls = self.calls
        if not calls:
            raise AssertionError(f"nobody called {self.name}")
        return calls[-1]

    def wait_call(self, timeout_s: float) -> PhoneCall:
        """Return the next call that no `wait_call` has returned yet, waiting for it if need be.

        Raises:
            TimeoutError: none within `timeout_s`.
        """
        endpoint = self._opened()
        with endpoint.loop.changed:
            if not endpoint.loop.changed.wait_for(lambda: len(endpoint.calls) > self._taken, timeout_s):
                raise TimeoutError(f"nobody called {self.name} within {timeout_s:g} s")
            self._taken += 1
            return endpoint.calls[self._taken - 1]

    # ------------------------------------------------------------------------------------- what it does with a call

    def reset(self) -> None:
        """Forget every order: ring and answer at once, send silence."""
        self._script = Script()

    def answer_after(self, seconds: float) -> None:
        """Ring (180) at once and answer after `seconds`."""
        self._set(ring_s=seconds, rejection=None, is_silent=False)

    ring_for = answer_after

    def ring_forever(self) -> None:
        """Ring and never answer."""
        self._set(ring_s=None, rejection=None, is_silent=False)

    def silent(self) -> None:
        """Answer nothing at all, not even CANCEL."""
        self._set(is_silent=True)

    def reject(self, code: int, reason: str | None = None, after_s: float = 0.0, headers: Iterable[Header] = ()) -> None:
        """Refuse with `code` (300 to 699), ringing first when `after_s` is not 0. `reason` replaces the usual phrase."""
        self._set(rejection=Rejection(code, reason, tuple(headers)), ring_s=after_s, is_silent=False)

    def early_media(self, what: str | Path | float | Source) -> None:
        """Instead of ringing send 183 and a sound file, or a tone in Hz, until the answer."""
        self._set(early_media=source_of(what))

    def play(self, path: str | Path) -> None:
        """Send a sound file after the answer, then silence."""
        self._set(audio=source_of(path))

    def tone(self, hz: float, level_dbfs: float = -12.0) -> None:
        """Send a tone after the answer, all the time."""
        self._set(audio=Tone(hz, level_dbfs))

    def send_digits_after(self, seconds: float, digits: str) -> None:
        """Press keys `seconds` after the answer (RFC 4733)."""
        self._set(digits=digits, digits_after_s=seconds)

    def hang_up_after(self, seconds: float, reason: str | None = None) -> None:
        """Send BYE `seconds` after the answer, with `reason` as its Reason header: `Q.850;cause=16` (RFC 3326)."""
        self._set(hang_up_after_s=seconds, hang_up_reason=reason)

    hangup_after = hang_up_after

    def answers_bye(self, yes: bool) -> None:
        """Choose whether BYE gets its 200."""
        self._set(answers_bye=yes)

    def ignore_bye(self) -> None:
        """Leave every BYE without an answer; the call is over all the same."""
        self.answers_bye(False)  # noqa: FBT003

    def require_digest(self, username: str, password: str, realm: str = "test", code: int = 401, *, in_dialog: bool = False) -> None:
        """Challenge each INVITE with 401 or 407, `in_dialog` also BYE and re-INVITE; 403 for a wrong password."""
        self._set(digest=DigestRule(username, password, realm, code, in_dialog))

    def _set(self, **changes: Any) -> None:
        self._script = dataclasses.replace(self._script, **changes)

    def impair(self, sent: Impairment | None = None, *, received: Impairment | None = None) -> None:
        """Let a bad network lose, delay, reorder, double what the phone sends, and what it receives; without arguments a good one."""
        self._set(impairs_sent=sent, impairs_received=received)

    def misbehave(
        self,
        *,
        ringback_after_s: float = 0.0,
        late_ringback: bool = False,
        no_ack: bool = False,
        no_answer_to_bye: bool = False,
        double_bye: bool = False,
        one_way: bool = False,
    ) -> None:
        """Break the rules, to see who notices. Without arguments: no more.

        Args:
            ringback_after_s: Send nothing but 100 for so long.
            late_ringback: Send another 180 after the 200.
            no_ack: Acknowledge no answer to a call of the phone's own, and behave as if the ACKs were lost.
            no_answer_to_bye: Leave every BYE without an answer.
            double_bye: Hang up with two BYEs.
            one_way: Send no audio.
        """
        faults = Faults(ringback_after_s, late_ringback=late_ringback, no_ack=no_ack, double_bye=double_bye, one_way=one_way)
        self._set(faults=faults, answers_bye=not no_answer_to_bye)

    # --------------------------------------------------------------------------------------------------- calls of its own

    def call(self, uri: str, *, username: str = "", password: str = "") -> PhoneCall:
        """Call a SIP URI of an IPv4 address; return at once, see `PhoneCall.wait_answered`.

        What was said for calls that come counts for this one too: `play`, `tone`, `send_digits_after`, `hang_up_after`, `impair`,
        `misbehave`.
        `username` and `password` answer a digest challenge; without them those of the registration there.

        Raises:
            ValueError: the URI does not name an address that the phone may send to; one on loopback never sends beyond it.
        """
        endpoint = self._opened()
        if not uri.lower().startswith("sip:") or not may_send(self.host, uri_target(uri)[0]):
            raise ValueError(f"the phone at {self.host} can call sip:user@address:port, an IPv4 address within its reach, not {uri!r}")
        known = (registration.credentials for registration in self._registrations if registration.address == uri_target(uri))
        with endpoint.loop.changed:
            return endpoint.call(uri, Credentials(username, password) if username else next(known, None))

    def register(self, registrar: str, username: str, password: str, *, expires_s: int = 300, timeout_s: float = 5.0) -> None:
        """Be reachable through a PBX, `sip:127.0.0.1:5060`, as its user `username`, until the phone closes, or for `expires_s` seconds.

        Calls to that PBX are made with these credentials from now on, and the phone bears the name of the user best.

        Raises:
            ValueError: the URI does not name an address that the phone may send to.
            AssertionError: the registrar has refused.
            TimeoutError: it has not answered.
        """
        endpoint = self._opened()
        if not registrar.lower().startswith("sip:") or not may_send(self.host, uri_target(registrar)[0]):
            raise ValueError(f"the phone at {self.host} registers at sip:address:port, an IPv4 address within its reach, not {registrar!r}")
        with endpoint.loop.changed:
            registration = Registration(endpoint, registrar, Credentials(username, password))
            registration.send(expires_s)
            endpoint.loop.changed.wait_for(lambda: registration.code, timeout_s)
            registration.stop()
        if not registration.code:
            raise TimeoutError(f"{registrar} has not answered to REGISTER of {username} within {timeout_s:g} s")
        if registration.code != 200:
            raise AssertionError(f"{registrar} has refused to register {username}: {registration.code}")
        self._registrations.append(registration)

    # ---------------------------------------------------------------------------------------------- on the last call

    def hangup(self, reason: str | None = None) -> None:
        """End the last call, see `PhoneCall.hang_up`; before the first one: hang up at once after an answer."""
        if self.calls:
            self.last_call.hang_up(reason)
        else:
            self.hang_up_after(0.0, reason)

    def send_digits(self, digits: str) -> None:
        """Press keys on the last call, see `PhoneCall.send_digits`; before the first one: right after an answer."""
        if self.calls:
            self.last_call.send_digits(digits)
        else:
            self.send_digits_after(0.0, digits)

    def capture(self) -> Capture:
        """Return what was heard on the last call."""
        return self.last_call.capture()

    def _opened(self) -> Endpoint:
        if self._endpoint is None:
            raise RuntimeError(f"phone {self.name} is not started: use it in a with statement")
        return self._endpoint
