"""What the server tells about itself: health, metrics, documents."""

import re

import httpx

from sipcore.actions import ACTION_TYPES, json_schema

from .running import body


def numbers(served):
    lines = [line for line in served.client.get("/metrics").text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_health(serve):
    served = serve(max_legs=7)
    served.create("stay")
    assert served.client.get("/healthz").json() == {"status": "ok", "legs_in_use": 1, "legs_capacity": 7}


def test_metrics_of_calls(served):
    talk = {"type": "talk", "option": {"text": "hello"}}
    for _ in range(2):
        served.wait(served.create(actions=[talk])["id"])
    served.create("stay")
    served.client.post("/v1.0/calls", json={})
    seen = numbers(served)
    assert seen["sipcore_calls_created_total"] == 3
    assert seen['sipcore_calls_ended_total{by="local",reason="normal"}'] == 2
    assert seen['sipcore_calls{status="dialing"}'] + seen['sipcore_calls{status="ringing"}'] == 1
    assert seen["sipcore_legs_in_use"] == 1
    assert seen["sipcore_legs_capacity"] == 64
    assert seen["sipcore_call_setup_seconds_count"] >= 2
    assert seen["sipcore_answer_to_audio_seconds_count"] == 2
    assert seen['sipcore_answer_to_audio_seconds_bucket{le="1.0"}'] == 2
    assert seen["sipcore_worker_restarts_total"] == 0
    assert seen['sipcore_tts_total{source="engine"}'] == 1
    assert seen['sipcore_tts_total{source="cache"}'] == 1
    assert seen['sipcore_http_errors_total{code="400",reason="INVALID_REQUEST"}'] == 1
    for name in ("sipcore_rtp_packets_received_total", "sipcore_rtp_packets_lost_total", "sipcore_rtp_jitter_seconds_count"):
        assert name in seen


def test_metrics_have_help_and_the_right_type(served):
    answer = served.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "# TYPE sipcore_calls gauge" in answer.text
    assert "# HELP sipcore_calls Calls now, by status." in answer.text


def test_the_action_schema_is_that_of_the_models(served):
    assert served.client.get("/v1.0/schema/actions").json() == json_schema()


def test_the_document_has_every_action_and_every_reference_leads_somewhere(served):
    document = served.client.get("/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    schemas = document["components"]["schemas"]
    variants = schemas["Actions"]["items"]["oneOf"]
    assert [variant["properties"]["type"]["const"] for variant in variants] == list(ACTION_TYPES)
    assert [variant["properties"]["option"] for variant in variants] != []
    text = served.client.get("/openapi.json").text
    assert "#/$defs/" not in text
    assert set(re.findall(r"#/components/schemas/(\w+)", text)) <= set(schemas)
    assert list(schemas["Call"]["properties"]) == list(served.create("stay"))


def test_the_page_needs_nothing_from_elsewhere(served):
    answer = served.client_of().get("/docs")
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert not re.search(r"<(script|link|img|iframe)\b|@import|url\(", answer.text)
    for path in ("/v1.0/calls", "/v1.0/calls/{id}/hangup", "/v1.0/events", "/metrics"):
        assert f"<code>{path}</code>" in answer.text
    links = re.findall(r'href="#(\w+)"', answer.text)
    assert links
    assert all(f'id="{name}"' in answer.text for name in links)


def test_head_has_no_body(served):
    answer = served.client.head("/v1.0/calls")
    assert (answer.status_code, answer.content) == (200, b"")


def test_no_token_is_ever_logged(served, caplog):
    caplog.set_level("DEBUG")
    with httpx.Client(base_url=served.url, trust_env=False, verify=False) as client:
        client.post("/v1.0/calls?token=a-token-of-user-one", json=body("stay"))
        client.post("/v1.0/calls?token=a-wrong-token", json=body("stay"))
    ours = [record.getMessage() for record in caplog.records if record.name.startswith(("sipcore", "uvicorn"))]
    assert ours
    assert "token-of-user-one" not in "".join(ours)
    assert "a-wrong-token" not in "".join(ours)
