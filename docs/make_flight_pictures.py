"""Draw the ladder of testing.md: a call of which the far end hangs up twice, as the flight recorder shows it.

python docs/make_flight_pictures.py [folder]
"""

from __future__ import annotations

import sys
from pathlib import Path

from sipcore.flight.record import FlightCall, FlightNote, FlightRecord
from sipcore.flight.svg import draw_svg
from sipcore.wire import TracedMessage

US, THEM = "192.0.2.1:5060", "192.0.2.9:5070"
SDP = "v=0\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 8\r\n"
STEPS = (
    (0.000, True, "INVITE", "1 INVITE", SDP),
    (0.004, False, "100 Trying", "1 INVITE", ""),
    (0.061, False, "180 Ringing", "1 INVITE", ""),
    (1.203, False, "200 OK", "1 INVITE", SDP),
    (1.205, True, "ACK", "1 ACK", ""),
    (5.310, False, "BYE", "7 BYE", ""),
    (5.312, True, "200 OK", "7 BYE", ""),
    (5.420, False, "BYE", "8 BYE", ""),
    (5.421, True, "481 Call/Transaction Does Not Exist", "8 BYE", ""),
)
NOTES = (
    (0.000, "outgoing call from tel:+441632960000 to sip:bob@192.0.2.9:5070"),
    (0.063, "ringing (180)"),
    (1.204, "audio is PCMU/8000"),
    (1.206, "answered"),
    (1.207, "talk begins"),
    (4.951, "talk done"),
    (5.313, "over: normal, by remote, 200 OK"),
)


def record() -> FlightRecord:
    """The call."""
    notes = tuple(FlightNote(at, "call", "", text) for at, text in NOTES)
    return FlightRecord(6.0, (FlightCall("call"),), tuple(message(*step) for step in STEPS), notes)


def message(at: float, is_sent: bool, name: str, cseq: str, body: str) -> TracedMessage:
    """One of them."""
    start = f"SIP/2.0 {name}" if name[0].isdigit() else f"{name} sip:bob@192.0.2.9 SIP/2.0"
    head = f"{start}\r\nCSeq: {cseq}\r\n" + ("Content-Type: application/sdp\r\n" if body else "")
    return TracedMessage(at, is_sent, "udp", US, THEM, f"{head}\r\n{body}")


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    (folder / "flight.svg").write_text(draw_svg(record()), encoding="utf-8")
