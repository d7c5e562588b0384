"""The quality of a call over HTTP, in the metrics and at the command line."""

import pytest

from sipcore import cli
from sipcore import engine as wire
from sipcore.cli.calls import TOKEN_VARIABLE
from sipcore.engine import RtpStatistics

from .running import OTHER, TOKEN, assert_error

pytestmark = pytest.mark.slow

GOOD = RtpStatistics("PCMU/8000", rx_packets=1000, rx_jitter_ms=1.0, rtt_ms=20.0)


def quality_of(served, call_id):
    answer = served.client.get(f"/v1.0/calls/{call_id}/quality")
    assert answer.status_code == 200
    return answer.json()["quality"]


def test_quality_of_a_call(served, monkeypatch, capfd):
    call_id = served.create("talker", actions=[{"type": "stop"}])["id"]
    assert quality_of(served, call_id) is None
    served.do(lambda: served.engine.tell(wire.MediaStatistics(call_id, GOOD)))
    served.until(lambda: served.switch.calls.live(call_id).quality() is not None)
    told = quality_of(served, call_id)
    assert (told["codec"], told["received"], told["mos"], told["round_trip_ms"]) == ("PCMU/8000", 1000, 4.38, 20.0)
    served.do(lambda: served.engine.tell(wire.CallDisconnected(call_id, 200, "OK", True, statistics=GOOD)))
    served.wait(call_id)
    served.do(lambda: served.engine.hang_up_remote(call_id))
    assert quality_of(served, call_id) == told
    assert "sipcore_call_mos_count 1.0" in served.client.get("/metrics").text
    schema = served.client.get("/openapi.json").json()["components"]["schemas"]["CallQuality"]
    assert set(schema["properties"]["quality"]["anyOf"][0]["properties"]) == set(told)

    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    monkeypatch.setenv("COLUMNS", "120")
    assert cli.main(["calls", "show", call_id, "--url", served.url]) == 0
    shown = capfd.readouterr().out
    assert "PCMU/8000, 1000 packets received, 0.00 % lost, jitter 1.0 ms, round trip 20.0 ms, MOS 4.38" in shown


def test_of_nobody_elses_call(served):
    call_id = served.create("stay")["id"]
    path = f"/v1.0/calls/{call_id}/quality"
    assert_error(served.client_of(OTHER).get(path), 404, "CALL_NOT_FOUND")
    assert_error(served.client.get("/v1.0/calls/nobody/quality"), 404, "CALL_NOT_FOUND")
