"""The SIP messages of a call as a ladder diagram of plain text, for terminals and Markdown.

    time       192.0.2.10:5060                             198.51.100.1:5060
    +0.000     |--- INVITE (1, PCMU PCMA) ----------------->|
    +0.004     |<-- 100 Trying (1 INVITE) ------------------|

The middle column is us; whoever spoke first stands on its left, whom we spoke to first on its right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sipcore.sip_summary import clean, summarize
from sipcore.wire import TracedMessage

DEFAULT_WIDTH: Final = 100
MIN_WIDTH: Final = 60
_TIME_WIDTH: Final = 11
_MIN_GAP: Final = 22
_MAX_GAP: Final = 64
_OTHERS: Final = "others"


@dataclass(frozen=True, slots=True)
class _Columns:
    names: tuple[str, ...]
    us: int
    gap: int

    def of(self, party: str) -> int:
        """The column of a far end."""
        return self.names.index(party if party in self.names else _OTHERS)


def draw_ladder(messages: Sequence[TracedMessage], width: int = DEFAULT_WIDTH) -> str:
    """The diagram, no line longer than `width` (at least 60), each with a line feed.

    Nothing but printable ASCII is in it, whatever the far end sent. Parties that find no room share a column. A message that was sent
    before, every byte the same, is marked "again".
    """
    if not messages:
        return "no messages\n"
    columns = _lay_out(messages, max(width, MIN_WIDTH))
    lines = [_title(columns)]
    seen: set[tuple[bool, str, str]] = set()
    for message in messages:
        if message.missing:
            lines.append(f"{'...':<{_TIME_WIDTH}}({message.missing} messages were not kept)")
        key = (message.is_sent, message.remote, message.text)
        lines.append(f"{_offset(message.time - messages[0].time):<{_TIME_WIDTH}}{_arrow(message, columns, key in seen)}".rstrip())
        seen.add(key)
    return "\n".join([*lines, ""])


def _lay_out(messages: Sequence[TracedMessage], width: int) -> _Columns:
    has_sent_first = {message.remote: message.is_sent for message in reversed(messages)}
    parties = list(dict.fromkeys(message.remote for message in messages))
    room = (width - _TIME_WIDTH - 1) // _MIN_GAP
    has_others = len(parties) > room
    shown = parties[: room - 1] if has_others else parties
    left = [party for party in shown if not has_sent_first[party]]
    right = [party for party in shown if has_sent_first[party]]
    names = (*left, _our_name(messages), *right, *([_OTHERS] if has_others else []))
    return _Columns(names, len(left), min(_MAX_GAP, (width - _TIME_WIDTH - 1) // (len(names) - 1)))


def _our_name(messages: Sequence[TracedMessage]) -> str:
    addresses = dict.fromkeys(message.local for message in messages)
    return f"us {next(iter(addresses))}" + (" ..." if len(addresses) > 1 else "")


def _title(columns: _Columns) -> str:
    names = [_clipped(clean(name), columns.gap - 2).ljust(columns.gap) for name in columns.names[:-1]]
    last = _clipped(clean(columns.names[-1]), columns.gap)
    # The last name ends below its line, so that nothing is wider than the diagram.
    room = columns.gap * (len(columns.names) - 1) + 1
    start = "".join(names)
    if len(start) + len(last) > room:
        start = start[: max(0, room - len(last))]
    return f"{'time':<{_TIME_WIDTH}}{start}{last}"


def _arrow(message: TracedMessage, columns: _Columns, is_again: bool) -> str:
    them, us = columns.of(message.remote), columns.us
    left, right = min(them, us), max(them, us)
    name, more = summarize(message.text)
    if columns.names[them] == _OTHERS:
        name = f"{clean(message.remote)} {name}"
    name = f"{name} again" if is_again else name
    label = f"{name} ({more})" if more else name
    is_rightward = message.is_sent == (us < them)
    inner = _shaft(label, (right - left) * columns.gap - 1, is_rightward)
    before = "|".ljust(columns.gap) * left
    after = "".join("|".rjust(columns.gap) for _ in range(len(columns.names) - 1 - right))
    return f"{before}|{inner}|{after}"


def _shaft(label: str, width: int, is_rightward: bool) -> str:
    shown = f" {_clipped(label, width - 8)} "
    return f"---{shown}".ljust(width - 1, "-") + ">" if is_rightward else f"<--{shown}".ljust(width, "-")


def _clipped(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(0, width - 3)] + "..."


def _offset(seconds: float) -> str:
    return f"{seconds:+.3f}"
