"""The event stream: order, resumption, gaps, and clients that do not read."""

import asyncio
import socket

import pytest

from sipcore.http.hub import EventHub
from sipcore.testing.fake_engine import FarEnd

from .running import OTHER, TOKEN, assert_error, body, read_all

pytestmark = pytest.mark.slow

LIFE = ["call_created", "call_dialing", "call_ringing", "media_started", "call_progressing", "call_updated", "call_hangup"]


def until_hangup(events, call_id):
    told = []
    for event in events:
        told.append(event)
        if event["type"] == "call_hangup" and event["data"]["id"] == call_id:
            return told
    raise AssertionError("the stream ended")


def test_the_life_of_a_call(served):
    with served.follow() as events:
        call = served.create()
        told = until_hangup(events, call["id"])
    assert [event["type"] for event in told] == LIFE
    assert told[0]["data"] == call
    assert list(told[-1]["data"]) == list(call)
    assert [event["data"]["status"] for event in told] == [
        "dialing",
        "dialing",
        "ringing",
        "ringing",
        "progressing",
        "terminating",
        "hangup",
    ]
    assert told[-1]["sip"]["code"] == 200


def test_actions_and_legs_are_told(served):
    with served.follow() as events:
        option = {"destinations": ["sip:stay@192.0.2.9"], "timeout_s": 0.05}
        call = served.create(
            actions=[{"type": "play", "option": {"stream_urls": ["prompt.wav"]}, "id": "p"}, {"type": "connect", "option": option}]
        )
        told = until_hangup(events, call["id"])
    mine = [event for event in told if event["data"]["id"] == call["id"]]
    finished = [event["action"] for event in mine if event["type"] == "action_finished"]
    assert [(action["type"], action["id"], action["outcome"]) for action in finished] == [("play", "p", "done"), ("connect", "", "failed")]
    chained = next(event["data"]["chained_call_ids"] for event in mine if event["type"] == "call_updated")
    assert chained == [finished[1]["legs"][0]["call_id"]]
    assert {event["data"]["master_call_id"] for event in told if event["data"]["id"] in chained} == {call["id"]}


def test_digits_are_told(served):
    with served.follow() as events:
        option = {"destinations": ["sip:stay@192.0.2.9"], "timeout_s": 30}
        call = served.create(actions=[{"type": "connect", "option": option}])
        told = []
        for event in events:
            told.append(event)
            if event["type"] == "action_started":
                served.do(lambda: served.engine.press(call["id"], "5"))
            if event["type"] == "dtmf_received":
                break
        served.client.delete(f"/v1.0/calls/{call['id']}")
    assert told[-1]["data"]["id"] == call["id"]
    assert told[-1]["dtmf"]["digit"] == "5"
    assert told[-1]["dtmf"]["duration_ms"] > 0


def test_resumes_after_an_id_and_says_when_it_cannot(served):
    with served.follow() as events:
        first = until_hangup(events, served.create()["id"])
    second = served.create()
    served.wait(second["id"])
    with served.follow(headers={"Last-Event-ID": first[2]["id"]}) as events:
        again = until_hangup(events, second["id"])
    assert [event["id"] for event in again[:4]] == [event["id"] for event in first[3:]]
    with served.follow(params={"last_event_id": first[-1]["id"]}) as events:
        assert next(events)["data"]["id"] == second["id"]
    for unknown in ("00000000-1", "nonsense", first[0]["id"].partition("-")[0] + "-99999"):
        with served.follow(headers={"Last-Event-ID": unknown}) as events:
            gap = next(events)
            assert (gap["type"], list(gap)) == ("stream_gap", ["type", "message"])
            assert next(events)["id"] == first[0]["id"]


def test_each_user_gets_his_own(served):
    with served.follow(OTHER) as events:
        served.create("stay")
        mine = served.client_of(OTHER).post("/v1.0/calls", json=body()).json()
        assert {event["data"]["id"] for event in until_hangup(events, mine["id"])} == {mine["id"]}


def test_one_call_only(served):
    first, second = served.create("stay"), served.create("stay")
    with served.follow(params={"call_id": second["id"]}) as events:
        for call in (first, second):
            served.client.delete(f"/v1.0/calls/{call['id']}")
        assert {event["data"]["id"] for event in until_hangup(events, second["id"])} == {second["id"]}


