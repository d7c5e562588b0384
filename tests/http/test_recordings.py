"""Recordings over HTTP: the resource, its file, its events, and whose they are."""

from __future__ import annotations

import time

import pytest

from .receiver import receiving
from .running import OTHER, assert_error

pytestmark = pytest.mark.slow

RECORDED = [{"type": "recording_start", "option": {"format": "wav"}}, {"type": "sleep", "option": {"duration": 300}}]
ALL_KEYS = """
    id user_id type reference_id status format filename tm_start tm_end tm_create tm_update tm_delete
    channels duration_s size_bytes end_reason error
"""
KEYS = ALL_KEYS.split()


@pytest.fixture
def recorded(served):
    """A call that was recorded for 0.3 s: it, and the recording."""
    call = served.create("bob", actions=RECORDED)
    served.wait(call["id"])
    (recording_id,) = served.get(call["id"])["recording_ids"]
    deadline = time.monotonic() + 10
    while (recording := served.client.get(f"/v1.0/recordings/{recording_id}").json())["status"] != "ended":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return call, recording


def test_a_recording_is_a_resource(served, recorded):
    call, recording = recorded
    assert list(recording) == KEYS
    assert (recording["type"], recording["reference_id"], recording["user_id"]) == ("call", call["id"], 1)
    assert (recording["end_reason"], recording["error"], recording["filename"]) == ("hangup", "", f"{recording['id']}.wav")
    assert 0.2 < recording["duration_s"] < 2
    page = served.client.get("/v1.0/recordings?page_size=1").json()
    assert page == {"result": [recording], "next_page_token": recording["tm_create"]}
    assert served.client.get("/v1.0/recordings", params={"page_token": page["next_page_token"]}).json()["result"] == []
    assert_error(served.client.get("/v1.0/recordings?page_size=0"), 400, "INVALID_REQUEST", "page_size")


def test_its_file_whole_and_in_part(served, recorded):
    _, recording = recorded
    path = f"/v1.0/recordingfiles/{recording['id']}"
    whole = served.client.get(path)
    assert (whole.status_code, whole.headers["content-type"], len(whole.content)) == (200, "audio/wav", recording["size_bytes"])
    assert whole.content[:4] == b"RIFF"
    part = served.client.get(path, headers={"range": "bytes=4-11"})
    assert (part.status_code, part.content) == (206, whole.content[4:12])
    assert served.client.get(path, headers={"range": "bytes=-8"}).content == whole.content[-8:]
    for ignored in ("bytes=5-2", "lines=1-2", "bytes=0-1,4-5", "nonsense"):
        assert served.client.get(path, headers={"range": ignored}).content == whole.content
    beyond = served.client.get(path, headers={"range": "bytes=999999-"})
    assert_error(beyond, 416, "RANGE_BEYOND_END")
    assert beyond.headers["content-range"] == f"bytes */{recording['size_bytes']}"


def test_others_do_not_see_it(served, recorded):
    _, recording = recorded
    other = served.client_of(OTHER)
    assert other.get("/v1.0/recordings").json()["result"] == []
    for path in ("recordings", "recordingfiles"):
        assert_error(other.get(f"/v1.0/{path}/{recording['id']}"), 404, "RECORDING_NOT_FOUND")
    assert_error(other.delete(f"/v1.0/recordings/{recording['id']}"), 404, "RECORDING_NOT_FOUND")
    assert_error(served.client_of().get(f"/v1.0/recordingfiles/{recording['id']}"), 401, "TOKEN_MISSING")
    assert served.client.get(f"/v1.0/recordings/{recording['id']}").json() == recording


def test_delete(served, recorded, tmp_path):
    _, recording = recorded
    deleted = served.client.delete(f"/v1.0/recordings/{recording['id']}").json()
    assert deleted["tm_delete"]
    for method, path in (("GET", "recordings"), ("GET", "recordingfiles"), ("DELETE", "recordings")):
        assert_error(served.client.request(method, f"/v1.0/{path}/{recording['id']}"), 404, "RECORDING_NOT_FOUND")


@pytest.mark.parametrize("name", ["nobody", "..%2F..%2Fetc%2Fpasswd", "%00", "x" * 3000])
def test_no_such_recording(served, name):
    for path in ("recordings", "recordingfiles"):
        assert served.client.get(f"/v1.0/{path}/{name}").status_code == 404


def test_one_that_runs_has_no_file_and_cannot_be_deleted(served):
    call = served.create("bob", actions=[RECORDED[0], {"type": "sleep", "option": {"duration": 60_000}}])
    served.until(lambda: bool((live := served.switch.calls.live(call["id"])) and live.record.recording_ids))
    (recording_id,) = served.get(call["id"])["recording_ids"]
    assert served.get(call["id"])["recording_id"] == recording_id
    assert_error(served.client.get(f"/v1.0/recordingfiles/{recording_id}"), 409, "RECORDING_NOT_OVER")
    assert_error(served.client.delete(f"/v1.0/recordings/{recording_id}"), 409, "INVALID_STATE")
    served.client.delete(f"/v1.0/calls/{call['id']}")


def test_events_tell_of_it(served, recorded):
    _, recording = recorded
    told = {told.type: told for told in served.server.hub._ring}
    assert b'"recording_id": "%s"' % recording["id"].encode() in told["recording_started"].body
    assert b'"status": "ended"' in told["recording_finished"].body


def test_the_webhook_comes_after_the_end_of_the_call(served):
    with receiving() as receiver:
        call = served.create("bob", actions=RECORDED, event_url=receiver.url)
        told = []
        while "recording_finished" not in [event["type"] for event in told]:
            told = receiver.wait(len(told) + 1)
        types = [event["type"] for event in told]
        assert types.index("recording_started") < types.index("call_hangup") < types.index("recording_finished")
        assert told[-1]["recording"]["reference_id"] == told[-1]["data"]["id"] == call["id"]
        assert told[-1]["recording"]["status"] == "ended"
        served.until(lambda: not served.server.webhooks.waiting)
