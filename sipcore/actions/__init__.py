"""What a call does: one frozen dataclass per action.

The dataclass is the only source: the Python value, its JSON form `{"type", "option", "id"}`, the JSON Schema and the checks
are all derived from it. A list is checked as a whole, and every fault is reported at once with its path
(`actions[2].option.text`), so nothing of a call starts that cannot be carried out.
"""

from sipcore.actions.amd import Amd
from sipcore.actions.audio import MAX_STREAM_URLS, Beep, Play, Talk
from sipcore.actions.base import Action, CheckedAddress
from sipcore.actions.calling import MAX_DESTINATIONS, Answer, Confirm, Connect, Reject, Transfer
from sipcore.actions.conference import ConferenceJoin
from sipcore.actions.digits import DigitsReceive, DigitsSend
from sipcore.actions.flow import (
    MAX_LOOPS,
    Branch,
    ConditionDatetime,
    ConditionVariable,
    Fetch,
    Goto,
    Hangup,
    Sleep,
    Stop,
    VariableSet,
    WebhookSend,
)
from sipcore.actions.lists import ACTION_TYPES, MAX_ACTIONS, MAX_STREAM_URLS_IN_ALL, json_schema, legs_needed, parse_action, parse_actions
from sipcore.actions.recording import (
    Echo,
    Hold,
    Mute,
    RecordingPause,
    RecordingResume,
    RecordingStart,
    RecordingStop,
    Unhold,
    Unmute,
)
from sipcore.actions.run import ListItem, Run

__all__ = [
    "ACTION_TYPES",
    "MAX_ACTIONS",
    "MAX_DESTINATIONS",
    "MAX_LOOPS",
    "MAX_STREAM_URLS",
    "MAX_STREAM_URLS_IN_ALL",
    "Action",
    "Amd",
    "Answer",
    "Beep",
    "Branch",
    "CheckedAddress",
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
    "ListItem",
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
    "json_schema",
    "legs_needed",
    "parse_action",
    "parse_actions",
]
