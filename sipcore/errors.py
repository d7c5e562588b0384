"""Everything sipcore raises.

    SipcoreError
    ├── ConfigError          a configuration file or keyword is wrong; lists every fault with its path
    ├── InvalidRequest       what `create` was asked for cannot be done; lists every fault with its path
    ├── InvalidState         a call was asked for something its state does not allow
    ├── CapacityError        no room for another call now; try again later
    ├── CallNotFound         no call has this id
    ├── RecordingNotFound    no recording has this id
    ├── ConferenceNotFound   no conference has this id or name
    ├── MemberNotFound       a call is not in this conference
    ├── ConferenceRefused    a conference cannot do now what it is asked for
    ├── CallFailed           a call that was waited for ended before it was answered
    ├── ActionFailed         what a handler asked a call to do could not be done; the call goes on
    ├── QueueFull            more audio was written than may wait to be played
    ├── SwitchClosed         the switch is not open (any more)
    │   └── SwitchDraining   it is about to close: calls go on, new ones are not taken
    └── EngineError          PJSIP could not be started here

The far end and the network never raise: what they do is an event and ends up in the call's record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class SipcoreError(Exception):
    """Base of all errors of sipcore."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, and where: `path` is dotted, `actions[0].option.text`."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class _FaultyInput(SipcoreError):
    def __init__(self, faults: Sequence[Fault] | str) -> None:
        self.faults: tuple[Fault, ...] = (Fault("", faults),) if isinstance(faults, str) else tuple(faults)
        super().__init__("; ".join(str(fault) for fault in self.faults))


class ConfigError(_FaultyInput):
    """A configuration is wrong; `faults` has all of it at once."""


class InvalidRequest(_FaultyInput, ValueError):
    """A request for a call is wrong; `faults` has all of it at once."""


class InvalidState(SipcoreError):
    """A call in state `status` cannot take `input`."""

    def __init__(self, call_id: str, status: str, input_name: str) -> None:
        self.call_id, self.status, self.input_name = call_id, status, input_name
        super().__init__(f"call {call_id}: {input_name} is not possible while it is {status}")


class CapacityError(SipcoreError):
    """No room: `needed` legs asked for, `in_use` of `limit` taken."""

    def __init__(self, needed: int, in_use: int, limit: int, what: str = "legs") -> None:
        self.needed, self.in_use, self.limit = needed, in_use, limit
        super().__init__(f"no room for {needed} more {what}: {in_use} of {limit} in use")


class CallNotFound(SipcoreError, LookupError):
    """No call has the id `call_id`."""

    def __init__(self, call_id: str) -> None:
        self.call_id = call_id
        super().__init__(f"no call {call_id!r}")


class RecordingNotFound(SipcoreError, LookupError):
    """No recording has the id `recording_id`."""

    def __init__(self, recording_id: str) -> None:
        self.recording_id = recording_id
        super().__init__(f"no recording {recording_id!r}")


class ConferenceNotFound(SipcoreError, LookupError):
    """No conference has the id or the name `conference`."""

    def __init__(self, conference: str) -> None:
        self.conference = conference
        super().__init__(f"no conference {conference!r}")


class MemberNotFound(SipcoreError, LookupError):
    """The call `call_id` is not in the conference `conference_id`."""

    def __init__(self, conference_id: str, call_id: str) -> None:
        self.conference_id, self.call_id = conference_id, call_id
        super().__init__(f"call {call_id!r} is not in conference {conference_id}")


class ConferenceRefused(SipcoreError):
    """The conference `conference_id` cannot do now what it is asked for."""

    def __init__(self, conference_id: str, why: str) -> None:
        self.conference_id, self.why = conference_id, why
        super().__init__(f"conference {conference_id}: {why}")


class CallFailed(SipcoreError):
    """A call ended without an answer; `reason` is its hangup reason, `sip_code` the final answer (0: none came)."""

    def __init__(self, reason: str, sip_code: int) -> None:
        self.reason, self.sip_code = reason, sip_code
        super().__init__(f"call failed: {reason}" + (f" ({sip_code})" if sip_code else ""))


class ActionFailed(SipcoreError):
    """An action of the call `call_id` failed; `detail` says why. The call itself goes on."""

    def __init__(self, call_id: str, action_type: str, detail: str) -> None:
        self.call_id, self.action_type, self.detail = call_id, action_type, detail
        super().__init__(f"call {call_id}: {action_type} failed: {detail}")


class QueueFull(SipcoreError):
    """`written_s` seconds of audio were to be played after `queued_s` others, and `limit_s` may wait."""

    def __init__(self, queued_s: float, written_s: float, limit_s: float) -> None:
        self.queued_s, self.written_s, self.limit_s = queued_s, written_s, limit_s
        super().__init__(f"{queued_s:.1f} s of audio wait to be played: {written_s:.1f} s more are over the limit of {limit_s:g} s")


class SwitchClosed(SipcoreError):
    """The switch was not started, or is closed."""


class SwitchDraining(SwitchClosed):
    """The switch takes no new calls, because it is about to close."""


class EngineError(SipcoreError):
    """The engine cannot run on this machine."""
