"""A scriptable far end: a real SIP and RTP endpoint on UDP that a test or a demo tells what to do."""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from .audio import Source, Tone, source_of
from .call import PhoneCall
from .digest import DigestRule
from .endpoint import Endpoint
from .loop import Loop
from .script import Rejection, Script
from .sip_message import Header

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_T1_S = 0.5  # RFC 3261 §17.1.1.1
_GOODBYE_S = 1.0


class Phone:
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
        """Hang up every call, wait at most `goodbye_s` for the answers, close all sockets and join the thread. May be repeated.

        Raises:
            RuntimeError: the phone itself failed; the cause is chained.
        """
        loop, endpoint = self._loop, self._endpoint
        if loop is None or endpoint is None:
            return
        self._loop = None
        with loop.changed:
            endpoint.shut_down()
            ended = [call for call in endpoint.calls if call.ended_by]
            loop.changed.wait_for(lambda: all(call.is_settled for call in ended), self._goodbye_s)
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

    # ---------------------------------------------------------------------------------------------- on the last call

    def hangup(self, reason: str | None = None) -> None:
        """End the last call; see `PhoneCall.hang_up`."""
        self.last_call.hang_up(reason)

    def send_digits(self, digits: str) -> None:
        """Press keys on the last call; see `PhoneCall.send_digits`."""
        self.last_call.send_digits(digits)

    def assert_heard(self, reference: str | Path | NDArray[np.int16], min_correlation: float = 0.9, min_coverage: float = 0.9) -> None:
        """See `PhoneCall.assert_heard`."""
        self.last_call.assert_heard(reference, min_correlation, min_coverage)

    def assert_tone(self, hz: float, tolerance_hz: float = 10.0) -> None:
        """See `PhoneCall.assert_tone`."""
        self.last_call.assert_tone(hz, tolerance_hz)

    def assert_silence(self, max_dbfs: float = -50.0) -> None:
        """See `PhoneCall.assert_silence`."""
        self.last_call.assert_silence(max_dbfs)

    def assert_digits(self, digits: str) -> None:
        """See `PhoneCall.assert_digits`."""
        self.last_call.assert_digits(digits)

    def assert_no_gaps(self, max_ms: float = 60.0) -> None:
        """See `PhoneCall.assert_no_gaps`."""
        self.last_call.assert_no_gaps(max_ms)

    def _opened(self) -> Endpoint:
        if self._endpoint is None:
            raise RuntimeError(f"phone {self.name} is not started: use it in a with statement")
        return self._endpoint
