"""sipcore: place phone calls from Python.

    from sipcore import Connect, Play, Switch, Talk

    with Switch(trunk="sip:127.0.0.1:5080", caller_id="tel:+821028286521") as switch:
        call = switch.calls.create(destination="tel:+821021656521", actions=[Talk("hello. welcome.")])
        record = call.wait(timeout_s=90)

Names are loaded when they are first used: the worker processes import this package too, and must stay small.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sipcore.actions import (
        Action,
        Amd,
        Answer,
        Beep,
        Branch,
        ConditionDatetime,
        ConditionVariable,
        ConferenceJoin,
        Confirm,
        Connect,
        DigitsReceive,
        DigitsSend,
        Echo,
        Fetch,
        Goto,
        Hangup,
        Hold,
        Mute,
        Play,
        RecordingPause,
        RecordingResume,
        RecordingStart,
        RecordingStop,
        Reject,
        Run,
        Sleep,
        Stop,
        Talk,
        Transfer,
        Unhold,
        Unmute,
        VariableSet,
        WebhookSend,
    )
    from sipcore.addresses import Address
    from sipcore.calls import AsyncCall
    from sipcore.conferences.record import Conference, ConferenceMember, ConferencePage
    from sipcore.config import Config
    from sipcore.errors import (
        ActionFailed,
        CallFailed,
        CallNotFound,
        CapacityError,
        ConferenceNotFound,
        ConferenceRefused,
        ConfigError,
        EngineError,
        Fault,
        InvalidRequest,
        InvalidState,
        MemberNotFound,
        QueueFull,
        RecordingNotFound,
        SipcoreError,
        SwitchClosed,
        SwitchDraining,
    )
    from sipcore.events import (
        ActionFinished,
        ActionStarted,
        AnswererDetected,
        CallAnswered,
        CallCreated,
        CallDialing,
        CallEvent,
        CallHangingUp,
        CallHangup,
        CallHeld,
        CallMediaStarted,
        CallResumed,
        CallRinging,
        CallUpdated,
        ConferenceCreated,
        ConferenceEvent,
        ConferenceJoined,
        ConferenceLeft,
        ConferenceRecordingFinished,
        ConferenceRecordingStarted,
        ConferenceTerminated,
        ConferenceUpdated,
        DigitReceived,
        DigitsGathered,
        LegResult,
        RecordingFinished,
        RecordingStarted,
        Registration,
        RtpSourceMoved,
        RtpStopped,
        TransferRequested,
        TransferUpdated,
    )
    from sipcore.flight.record import FlightRecord
    from sipcore.liveaudio.line import AudioFrame
    from sipcore.liveaudio.reading import AsyncAudioReader, AudioReader
    from sipcore.load import LoadPlan, LoadReport
    from sipcore.plan import Plan, PlannedAction
    from sipcore.quality import Quality
    from sipcore.record import CallRecord, Page
    from sipcore.recordings.recording import Recording, RecordingPage
    from sipcore.switch import AsyncSwitch
    from sipcore.sync import Call, Switch

__version__ = "0.1.0"

_HOMES = {
    "sipcore.actions": (
        "Action",
        "Amd",
        "Answer",
        "Beep",
        "Branch",
        "ConditionDatetime",
        "ConditionVariable",
        "ConferenceJoin",
        "Confirm",
        "Connect",
        "DigitsReceive",
        "DigitsSend",
        "Echo",
        "Fetch",
        "Goto",
        "Hangup",
        "Hold",
        "Mute",
        "Play",
        "RecordingPause",
        "RecordingResume",
        "RecordingStart",
        "RecordingStop",
        "Reject",
        "Run",
        "Sleep",
        "Stop",
        "Talk",
        "Transfer",
        "Unhold",
        "Unmute",
        "VariableSet",
        "WebhookSend",
    ),
    "sipcore.addresses": ("Address",),
    "sipcore.liveaudio.reading": ("AsyncAudioReader", "AudioReader"),
    "sipcore.calls": ("AsyncCall",),
    "sipcore.conferences.record": ("Conference", "ConferenceMember", "ConferencePage"),
    "sipcore.config": ("Config",),
    "sipcore.errors": (
        "ActionFailed",
        "CallFailed",
        "CallNotFound",
        "CapacityError",
        "ConferenceNotFound",
        "ConferenceRefused",
        "ConfigError",
        "EngineError",
        "Fault",
        "InvalidRequest",
        "InvalidState",
        "MemberNotFound",
        "QueueFull",
        "RecordingNotFound",
        "SipcoreError",
        "SwitchClosed",
        "SwitchDraining",
    ),
    "sipcore.events": (
        "ActionFinished",
        "ActionStarted",
        "AnswererDetected",
        "CallAnswered",
        "CallCreated",
        "CallDialing",
        "CallEvent",
        "CallHangingUp",
        "CallHangup",
        "CallHeld",
        "CallMediaStarted",
        "CallResumed",
        "CallRinging",
        "CallUpdated",
        "ConferenceCreated",
        "ConferenceEvent",
        "ConferenceJoined",
        "ConferenceLeft",
        "ConferenceRecordingFinished",
        "ConferenceRecordingStarted",
        "ConferenceTerminated",
        "ConferenceUpdated",
        "DigitReceived",
        "DigitsGathered",
        "LegResult",
        "RecordingFinished",
        "RecordingStarted",
        "Registration",
        "RtpSourceMoved",
        "RtpStopped",
        "TransferRequested",
        "TransferUpdated",
    ),
    "sipcore.liveaudio.line": ("AudioFrame",),
    "sipcore.load": ("LoadPlan", "LoadReport"),
    "sipcore.flight.record": ("FlightRecord",),
    "sipcore.plan": ("Plan", "PlannedAction"),
    "sipcore.quality": ("Quality",),
    "sipcore.record": ("CallRecord", "Page"),
    "sipcore.recordings.recording": ("Recording", "RecordingPage"),
    "sipcore.switch": ("AsyncSwitch",),
    "sipcore.sync": ("Call", "Switch"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [  # noqa: RUF022 - grouped by module, as above
    "__version__",
    "Action", "Amd", "Answer", "Beep", "Confirm", "Connect", "DigitsReceive", "DigitsSend", "Play", "Reject", "Run", "Talk", "Transfer",
    "Branch", "ConditionDatetime", "ConditionVariable", "Fetch", "Goto", "Hangup", "Sleep", "Stop", "VariableSet", "WebhookSend",
    "Echo", "Hold", "Mute", "RecordingPause", "RecordingResume", "RecordingStart", "RecordingStop", "Unhold", "Unmute",
    "Recording", "RecordingFinished", "RecordingNotFound", "RecordingPage", "RecordingStarted",
    "Address", "Config", "Plan", "PlannedAction", "LoadPlan", "LoadReport",
    "ActionFailed", "CallFailed", "CallNotFound", "CapacityError", "ConfigError", "EngineError", "Fault", "InvalidRequest", "InvalidState",
    "SipcoreError", "SwitchClosed", "SwitchDraining",
    "ActionFinished", "ActionStarted", "CallAnswered", "CallCreated", "CallDialing", "CallEvent", "CallHangingUp", "CallHangup",
    "CallHeld", "CallMediaStarted", "CallResumed", "CallRinging", "CallUpdated", "DigitReceived", "DigitsGathered", "LegResult",
    "Conference", "ConferenceCreated", "ConferenceEvent", "ConferenceJoin", "ConferenceJoined", "ConferenceLeft", "ConferenceMember",
    "ConferenceNotFound", "ConferencePage", "ConferenceRecordingFinished", "ConferenceRecordingStarted", "ConferenceRefused",
    "ConferenceTerminated", "ConferenceUpdated", "MemberNotFound",
    "Registration",
    "AsyncAudioReader", "AudioFrame", "AudioReader", "QueueFull",
    "AnswererDetected", "RtpSourceMoved", "RtpStopped", "TransferRequested", "TransferUpdated",
    "CallRecord", "FlightRecord", "Page", "Quality", "AsyncCall", "AsyncSwitch", "Call", "Switch",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
