"""The three request bodies of the call tutorial, verbatim, through a trunk."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from media import AudioLibrary
from media.fetch import Download
from media.measure import best_match
from media.wav import read
from sipcore.events import CallCreated
from sipcore.testing.rtp_sink import RtpSink

from .listening import RATE_HZ, assert_ended, assert_heard, assert_one_hangup, legs, outcomes, spoken, until, write_burst

BODIES = Path(__file__).parent / "bodies"
KEYS = [
    "id",
    "user_id",
    "flow_id",
    "conf_id",
    "type",
    "master_call_id",
    "chained_call_ids",
    "recording_id",
    "recording_ids",
    "source",
    "destination",
    "status",
    "direction",
    "hangup_by",
    "hangup_reason",
    "tm_create",
    "tm_update",
    "tm_progressing",
    "tm_ringing",
    "tm_hangup",
]
A, B = "+821021656521", "+821043126521"


def body(name: str) -> dict:
    return json.loads((BODIES / f"{name}.json").read_text(encoding="utf-8"))


def test_talk(sipp, open_switch, ear, tmp_path):
    """With the real voice: what arrives is the cached synthesis, from its first word to its last."""
    request = body("talk")
    with sipp.uas("uas-200-expect-bye.xml", keys={"rtp_port": ear.port}) as uas, open_switch(trunk=uas.trunk, synthesizer=None) as switch:
        call = switch.calls.create(request)
        fresh = until(call, CallCreated).record.to_json()  # the call's own record may have gone on already
        record = call.wait(timeout_s=30)
        assert uas.wait(timeout_s=5).failed == 0
    assert list(fresh) == KEYS
    assert (fresh["status"], fresh["direction"], fresh["type"], fresh["tm_update"]) == ("dialing", "outgoing", "flow", "")
    assert fresh["source"] == {"type": "tel", "target": "+821028286521", "name": ""}
    assert fresh["destination"] == {"type": "tel", "target": A, "name": ""}
    assert_ended(record, "local", "normal", 200, "OK")
    assert outcomes(call) == [("talk", "done")]
    option = request["actions"][0]["option"]
    library = AudioLibrary(tmp_path / "cache")
    try:
        utterances = library.utterances(option["text"], option["language"])
        parts = [read(library.utter(utterance, option["gender"]).path) for utterance in utterances]
    finally:
        library.close()
    assert {rate_hz for _, rate_hz in parts} == {RATE_HZ}
    assert sum(len(samples) for samples, _ in parts) > 5 * RATE_HZ
    ends_s = 0.0
    for number, (samples, _) in enumerate(parts):
        begins_s = assert_heard(ear, samples, alike=0.95)
        assert number == 0 or -0.02 < begins_s - ends_s < 0.25, "the sentences follow each other"
        ends_s = begins_s + len(samples) / RATE_HZ
    assert ear.lost == 0


def test_play(sipp, open_switch, ear, tmp_path, monkeypatch):
    """The file of the tutorial's URL is a local one here: tests ask nobody outside."""
    samples = write_burst(tmp_path / "example.wav", 1.0)
    asked = []

    def fetched(url, directory, limits, cancellation, *, allow_private):
        asked.append(url)
        data = (tmp_path / "example.wav").read_bytes()
        return Download((tmp_path / "example.wav").open("rb"), hashlib.sha256(data).hexdigest())

    monkeypatch.setattr("media.library.fetch", fetched)
    request = body("play")
    with sipp.uas("uas-200-expect-bye.xml", keys={"rtp_port": ear.port}) as uas, open_switch(trunk=uas.trunk) as switch:
        call = switch.calls.create(request)
        record = call.wait(timeout_s=10)
        assert uas.wait(timeout_s=5).failed == 0
    assert asked == request["actions"][0]["option"]["stream_urls"]
    assert_ended(record, "local", "normal", 200, "OK")
    assert outcomes(call) == [("play", "done")]
    assert_heard(ear, samples)


def test_talk_and_connect(sipp, open_switch):
    """A hears the text, then B; B hears A; B hangs up, and so the list is over. Both are behind the trunk."""
    request = body("talk-connect")
    with RtpSink(500.0) as ear_a, RtpSink(900.0) as ear_b:
        keys = {"rtp_port_a": ear_a.port, "rtp_port_b": ear_b.port}
        with (
            sipp.uas("uas-200-b-bye-a-expect-bye.xml", calls=2, keys=keys, pause_ms=1500) as uas,
            open_switch(trunk=uas.trunk, synthesizer=None) as switch,
        ):
            call = switch.calls.create(request)
            ear_a.wait_for_tone(900.0, timeout_s=25)
            ear_b.wait_for_tone(500.0)
            record = call.wait(timeout_s=10)
            result = uas.wait(timeout_s=5)
            (leg,) = legs(switch, call)
            listing = switch.calls.list().to_json()
    assert result.failed == 0
    assert_ended(record, "local", "normal", 200, "OK")
    assert_ended(leg, "remote", "normal", 200, "OK")
    assert outcomes(call) == [("talk", "done"), ("connect", "done")]
    assert_one_hangup(call)
    assert (leg.master_call_id, leg.destination.target, leg.source.target) == (record.id, B, A)
    assert record.chained_call_ids == (leg.id,)
    assert [row["id"] for row in listing["result"]] == [leg.id, record.id], "newest first"
    to_a, to_b = result.received("INVITE")
    assert f"sip:{A}@" in to_a.first_line
    assert f"sip:{B}@" in to_b.first_line
    assert f"sip:{A}@" in to_b.header("From")
    assert abs(best_match(ear_b.heard(), spoken("nothing of this"), RATE_HZ).correlation) < 0.3
