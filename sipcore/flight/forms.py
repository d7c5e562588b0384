"""The forms in which a flight record can be had, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from sipcore.flight.mermaid import draw_mermaid
from sipcore.flight.page import POLICY, draw_page
from sipcore.flight.record import FlightRecord
from sipcore.flight.svg import draw_svg
from sipcore.flight.text import draw_text
from sipcore.pcap import make_pcap


class Form(NamedTuple):
    """One way to show a record."""

    media_type: str
    suffix: str
    draw: Callable[[FlightRecord], bytes]
    policy: str = ""
    """Content-Security-Policy to send it with: what is shown has text of strangers in it."""


FORMS: Final[Mapping[str, Form]] = MappingProxyType(
    {
        "text": Form("text/plain", "txt", lambda record: draw_text(record).encode()),
        "mermaid": Form("text/plain", "mmd", lambda record: draw_mermaid(record).encode()),
        "svg": Form("image/svg+xml", "svg", lambda record: draw_svg(record).encode(), POLICY),
        "html": Form("text/html", "html", lambda record: draw_page(record).encode(), POLICY),
        "pcap": Form("application/vnd.tcpdump.pcap", "pcap", lambda record: make_pcap(record.messages)),
    }
)
