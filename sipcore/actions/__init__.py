"""What a call does: one frozen dataclass per action.

The dataclass is the only source: the Python value, its JSON form `{"type", "option", "id"}`, the JSON Schema and the checks
are all derived from it. A list is checked as a whole, and every fault is reported at once with its path
(`actions[2].option.text`), so nothing of a call starts that cannot be carried out.
"""

from sipcore.actions.audio import MAX_STREAM_URLS, Play, Talk
from sipcore.actions.base import Action, CheckedAddress
from sipcore.actions.calling import MAX_DESTINATIONS, Answer, Connect, Reject, Transfer
from sipcore.actions.lists import ACTION_TYPES, MAX_ACTIONS, MAX_STREAM_URLS_IN_ALL, json_schema, legs_needed, parse_action, parse_actions

__all__ = [
    "ACTION_TYPES",
    "MAX_ACTIONS",
    "MAX_DESTINATIONS",
    "MAX_STREAM_URLS",
    "MAX_STREAM_URLS_IN_ALL",
    "Action",
    "Answer",
    "CheckedAddress",
    "Connect",
    "Play",
    "Reject",
    "Talk",
    "Transfer",
    "json_schema",
    "legs_needed",
    "parse_action",
    "parse_actions",
]
