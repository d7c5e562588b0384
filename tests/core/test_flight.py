"""The flight recorder: what it keeps of calls and for how long, and that nothing secret or hostile comes out of it."""

from __future__ import annotations

import html.parser
import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sipcore import events
from sipcore.actions import Talk
from sipcore.addresses import parse_address
from sipcore.engine import MediaStatistics, RtpStatistics
from sipcore.flight.form import from_json, to_json
from sipcore.flight.forms import FORMS
from sipcore.flight.log import MAX_SAMPLES, FlightLog
from sipcore.flight.mermaid import draw_mermaid
from sipcore.flight.notes import note_of, without_secrets
from sipcore.flight.page import draw_page
from sipcore.flight.record import FlightCall, FlightNote, FlightRecord, RtpSample
from sipcore.flight.svg import draw_svg
from sipcore.flight.text import draw_text
from sipcore.record import CallRecord
from sipcore.siplint import lint_flight
from sipcore.testing.fake_engine import FarEnd
from sipcore.wire import TracedMessage
from tests.core.stage import play
from tests.siplint.dialogs import BEGAN_AT, CALLEE, whole

EVIL = "\x1b]0;x\x07</text></svg><script>alert(1)</script>\u202e&amp;'\"\nend; %% --> ]]>"


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(BEGAN_AT + seconds, UTC)


def record_of(call_id: str) -> CallRecord:
    source, destination = parse_address("sip:a@x"), parse_address("sip:b@y")
    return CallRecord(id=call_id, user_id=1, flow_id="flow", source=source, destination=destination, tm_create=at(0))


def created(call_id: str) -> events.CallCreated:
    return events.CallCreated(call_id, at(0), record_of(call_id))


def over(call_id: str, seconds: float = 9) -> events.CallEvent:
    return events.CallHangup(call_id, at(seconds), record_of(call_id))


def flight(*notes: FlightNote, **of_call) -> FlightRecord:
    samples = tuple(RtpSample(BEGAN_AT + 1 + n, 50 * n, n // 2, 0, 50 * n, 0.5 * (n % 3), 3.0) for n in range(4))
    call = FlightCall(**({"id": "call-1", "status": "hangup", "hangup_by": "local", "hangup_reason": "normal", "rtp": samples} | of_call))
    return FlightRecord(BEGAN_AT + 10, (call,), tuple(whole().messages), notes)


def note(seconds: float, name: str, text: str = "", call_id: str = "call-1") -> FlightNote:
    return FlightNote(BEGAN_AT + seconds, call_id, name, text or name)


# ------------------------------------------------------------------------------------------------------ what is kept


def test_a_call_of_the_fake_engine(tmp_path):
    taken = []

    async def scenario(stage):
        call = stage.call("bob", Talk("hello hello"))
        await call.wait(60)
        taken.append(await stage.switch.calls.flight(call.id))
        taken.extend(await stage.switch.calls.flights())

    play(tmp_path, scenario, {"bob": FarEnd()})
    record, same = taken
    assert record.notes == same.notes
    assert [shown.name for shown in record.notes][:3] == ["CallCreated", "CallDialing", "CallRinging"]
    assert [shown.name for shown in record.notes][-1] == "CallHangup"
    (call,) = record.calls
    assert (call.direction, call.status, call.hangup_reason) == ("outgoing", "hangup", "normal")
    assert lint_flight(record) == ()


def test_the_middle_of_what_is_too_much_is_left_out():
    log = FlightLog()
    log.tell(created("a"))
    for number in range(1000):
        log.tell(events.DigitReceived("a", at(number), "1", 100))
    notes = log.notes(["a"])
    assert len(notes) == 300
    assert sum(shown.missing for shown in notes) == 701
    assert notes[150].missing == 701
    assert notes[-1].at == BEGAN_AT + 999


def test_rtp_of_a_long_call_is_kept_coarser():
    log = FlightLog()
    log.tell(created("a"))
    for second in range(3600):
        log.measure(MediaStatistics("a", RtpStatistics(codec="PCMU/8000", rx_packets=50 * second), 0.5), BEGAN_AT + second)
    samples = log.call("a").rtp
    assert MAX_SAMPLES / 2 <= len(samples) <= MAX_SAMPLES
    steps = {later.at - sample.at for sample, later in pairwise(samples)}
    assert steps == {16.0}
    assert all(sample.rx_packets == 50 * (sample.at - BEGAN_AT) for sample in samples)
    log.measure(MediaStatistics("unknown", RtpStatistics()), BEGAN_AT)
    assert log.call_ids == ("a",)


def test_the_last_sample_is_what_the_record_says():
    log = FlightLog()
    log.tell(created("a"))
    for second in (1.0, 2.0, 8.9):
        log.measure(MediaStatistics("a", RtpStatistics(rx_packets=round(50 * second)), 0.5), BEGAN_AT + second)
    ended = over("a")
    log.tell(replace(ended, record=replace(ended.record, statistics=RtpStatistics(rx_packets=451, rx_lost=2, tx_packets=449))))
    assert [sample.rx_packets for sample in log.call("a").rtp] == [50, 100, 451]  # that of 8.9 s would make a rate over a tenth of a second
    assert log.call("a").rtp[-1] == RtpSample(BEGAN_AT + 9, 451, 2, 0, 449, 0.5, 0.0)


def test_the_oldest_that_is_over_goes_first():
    log = FlightLog(calls=3)
    for call_id in "abc":
        log.tell(created(call_id))
    log.tell(over("b"))
    log.tell(created("d"))
    assert set(log.call_ids) == {"a", "c", "d"}
    log.tell(created("e"))
    assert set(log.call_ids) == {"c", "d", "e"}
    log.tell(over("a"))  # it is forgotten, and stays so
    assert set(log.call_ids) == {"c", "d", "e"}


def test_memory_is_bounded_and_given_back():
    log = FlightLog(calls=10_000, total_bytes=100_000)
    for number in range(300):
        log.tell(created(f"call {number}"))
        for second in range(20):
            log.measure(MediaStatistics(f"call {number}", RtpStatistics()), BEGAN_AT + second)
        log.tell(over(f"call {number}"))
        assert log.size_bytes <= 100_000
    assert 10 < len(log) < 50
    nothing = FlightLog(calls=0)
    nothing.tell(created("a"))
    assert (len(nothing), nothing.size_bytes, nothing.notes(["a"])) == (0, 0, ())


# -------------------------------------------------------------------------------------------------------- no secrets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET https://bob:pw@example.org/a.wav?token=abc&x=1 failed", "GET https://***@example.org/a.wav?*** failed"),
        ("Authorization: Bearer abcdefghijkl", "Authorization: Bearer ***"),
        ("password=hunter2, user=bob", "password=***, user=bob"),
        ("access_token: s3cr3t", "access_token: ***"),
        ("play failed: no such file a.wav", "play failed: no such file a.wav"),
    ],
)
def test_secrets_are_blanked(text, shown):
    assert without_secrets(text) == shown


