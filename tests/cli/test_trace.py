"""What `sipcore calls trace` makes of an answer."""

import pytest

from sipcore.cli.trace import TraceUnusable, parse_messages
from sipcore.wire import TracedMessage

SHOWN = {
    "at": "2023-11-14 22:13:20.250001",
    "is_sent": True,
    "transport": "tls",
    "local": "192.0.2.1:5061",
    "remote": "192.0.2.9:5061",
    "text": "BYE",
    "missing": 2,
}


def test_an_answer_is_messages():
    assert parse_messages({"result": [SHOWN]}) == [
        TracedMessage(1_700_000_000.250001, True, "tls", "192.0.2.1:5061", "192.0.2.9:5061", "BYE", 2)
    ]
    assert parse_messages({"result": []}) == []


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"result": None},
        {"result": 5},
        {"result": "text"},
        {"result": [[]]},
        {"result": [{}]},
        {"result": [SHOWN | {"at": ""}]},
        {"result": [SHOWN | {"at": "yesterday"}]},
        {"result": [SHOWN | {"at": 5}]},
        {"result": [SHOWN | {"text": 5}]},
        {"result": [SHOWN | {"missing": "many"}]},
    ],
)
def test_an_answer_that_is_no_trace_is_told(answer):
    with pytest.raises(TraceUnusable, match="no trace"):
        parse_messages(answer)