def test_heartbeats(serve):
    served = serve(http={"heartbeat_s": 0.02})
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as sock:
        sock.sendall(f"GET /v1.0/events?token={TOKEN} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        data = b""
        while data.count(b": still here\n\n") < 2:
            data += sock.recv(4096)
    served.until(lambda: not served.server.streams.open_streams)


def test_heartbeats_also_while_only_others_have_news(serve):
    served = serve(http={"heartbeat_s": 0.05})
    call = served.create("stay")

    async def telling():
        session = served.switch.session(call["id"])
        while not is_over:
            session.publish(session.history[0])
            await asyncio.sleep(0.005)

    is_over = []
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as sock:
        sock.sendall(f"GET /v1.0/events?token={TOKEN}&call_id=another HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        served.until(lambda: served.server.streams.open_streams == 1)
        others = asyncio.run_coroutine_threadsafe(telling(), served._loop)
        data = b""
        try:
            while data.count(b": still here\n\n") < 3:
                data += sock.recv(4096)
        finally:
            is_over.append(True)
            others.result(10)
    assert b"call_created" not in data
    served.until(lambda: not served.server.streams.open_streams)


def test_a_call_that_a_listener_hangs_up_at_once_is_told_to_its_end(served):
    def hang_up(event):
        if type(event).__name__ == "CallCreated" and (call := served.switch.calls.live(event.call_id)):
            call.hangup()

    with served.follow() as events:
        served.do(lambda: served.switch.listen(hang_up))
        told = until_hangup(events, served.create()["id"])
        assert [event["type"] for event in told] == ["call_created", "call_updated", "call_hangup"]
        listeners = served.switch.exchange._listeners._all
        served.do(lambda: listeners.insert(0, listeners.pop()))
        told = until_hangup(events, served.create()["id"])
        assert [event["type"] for event in told] == ["call_created", "call_updated", "call_hangup"]
    assert not served.server.hub._calls
    ended = [line for line in served.client.get("/metrics").text.splitlines() if line.startswith("sipcore_calls_ended_total{")]
    assert sum(float(line.rpartition(" ")[2]) for line in ended) == 2, ended


def test_head_ends_at_once(served):
    answer = served.client.head("/v1.0/events")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")


def test_so_many_streams_and_no_more(serve):
    served = serve(http={"max_event_streams": 1})
    with served.follow():
        refused = served.client.get("/v1.0/events")
        assert_error(refused, 429, "TOO_MANY_STREAMS")
        assert refused.headers["retry-after"]
    with served.follow():
        pass


def test_a_client_that_stops_reading_is_dropped_and_holds_up_nobody(serve):
    served = serve(http={"write_timeout_s": 0.3})
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(10)
        sock.connect(("127.0.0.1", served.port))
        sock.sendall(f"GET /v1.0/events?token={TOKEN} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        served.until(lambda: served.server.streams.open_streams == 1)
        for _ in range(30):
            served.wait(served.create()["id"])
        flood(served, 3000)
        served.until(lambda: not served.server.streams.open_streams)
        served.wait(served.create()["id"])
        received = read_all(sock)
    assert b"call_hangup" in received
    assert not received.endswith(b"0\r\n\r\n"), "cut, not ended"


def flood(served, count):
    """Many events at once, as of many calls."""
    call = served.create("stay")

    def telling():
        session = served.switch.session(call["id"])
        for _ in range(count):
            session.publish(session.history[0])

    served.do(telling)


def test_the_stream_ends_with_the_server(serve):
    served = serve()
    with served.follow() as events:
        served.create("stay")
        assert next(events)["type"] == "call_created"
        closing = asyncio.run_coroutine_threadsafe(served.server.close(), served._loop)
        assert [event["type"] for event in events][-1] == "call_hangup"
        closing.result(10)


@pytest.mark.asyncio
async def test_who_falls_out_of_the_ring_is_told(tmp_path):
    from sipcore.switch import AsyncSwitch
    from sipcore.testing.fake_engine import FakeEngine

    from .running import Clicks

    engine = FakeEngine()
    engine.far_end("bob", FarEnd())
    async with AsyncSwitch(engine=engine, synthesizer=Clicks(), cache_dir=tmp_path, media_root=tmp_path) as switch:
        hub = EventHub(switch, ring_events=4)
        hub.open()
        start = hub.now
        await switch.calls.create(destination="sip:bob@192.0.2.9").wait(10)
        hub.close()
        batches = [batch async for batch in hub.follow(start, lambda: 1.0)]
    assert batches[0] is None
    assert [told.number for told in batches[1]] == [4, 5, 6, 7]
    assert hub.number_after(batches[1][0].id) == 5
    assert hub.number_after(f"{batches[1][0].id.partition('-')[0]}-1") is None