def test_digits_are_not_told():
    assert note_of(events.DigitReceived("a", at(0), "7", 100)).text == "a key was pressed (100 ms)"
    assert note_of(events.DigitsGathered("a", at(0), "4711", "length")).text == "4 digits were read, ended by length"


# ------------------------------------------------------------------------------------------------------- how it looks


def test_the_text_has_everything_in_order():
    lines = draw_text(
        flight(note(1.02, "ActionStarted", "talk begins"), note(5.02, "CallHangup", "over: normal, by local")), 80
    ).splitlines()
    assert [line.split()[0] for line in lines[1:-1]] == [
        "+0.000",
        "+0.010",
        "+0.100",
        "+1.000",
        "+1.010",
        "+1.020",
        "+5.000",
        "+5.010",
        "+5.020",
    ]
    assert lines[6] == "+1.020     * talk begins"
    assert lines[-1] == "audio of call-1: ?, 150 packets in (1 lost, 0 too late), 150 out, jitter at most"


def test_mermaid():
    lines = draw_mermaid(flight(note(1.02, "ActionStarted", "talk begins; 100 %"))).splitlines()
    assert lines[:3] == ["sequenceDiagram", "    participant p0 as us 192.0.2.1#58;5060", "    participant p1 as 192.0.2.9#58;5070"]
    assert "    p0->>p1: +0.000 INVITE (1, PCMU PCMA)" in lines
    assert "    p1->>p0: +0.100 180 Ringing (1 INVITE)" in lines
    assert "    Note over p0: +1.020 talk begins#59; 100 #37;" in lines


def test_the_picture_is_xml():
    root = ET.fromstring(draw_svg(flight(note(1.02, "ActionStarted", "talk <begins>"))))
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "INVITE (1, PCMU PCMA)" in texts
    assert "talk <begins>" in texts
    assert len(root.findall(".//{http://www.w3.org/2000/svg}polygon")) == 7


