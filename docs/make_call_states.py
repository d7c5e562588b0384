"""Draws `call-states.svg`, the states of a call, from the table in `sipcore/call.py`: `python docs/make_call_states.py`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sipcore.call import LIVE, TRANSITIONS, Status

FILE = Path(__file__).with_name("call-states.svg")
WIDTH, HEIGHT = 880, 500
BOX_WIDTH, BOX_HEIGHT = 136, 46

# Centres of the boxes: a call runs from left to right, our own hang-ups lie below, the end is on the right.
PLACES = {
    Status.DIALING: (110, 110),
    Status.RINGING: (330, 110),
    Status.PROGRESSING: (550, 110),
    Status.CANCELING: (330, 400),
    Status.TERMINATING: (550, 270),
    Status.HANGUP: (770, 270),
}
MEANINGS = {
    Status.DIALING: "INVITE goes out",
    Status.RINGING: "180 or 183",
    Status.PROGRESSING: "answered, 200",
    Status.CANCELING: "our CANCEL",
    Status.TERMINATING: "our BYE",
    Status.HANGUP: "over",
}
# The arrows that would run through a box, as the points they bend at; all others are straight.
BENDS: dict[tuple[Status, Status], tuple[tuple[int, int], ...]] = {
    (Status.DIALING, Status.PROGRESSING): ((110, 52), (530, 52)),
    (Status.DIALING, Status.HANGUP): ((90, 26), (785, 26)),
    (Status.RINGING, Status.HANGUP): ((350, 38), (765, 38)),
    (Status.DIALING, Status.TERMINATING): ((110, 280),),
    (Status.RINGING, Status.TERMINATING): ((345, 258),),
    (Status.DIALING, Status.CANCELING): ((70, 400),),
    (Status.RINGING, Status.CANCELING): ((312, 300),),
    (Status.CANCELING, Status.HANGUP): ((770, 400),),
    (Status.PROGRESSING, Status.HANGUP): ((745, 110),),
}
STYLE = """
    text { font-family: "DejaVu Sans", Verdana, sans-serif; text-anchor: middle; fill: #1b2733; }
    .name { font-size: 15px; font-weight: bold; }
    .meaning, .note { font-size: 11px; }
    .note { text-anchor: start; }
    rect { stroke: #1b2733; stroke-width: 1.5; fill: #e8f1fa; }
    .over { fill: #1b2733; }
    .over-text { fill: #ffffff; }
    path { fill: none; stroke-width: 1.5; }
    .far { stroke: #2f6f3e; }
    .ours { stroke: #b3541e; stroke-dasharray: 6 3; }
    .end { stroke: #5b6770; }
"""


@dataclass(frozen=True, slots=True)
class Arrow:
    """One line of the table."""

    start: Status
    end: Status

    @property
    def kind(self) -> str:
        """Who takes this step: the far end, we, or whoever ends the call."""
        if self.end is Status.HANGUP:
            return "end"
        return "ours" if self.end in (Status.CANCELING, Status.TERMINATING) else "far"

    def points(self) -> list[tuple[float, float]]:
        """From edge to edge, over its bends."""
        bends = BENDS.get((self.start, self.end), ())
        first = bends[0] if bends else PLACES[self.end]
        last = bends[-1] if bends else PLACES[self.start]
        return [_edge(PLACES[self.start], first), *bends, _edge(PLACES[self.end], last)]


def _edge(centre: tuple[int, int], towards: tuple[int, int]) -> tuple[float, float]:
    """Where the line to a point leaves the box: straight up, down or sideways whenever the point lies over, under or beside it."""
    (x, y), (to_x, to_y) = centre, towards
    if abs(to_x - x) < BOX_WIDTH / 2:
        return to_x, y + (BOX_HEIGHT / 2 if to_y > y else -BOX_HEIGHT / 2)
    if abs(to_y - y) < BOX_HEIGHT / 2:
        return x + (BOX_WIDTH / 2 if to_x > x else -BOX_WIDTH / 2), to_y
    scale = min(BOX_WIDTH / 2 / abs(to_x - x), BOX_HEIGHT / 2 / abs(to_y - y))
    return round(x + (to_x - x) * scale, 1), round(y + (to_y - y) * scale, 1)


def _box(status: Status) -> list[str]:
    x, y = PLACES[status]
    over = "" if status in LIVE else " over"
    text = "" if status in LIVE else " over-text"
    return [
        f'  <rect class="box{over}" x="{x - BOX_WIDTH // 2}" y="{y - BOX_HEIGHT // 2}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="8"/>',
        f'  <text class="name{text}" x="{x}" y="{y - 2}">{status}</text>',
        f'  <text class="meaning{text}" x="{x}" y="{y + 14}">{MEANINGS[status]}</text>',
    ]


def _line(arrow: Arrow) -> str:
    path = " L ".join(f"{x:g} {y:g}" for x, y in arrow.points())
    return (
        f'  <path class="{arrow.kind}" d="M {path}" marker-end="url(#tip-{arrow.kind})"><title>{arrow.start} to {arrow.end}</title></path>'
    )


def _tip(kind: str, colour: str) -> str:
    return (
        f'    <marker id="tip-{kind}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto">'
        f'<polygon points="0,1 10,5 0,9" fill="{colour}"/></marker>'
    )


def draw() -> str:
    """The picture, as SVG text."""
    arrows = [Arrow(start, end) for start in Status for end in Status if end in TRANSITIONS[start]]
    notes = (("far", "the far end"), ("ours", "our own hang-up"), ("end", "the leg is over"))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">',
        "  <title>The states of a call</title>",
        f"  <style>{STYLE}  </style>",
        "  <defs>",
        *(_tip(kind, colour) for kind, colour in (("far", "#2f6f3e"), ("ours", "#b3541e"), ("end", "#5b6770"))),
        "  </defs>",
        f'  <rect x="0" y="0" width="{WIDTH}" height="{HEIGHT}" style="fill: #ffffff; stroke: none"/>',
        *(_line(arrow) for arrow in arrows),
        *(line for status in Status for line in _box(status)),
    ]
    for number, (kind, meaning) in enumerate(notes):
        x = 70 + number * 200
        lines.append(f'  <path class="{kind}" d="M {x} 470 L {x + 40} 470" marker-end="url(#tip-{kind})"/>')
        lines.append(f'  <text class="note" x="{x + 50}" y="474">{meaning}</text>')
    return "\n".join([*lines, "</svg>", ""])


if __name__ == "__main__":
    FILE.write_text(draw(), encoding="utf-8")
    print(f"wrote {FILE}")
