"""Schemathesis against the served document: whatever it thinks of, no 5xx, and nothing that the document does not say."""

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from .running import TOKEN

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]
SKIPPED = {"followEvents", "metrics"}
"""They do not answer in JSON, or never end; they have tests of their own."""


@pytest.mark.timeout(90)
@pytest.mark.parametrize("kind", ["positive", "negative"])
@pytest.mark.slow
def test_whatever_schemathesis_thinks_of(serve, kind):
    served = serve(max_legs=4)
    schema = schemathesis.openapi.from_dict(served.client.get("/openapi.json").json())
    mode = schemathesis.GenerationMode.POSITIVE if kind == "positive" else schemathesis.GenerationMode.NEGATIVE
    tried = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.definition.raw["operationId"] in SKIPPED:
            continue
        if kind == "negative" and not (operation.body or operation.query or operation.headers):
            continue

        @settings(
            max_examples=30 if operation.definition.raw["operationId"] == "createCall" else 6,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case):
            nonlocal tried
            tried += 1
            answer = case.call(base_url=served.url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10)
            if answer.status_code == 503:  # no room: documented, and no fault of ours
                assert answer.headers["Retry-After"]
            else:
                case.validate_response(answer, checks=CHECKS)
            if answer.status_code == 200 and case.operation.definition.raw["operationId"] == "createCall":
                end_all(served)

        ask()
    assert tried > 50


def end_all(served):
    with httpx.Client(base_url=served.url, trust_env=False, verify=False, headers={"authorization": f"Bearer {TOKEN}"}) as client:
        for call in client.get("/v1.0/calls", params={"page_size": 100}).json()["result"]:
            if call["status"] != "hangup":
                client.delete(f"/v1.0/calls/{call['id']}")
