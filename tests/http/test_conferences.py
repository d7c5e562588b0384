"""Conferences over HTTP: the resource, its members, its events, and whose they are."""

from __future__ import annotations

import pytest

from .receiver import receiving
from .running import OTHER, assert_error

pytestmark = pytest.mark.slow

NIL_ID = "00000000-0000-0000-0000-000000000000"
KEYS = """
    id user_id type status name detail call_ids recording_id recording_ids tm_create tm_update tm_delete
    members end_when_moderator_leaves entry_tone exit_tone max_members
"""
BASE = "/v1.0/conferences"


def make(served, **body):
    answer = served.client.post(BASE, json={"name": "board"} | body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def join(served, conference, **more):
    call = served.create("bob", actions=[{"type": "conference_join", "option": {"conference_id": conference}}], **more)
    served.until(lambda: served.switch.calls.live(call["id"]).record.conf_id != NIL_ID)
    return call["id"]


def test_a_conference_is_a_resource(served):
    made = make(served, type="conference", detail="every Monday")
    assert list(made) == KEYS.split()
    assert (made["type"], made["status"], made["detail"], made["call_ids"]) == ("conference", "starting", "every Monday", [])
    first, second = join(served, made["id"]), join(served, "board")
    there = served.client.get(f"{BASE}/{made['id']}").json()
    assert (there["status"], there["call_ids"]) == ("progressing", [first, second])
    assert served.client.get(f"/v1.0/calls/{first}").json()["conf_id"] == made["id"]
    muted = served.client.post(f"{BASE}/{made['id']}/members/{first}/mute").json()
    assert [member["is_muted"] for member in muted["members"]] == [True, False]
    unmuted = served.client.post(f"{BASE}/{made['id']}/members/{first}/unmute").json()
    assert [member["is_muted"] for member in unmuted["members"]] == [False, False]
    assert served.client.post(f"{BASE}/board/members/{first}/kick").json()["call_ids"] == [second]
    assert_error(served.client.post(f"{BASE}/board/members/{first}/kick"), 404, "MEMBER_NOT_FOUND")
    recording = served.client.post(f"{BASE}/board/recording_start").json()
    assert (recording["type"], recording["reference_id"]) == ("conference", made["id"])
    assert_error(served.client.post(f"{BASE}/board/recording_start"), 409, "CONFERENCE_REFUSED")
    assert served.client.post(f"{BASE}/board/recording_stop").json()["id"] == recording["id"]
    assert_error(served.client.post(f"{BASE}/board/recording_stop"), 409, "CONFERENCE_REFUSED")
    ended = served.client.delete(f"{BASE}/{made['id']}").json()
    assert (ended["status"], ended["call_ids"], ended["recording_ids"]) == ("terminated", [], [recording["id"]])
    assert served.client.delete(f"{BASE}/{made['id']}").json() == ended
    served.wait(second)
    page = served.client.get(f"{BASE}?page_size=1").json()
    assert page == {"result": [ended], "next_page_token": ended["tm_create"]}
    assert served.client.get(BASE, params={"page_token": page["next_page_token"]}).json()["result"] == []


def test_what_is_refused(serve):
    served = serve(max_conferences=1)
    for body, field in (
        ({"name": "x" * 101}, "name"),
        ({"name": 5}, "name"),
        ({"nmae": "x"}, "nmae"),
        ({"max_members": 0}, "max_members"),
        ({"type": "connect"}, "type"),
        ([], ""),
    ):
        assert_error(served.client.post(BASE, json=body), 400, "INVALID_REQUEST", field)
    make(served)
    assert_error(served.client.post(BASE, json={"name": "board"}), 400, "INVALID_REQUEST", "name")
    assert_error(served.client.post(BASE, json={"name": "other"}), 503, "NO_CAPACITY")
    assert_error(served.client.get(f"{BASE}?page_size=0"), 400, "INVALID_REQUEST", "page_size")
    for method, path in (("GET", "x"), ("DELETE", "x"), ("POST", "x/recording_start"), ("POST", "x/members/y/mute")):
        assert_error(served.client.request(method, f"{BASE}/{path}"), 404, "CONFERENCE_NOT_FOUND")


def test_others_do_not_see_it(serve):
    served = serve(http={"admin_ids": []})
    made = make(served)
    other, nobody = served.client_of(OTHER), served.client_of()
    assert other.get(BASE).json()["result"] == []
    assert other.post(BASE, json={"name": "board"}).json()["user_id"] == 2
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/recording_start"), ("POST", "/members/y/kick")):
        assert_error(other.request(method, f"{BASE}/{made['id']}{path}"), 404, "CONFERENCE_NOT_FOUND")
        assert_error(nobody.request(method, f"{BASE}/{made['id']}{path}"), 401, "TOKEN_MISSING")
    assert served.client.get(f"{BASE}/{made['id']}").json() == made


def test_its_events(served):
    with receiving() as receiver:
        call_id = join(served, "standup", event_url=receiver.url)
        served.client.delete(f"{BASE}/standup")
        served.wait(call_id)
        bodies = receiver.wait_type("call_hangup")
    told = [each for each in _told(served) if each.type.startswith("conference_")]
    assert [each.type for each in told] == ["conference_created", "conference_joined", "conference_left", "conference_terminated"]
    assert told[2].event.reason == "ended"
    assert all(each.user_id == 1 for each in told)
    assert b'"call_id": "%b"' % call_id.encode() in told[1].body
    sent = [each["type"] for each in bodies if each["type"].startswith("conference_")]
    assert sent == ["conference_created", "conference_joined", "conference_left"]


def _told(served):
    return list(served.server.hub._ring)
