"""Calls from outside and trunks, as clients of the HTTP interface see them."""

from sipcore import engine as wire
from sipcore.actions import Answer
from sipcore.testing.fake_engine import Caller

from .running import assert_error, body


def test_an_incoming_call_is_followed_like_any_other(served):
    served.do(lambda: served.switch.on_call(to="+82*", actions=[Answer(), {"type": "talk", "option": {"text": "hello"}}]))
    with served.follow() as events:
        call_id = served.do(lambda: served.engine.offer("+821000", caller=Caller()).call_id)
        served.do(lambda: served.engine.tell(wire.HoldChanged(call_id, is_held=True)))
        served.do(lambda: served.engine.tell(wire.RtpSourceChanged(call_id, "192.0.2.1:1", "192.0.2.2:2")))
        served.do(lambda: served.engine.tell(wire.TransferAsked(call_id, "sip:carol@192.0.2.9")))
        told = {}
        for event in events:
            told[event["type"]] = event
            if event["type"] == "call_hangup":
                break
    created = told["call_created"]["data"]
    assert (created["direction"], created["status"], created["type"]) == ("incoming", "ringing", "flow")
    assert created["tm_ringing"] == created["tm_create"]
    assert told["call_progressing"]["data"]["status"] == "progressing"
    assert told["call_held"]["data"]["id"] == call_id
    assert told["rtp_source_moved"]["media"] == {"expected": "192.0.2.1:1", "actual": "192.0.2.2:2"}
    assert told["transfer_requested"]["transfer"] == {"target": "sip:carol@192.0.2.9", "is_accepted": False}
    assert served.get(call_id)["hangup_reason"] == "normal"
    assert served.get(call_id)["direction"] == "incoming"


def test_registrations_are_a_metric(served):
    served.do(
        lambda: served.engine.tell(wire.RegistrationChanged("carrier", is_registered=True, sip_code=200, sip_phrase="OK", expires_s=300))
    )
    served.do(lambda: served.engine.tell(wire.RegistrationChanged("other", is_registered=False, sip_code=403, sip_phrase="Forbidden")))
    served.until(lambda: len(served.switch.registrations) == 2)
    text = served.client.get("/metrics").text
    assert 'sipcore_registration{trunk="carrier"} 1.0' in text
    assert 'sipcore_registration{trunk="other"} 0.0' in text


def test_trunk_of_a_request(served):
    answer = served.client.post("/v1.0/calls", json=body("stay", trunk="nowhere"))
    assert "nowhere" in assert_error(answer, 400, "INVALID_REQUEST", "trunk")["message"]
    assert_error(served.client.post("/v1.0/calls", json=body("stay", trunk=7)), 400, "INVALID_REQUEST", "trunk")
