"""What `sipcore calls trace` makes of an answer."""

import pytest

from sipcore.cli.trace import TraceUnusable, parse_record
from sipcore.flight.form import to_json
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


NOTE = {"at": "2023-11-14 22:13:21.000000", "call_id": "a", "name": "CallAnswered", "text": "answered", "missing": 0}
SAMPLE = {"at": "2023-11-14 22:13:22.000000", "rx_packets": 50, "rx_lost": 1, "rx_discarded": 0, "tx_packets": 49}
SAMPLE |= {"jitter_ms": 0.5, "rtt_ms": 2.0}
CALL = dict.fromkeys(("direction", "source", "destination", "status", "hangup_by", "hangup_reason", "sip_phrase", "codec"), "")
CALL |= {"id": "a", "sip_code": 200, "rtp": [SAMPLE]}
ANSWER = {"result": [SHOWN], "notes": [NOTE], "calls": [CALL], "taken_at": "2023-11-14 22:13:30.000000"}


def test_an_answer_is_a_record():
    record = parse_record(ANSWER)
    assert record.messages == (TracedMessage(1_700_000_000.250001, True, "tls", "192.0.2.1:5061", "192.0.2.9:5061", "BYE", 2),)
    assert [note.text for note in record.notes] == ["answered"]
    assert record.calls[0].rtp[0].rx_packets == 50
    assert to_json(record) == ANSWER


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"result": []},
        ANSWER | {"calls": []},
        ANSWER | {"calls": [CALL | {"id": 5}]},
        ANSWER | {"calls": [CALL | {"rtp": [{}]}]},
        ANSWER | {"notes": [NOTE | {"text": None}]},
        ANSWER | {"result": None},
        ANSWER | {"result": 5},
        ANSWER | {"result": "text"},
        ANSWER | {"result": [[]]},
        ANSWER | {"result": [{}]},
        ANSWER | {"result": [SHOWN | {"at": ""}]},
        ANSWER | {"result": [SHOWN | {"at": "yesterday"}]},
        ANSWER | {"result": [SHOWN | {"at": 5}]},
        ANSWER | {"result": [SHOWN | {"text": 5}]},
        ANSWER | {"result": [SHOWN | {"missing": "many"}]},
    ],
)
def test_an_answer_that_is_no_trace_is_told(answer):
    with pytest.raises(TraceUnusable, match="no trace"):
        parse_record(answer)