def test_the_page_needs_nothing_and_runs_nothing():
    page = draw_page(
        flight(
            note(1.02, "ActionStarted", "talk begins"),
            note(3, "ActionFinished", "talk failed: no"),
            note(4, "CallHangup"),
            note(4.1, "CallHangup"),
        )
    )
    for needed in (
        "<h2>Ladder</h2>",
        "<h2>Actions</h2>",
        "<h2>Audio</h2>",
        "7 messages",
        "leg-ended-once",
        'class="bar failed"',
        "polyline",
    ):
        assert needed in page
    assert not re.search(r"(?i)<script|<link|<img|<iframe|\bon\w+=|\bsrc=|\bhref=|url\(|@import", page)
    assert "default-src &#x27;none&#x27;" in page


class _Tags(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = set()

    def handle_starttag(self, tag, attrs):
        self.found.add(tag)


def hostile(text: str) -> FlightRecord:
    message = TracedMessage(
        BEGAN_AT, False, text, text, text, f"SIP/2.0 486 {text}\r\nCSeq: 1 INVITE {text}\r\nReason: {text}\r\n\r\n{text}"
    )
    shown = FlightNote(BEGAN_AT, text or "x", text, text)
    call = FlightCall(
        text or "x", text, text, text, text, text, text, 1, text, text, tuple(RtpSample(BEGAN_AT + n, 1, 0, 0, 1, 0.1, 0) for n in range(3))
    )
    return FlightRecord(BEGAN_AT, (call,), (message, replace(message, remote="b", is_sent=True)), (shown,))


def harmless(text: str) -> None:
    record = hostile(text)
    for drawn in (draw_text(record), draw_mermaid(record)):
        assert drawn.isascii()
        assert drawn.replace("\n", "").isprintable()
    lines = draw_mermaid(record).splitlines()
    assert all(re.fullmatch(r"sequenceDiagram|    participant p\d as .*|    p\d->>p\d: .*|    Note over p\d: .*", line) for line in lines)
    ET.fromstring(draw_svg(record))
    tags = _Tags()
    tags.feed(draw_page(record))
    usual = _Tags()
    usual.feed(draw_page(hostile("ok")))
    assert tags.found <= usual.found


def test_what_strangers_send_stays_text():
    harmless(EVIL)


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=60))
def test_any_text_stays_text(text):
    harmless(text)


def test_a_record_of_nothing_can_be_shown():
    record = FlightRecord(BEGAN_AT, (FlightCall("gone"),))
    for form in FORMS.values():
        assert form.draw(record)


def test_json_there_and_back():
    record = flight(note(1, "CallAnswered", "answered"))
    assert from_json(json.loads(json.dumps(to_json(record)))) == replace(record, taken_at=record.taken_at)


# ------------------------------------------------------------------------------------------ what lint says of records


@pytest.mark.parametrize(
    ("rule", "record"),
    [
        ("leg-ended-once", flight(note(5, "CallHangup"), note(5.1, "CallHangup"))),
        ("leg-ended-once", flight(note(5, "CallHangup"), note(5.1, "ActionStarted"))),
        ("leg-ended-once", flight(note(5, "CallAnswered"))),
        ("bye-missing", replace(flight(note(5, "CallHangup")), messages=tuple(whole().messages[:5]))),
        ("reason-mismatch", flight(note(5, "CallHangup"), hangup_by="remote")),
        (
            "reason-mismatch",
            replace(
                flight(note(5, "CallHangup"), hangup_by="remote", hangup_reason="noanswer"),
                messages=tuple(whole().reply(0, "486 Busy", "1 INVITE").messages[i] for i in (0, 7))
                + tuple(whole().ask(0.1, "ACK", 1, branch="z9hG4bK-one@x-caller-INVITE-1").messages[7:]),
            ),
        ),
        (
            "rtp-after-bye",
            flight(note(5, "CallHangup"), rtp=(RtpSample(BEGAN_AT + 6, 0, 0, 0, 10, 0, 0), RtpSample(BEGAN_AT + 7, 0, 0, 0, 60, 0, 0))),
        ),
    ],
)
def test_a_planted_fault_of_a_call_is_found_by_its_own_rule_only(rule, record):
    assert [(finding.rule, finding.is_ours) for finding in lint_flight(record)] == [(rule, True)]


def test_a_good_call_has_no_findings():
    assert lint_flight(flight(note(0, "CallCreated"), note(5, "CallHangup"), note(6, "RecordingFinished"))) == ()
    wanted = flight(note(4, "CallHangingUp"), note(5, "CallHangup"))
    crossed = replace(wanted, messages=tuple(whole().messages[:5]) + tuple(Crossed.messages))
    assert lint_flight(crossed) == ()


Crossed = whole().ask(5, "BYE", 1, CALLEE).reply(5.01, "200 OK", "1 BYE", "caller")
Crossed.messages = Crossed.messages[7:]
