"""Placing, reading, listing and ending calls over HTTP."""

import re

import pytest

from tests.core.bodies import BODIES

from .running import OTHER, SOURCE, assert_error, body

pytestmark = pytest.mark.slow

ALL_KEYS = """
    id user_id flow_id conf_id type master_call_id chained_call_ids recording_id recording_ids source destination status direction
    hangup_by hangup_reason tm_create tm_update tm_progressing tm_ringing tm_hangup
"""
KEYS = ALL_KEYS.split()
TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}")


def test_a_fresh_call_has_the_twenty_keys_in_order(served):
    call = served.create("stay")
    assert list(call) == KEYS
    assert (call["status"], call["direction"], call["type"], call["tm_update"], call["user_id"]) == ("dialing", "outgoing", "flow", "", 1)
    assert call["source"] == {"type": "tel", "target": "+821028286521", "name": ""}
    assert TIME.fullmatch(call["tm_create"])


@pytest.mark.parametrize("name", ["talk", "connect"])
def test_the_tutorials_bodies_live_to_their_end(served, name):
    call = served.client.post("/v1.0/calls", json=BODIES[name]).json()
    if name == "connect":
        served.until(lambda: bool((live := served.switch.calls.live(call["id"])) and live.record.chained_call_ids))
        (leg_id,) = served.get(call["id"])["chained_call_ids"]
        assert served.get(leg_id)["master_call_id"] == call["id"]
        served.client.delete(f"/v1.0/calls/{leg_id}")
    served.wait(call["id"])
    record = served.get(call["id"])
    assert (record["status"], record["hangup_by"], record["hangup_reason"]) == ("hangup", "local", "normal")
    assert record["tm_update"] == record["tm_hangup"]
    listed = served.client.get("/v1.0/calls").json()
    assert listed["result"][-1] == record
    assert listed["next_page_token"] == record["tm_create"]


def test_pages(served):
    calls = [served.create("stay")["id"] for _ in range(12)]
    first = served.client.get("/v1.0/calls").json()
    assert [call["id"] for call in first["result"]] == calls[:1:-1]
    second = served.client.get("/v1.0/calls", params={"page_size": 100, "page_token": first["next_page_token"]}).json()
    assert [call["id"] for call in second["result"]] == calls[1::-1]
    last = served.client.get("/v1.0/calls", params={"page_token": second["next_page_token"]}).json()
    assert last == {"result": [], "next_page_token": ""}
    assert len(served.client.get("/v1.0/calls?page_size=101").json()["result"]) == 12


@pytest.mark.parametrize("ending", ["delete", "post"])
def test_hangup_by_both_verbs_as_often_as_you_like(served, ending):
    call = served.create("stay")
    for _ in range(2):
        path = f"/v1.0/calls/{call['id']}"
        answer = served.client.delete(path) if ending == "delete" else served.client.post(f"{path}/hangup")
        assert answer.status_code == 200
        assert list(answer.json()) == KEYS
        served.wait(call["id"])
    record = served.get(call["id"])
    assert (record["status"], record["hangup_by"], record["hangup_reason"]) == ("hangup", "local", "cancel")


@pytest.mark.parametrize("call_id", ["00000000-0000-0000-0000-000000000000", "nonsense", "x" * 3000, "%00", "a%20b"])
def test_unknown_ids(served, call_id):
    path = f"/v1.0/calls/{call_id}"
    for answer in (served.client.get(path), served.client.delete(path), served.client.post(f"{path}/hangup")):
        assert_error(answer, 404, "CALL_NOT_FOUND")


def test_destinations_place_a_call_to_each(served):
    request = {"source": SOURCE, "destinations": ["sip:stay@192.0.2.9", {"type": "sip", "target": "stay@192.0.2.10"}]}
    answer = served.client.post("/v1.0/calls", json=request).json()
    assert list(answer) == ["calls", "groupcalls"]
    assert answer["groupcalls"] == []
    assert [list(call) for call in answer["calls"]] == [KEYS, KEYS]
    assert [call["destination"]["target"] for call in answer["calls"]] == ["stay@192.0.2.9", "stay@192.0.2.10"]


def test_destinations_that_are_null_are_none(served):
    answer = served.client.post("/v1.0/calls", json=body("stay", destinations=None))
    assert (answer.status_code, list(answer.json())) == (200, KEYS)


def test_destinations_are_all_or_nothing(serve):
    served = serve(max_legs=2)
    wrong = {"source": SOURCE, "destinations": ["sip:stay@192.0.2.9", "tel:12ab"]}
    assert_error(served.client.post("/v1.0/calls", json=wrong), 400, "INVALID_REQUEST", "destinations[1]")
    many = {"source": SOURCE, "destinations": ["sip:stay@192.0.2.9"] * 3}
    refused = served.client.post("/v1.0/calls", json=many)
    assert_error(refused, 503, "NO_CAPACITY")
    assert int(refused.headers["retry-after"]) >= 1
    assert served.client.get("/v1.0/calls").json()["result"] == []
    assert served.engine.legs_in_use == 0
    assert len(served.client.post("/v1.0/calls", json=many | {"destinations": many["destinations"][:2]}).json()["calls"]) == 2


def test_no_room_is_503_with_retry_after(serve):
    served = serve(max_legs=1)
    served.create("stay")
    refused = served.client.post("/v1.0/calls", json=body("stay"))
    assert_error(refused, 503, "NO_CAPACITY")
    assert refused.headers["retry-after"] == "1"


def test_a_key_and_a_body_make_one_call(served):
    key = {"Idempotency-Key": "one"}
    first = served.client.post("/v1.0/calls", json=body("stay"), headers=key).json()
    spelled = '{"destination": "sip:stay@192.0.2.9",   "source": {"target": "+821028286521", "type": "tel"}}'
    again = served.client.post("/v1.0/calls", content=spelled, headers=key | {"content-type": "application/json"}).json()
    assert again["id"] == first["id"]
    assert_error(served.client.post("/v1.0/calls", json=body("bob"), headers=key), 409, "IDEMPOTENCY_KEY_REUSED", "Idempotency-Key")
    other = served.client_of(OTHER).post("/v1.0/calls", json=body("bob"), headers=key).json()
    assert (other["id"] != first["id"], other["user_id"]) == (True, 2)
    assert len(served.client.get("/v1.0/calls").json()["result"]) == 2


def test_a_key_of_a_group_gives_the_group(served):
    request = {"source": SOURCE, "destinations": ["sip:stay@192.0.2.9", "sip:stay@192.0.2.9"]}
    answers = [served.client.post("/v1.0/calls", json=request, headers={"Idempotency-Key": "group"}).json() for _ in range(2)]
    assert [call["id"] for call in answers[0]["calls"]] == [call["id"] for call in answers[1]["calls"]]


def test_a_refused_request_uses_no_key(serve):
    served = serve(max_legs=1)
    up = served.create("stay")
    key = {"Idempotency-Key": "later"}
    assert served.client.post("/v1.0/calls", json=body("stay"), headers=key).status_code == 503
    served.client.delete(f"/v1.0/calls/{up['id']}")
    served.wait(up["id"])
    assert served.client.post("/v1.0/calls", json=body("stay"), headers=key).status_code == 200
