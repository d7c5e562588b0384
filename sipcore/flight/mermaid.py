"""A flight record as a Mermaid sequence diagram, which GitHub, GitLab and many editors draw from Markdown.

Whatever the far end sent, what is drawn from it is text: all but letters, digits and a few harmless marks becomes `#code;`.
"""

from __future__ import annotations

import re
from typing import Final

from sipcore.flight.record import FlightNote, FlightRecord, time_of
from sipcore.flight.text import remark_texts
from sipcore.ladder import arrange, label_of, repetitions
from sipcore.sip_summary import clean
from sipcore.wire import TracedMessage

_MAX_PARTIES: Final = 8
_HARMFUL: Final = re.compile(r"[^A-Za-z0-9 .,/()\[\]=+*?!'-]")
_KEYWORD: Final = re.compile(r"\b(end)\b", re.IGNORECASE)


def draw_mermaid(record: FlightRecord) -> str:
    """The diagram, printable ASCII and line feeds."""
    columns = arrange(record.messages, _MAX_PARTIES)
    repeated = repetitions(record.messages)
    lines = ["sequenceDiagram", *(f"    participant p{index} as {_escaped(name)}" for index, name in enumerate(columns.names))]
    us, began_at = columns.us, record.began_at
    numbers = {id(message): index for index, message in enumerate(record.messages)}
    for entry in record.entries:
        if isinstance(entry, FlightNote):
            shown = "; ".join(remark_texts(entry, record))
            lines.append(f"    Note over p{us}: {_escaped(f'+{entry.at - began_at:.3f} {shown}')}")
        elif isinstance(entry, TracedMessage):
            if entry.missing:
                lines.append(f"    Note over p{us}: ({entry.missing} messages were not kept)")
            them = columns.of(entry.remote)
            ends = f"p{us}->>p{them}" if entry.is_sent else f"p{them}->>p{us}"
            label = label_of(entry, columns, is_again=numbers[id(entry)] in repeated)
            lines.append(f"    {ends}: {_escaped(f'+{time_of(entry) - began_at:.3f} {label}')}")
    return "\n".join([*lines, ""])


def _escaped(text: str) -> str:
    shown = _HARMFUL.sub(lambda found: f"#{ord(found[0])};", clean(text))
    return _KEYWORD.sub(lambda found: f"#{ord(found[1][0])};{found[1][1:]}", shown)
