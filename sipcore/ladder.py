"""The SIP messages of a call as a ladder diagram of plain text, for terminals and Markdown.

    time       192.0.2.10:5060                             198.51.100.1:5060
    +0.000     |--- INVITE (1, PCMU PCMA) ----------------->|
    +0.004     |<-- 100 Trying (1 INVITE) ------------------|

The middle column is us; whoever spoke first stands on its left, whom we spoke to first on its right.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
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
class Remark:
    """What stands between the arrows: something that happened to the call."""

    at: float
    """Seconds since 1970, as the times of messages."""
    text: str


@dataclass(frozen=True, slots=True)
class Columns:
    """Who stands where, from left to right."""

    names: tuple[str, ...]
    us: int

    def of(self, party: str) -> int:
        """The column of a far end."""
        return self.names.index(party if party in self.names else _OTHERS)


def draw_ladder(messages: Sequence[TracedMessage], width: int = DEFAULT_WIDTH, remarks: Sequence[Remark] = ()) -> str:
    """The diagram, no line longer than `width` (at least 60), each with a line feed.

    Nothing but printable ASCII is in it, whatever the far end sent. Parties that find no room share a column. A message that was sent
    before, every byte the same, is marked "again". Remarks stand where they happened.
    """
    if not messages and not remarks:
        return "no messages\n"
    width = max(width, MIN_WIDTH)
    columns = arrange(messages, (width - _TIME_WIDTH - 1) // _MIN_GAP)
    gap = min(_MAX_GAP, (width - _TIME_WIDTH - 1) // max(1, len(columns.names) - 1))
    lines = [_title(columns, gap)] if messages else []
    repeated = repetitions(messages)
    began_at = min(*(message.time for message in messages[:1]), *(remark.at for remark in remarks[:1]), math.inf)
    for at, index, remark in _in_order(messages, remarks):
        offset = f"{at - began_at:<+{_TIME_WIDTH - 1}.3f} "
        if remark is not None:
            lines.append(_clipped(f"{offset}* {clean(remark.text)}", width))
            continue
        message = messages[index]
        if message.missing:
            lines.append(f"{'...':<{_TIME_WIDTH}}({message.missing} messages were not kept)")
        lines.append(f"{offset}{_arrow(message, columns, gap, index in repeated)}".rstrip())
    return "\n".join([*lines, ""])


def repetitions(messages: Sequence[TracedMessage]) -> frozenset[int]:
    """Which messages were sent before, every byte the same."""
    seen: set[tuple[bool, str, str]] = set()
    found = set()
    for index, message in enumerate(messages):
        key = (message.is_sent, message.remote, message.text)
        if key in seen:
            found.add(index)
        seen.add(key)
    return frozenset(found)


def _in_order(messages: Sequence[TracedMessage], remarks: Sequence[Remark]) -> Iterator[tuple[float, int, Remark | None]]:
    shown: list[tuple[float, int, Remark | None]] = [(message.time, index, None) for index, message in enumerate(messages)]
    told: list[tuple[float, int, Remark | None]] = [(remark.at, -1, remark) for remark in remarks]
    return heapq.merge(shown, told, key=lambda entry: entry[0])


def arrange(messages: Sequence[TracedMessage], room: int) -> Columns:
    """The columns of these messages: there is room for so many parties beside us, and what is more shares the last."""
    has_sent_first = {message.remote: message.is_sent for message in reversed(messages)}
    parties = list(dict.fromkeys(message.remote for message in messages))
    has_others = len(parties) > room
    shown = parties[: room - 1] if has_others else parties
    left = [party for party in shown if not has_sent_first[party]]
    right = [party for party in shown if has_sent_first[party]]
    names = (*left, _our_name(messages), *right, *([_OTHERS] if has_others else []))
    return Columns(names, len(left))


def _our_name(messages: Sequence[TracedMessage]) -> str:
    addresses = dict.fromkeys(message.local for message in messages)
    if not addresses:
        return "us"
    return f"us {next(iter(addresses))}" + (" ..." if len(addresses) > 1 else "")


def _title(columns: Columns, gap: int) -> str:
    names = [_clipped(clean(name), gap - 2).ljust(gap) for name in columns.names[:-1]]
    last = _clipped(clean(columns.names[-1]), gap)
    # The last name ends below its line, so that nothing is wider than the diagram.
    room = gap * (len(columns.names) - 1) + 1
    start = "".join(names)
    if len(start) + len(last) > room:
        start = start[: max(0, room - len(last))]
    return f"{'time':<{_TIME_WIDTH}}{start}{last}"


def label_of(message: TracedMessage, columns: Columns, *, is_again: bool) -> str:
    """What stands on the arrow of a message: printable ASCII."""
    name, more = summarize(message.text)
    if columns.names[columns.of(message.remote)] == _OTHERS:
        name = f"{clean(message.remote)} {name}"
    name = f"{name} again" if is_again else name
    return f"{name} ({more})" if more else name


def _arrow(message: TracedMessage, columns: Columns, gap: int, is_again: bool) -> str:
    them, us = columns.of(message.remote), columns.us
    left, right = min(them, us), max(them, us)
    label = label_of(message, columns, is_again=is_again)
    is_rightward = message.is_sent == (us < them)
    inner = _shaft(label, (right - left) * gap - 1, is_rightward)
    before = "|".ljust(gap) * left
    after = "".join("|".rjust(gap) for _ in range(len(columns.names) - 1 - right))
    return f"{before}|{inner}|{after}"


def _shaft(label: str, width: int, is_rightward: bool) -> str:
    shown = f" {_clipped(label, width - 8)} "
    return f"---{shown}".ljust(width - 1, "-") + ">" if is_rightward else f"<--{shown}".ljust(width, "-")


def _clipped(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(0, width - 3)] + "..."
