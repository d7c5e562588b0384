"""What a live call is told to do over HTTP, beside its action list."""

import pytest

from sipcore import engine

from .running import OTHER, assert_error

LASTING = [{"type": "sleep", "option": {"duration": 60_000}}]


@pytest.fixture
def call_id(served):
    """A call that is answered and sleeps."""
    call_id = served.create("bob", actions=LASTING)["id"]
    served.until(lambda: served.switch.calls.live(call_id).record.status == "progressing")
    yield call_id
    served.client.delete(f"/v1.0/calls/{call_id}")


def sent(served, kind):
    return [command for command in served.engine.commands if type(command) is kind]


def order(served, call_id, what, method="POST", **content):
    return served.client.request(method, f"/v1.0/calls/{call_id}/{what}", **content)


def test_mute(served, call_id):
    assert order(served, call_id, "mute").json()["id"] == call_id
    assert order(served, call_id, "mute", json={"direction": "out"}).status_code == 200
    assert order(served, call_id, "mute", "DELETE").status_code == 200
    assert order(served, call_id, "mute", "DELETE", json={"direction": "in"}).status_code == 200
    told = [(command.direction, command.is_muted) for command in sent(served, engine.Mute)]
    assert told == [("in", True), ("out", True), ("both", False), ("in", False)]


def test_hold_with_music_and_back(served, call_id):
    assert order(served, call_id, "hold", json={"music": "prompt.wav"}).status_code == 200
    assert order(served, call_id, "hold", "DELETE").status_code == 200
    assert [command.is_held for command in sent(served, engine.Hold)] == [True, False]
    (music,), (stopped,) = sent(served, engine.Play), sent(served, engine.StopPlay)
    assert (music.loop, music.play_id) == (True, stopped.play_id)


def test_recording(served, call_id):
    told = order(served, call_id, "recording_start", json={"format": "flac", "end_of_key": "#"}).json()
    assert told["recording_ids"] == [told["recording_id"]]
    assert_error(order(served, call_id, "recording_start"), 409, "ACTION_FAILED")
    assert order(served, call_id, "recording_stop").json()["recording_id"] == "00000000-0000-0000-0000-000000000000"
    assert_error(order(served, call_id, "recording_stop"), 409, "ACTION_FAILED")


@pytest.mark.parametrize(("what", "option"), [("talk", {"text": "one minute left"}), ("play", {"stream_urls": ["prompt.wav"]})])
def test_something_is_heard_and_nothing_over_it(served, call_id, what, option):
    assert order(served, call_id, what, json=option | {"loop": 0}).status_code == 200
    served.until(lambda: served.switch.calls._switch.session(call_id).is_playing)
    assert_error(order(served, call_id, what, json=option), 409, "INVALID_STATE")
    (play, *_) = sent(served, engine.Play)
    assert play.call_id == call_id
    assert served.get(call_id)["status"] == "progressing"


def test_bad_bodies_name_the_field(served, call_id):
    for what, option, field in (
        ("talk", {"text": "x", "gendr": "male"}, "gendr"),
        ("talk", {}, "text"),
        ("talk", {"text": "x", "language": "xx-nowhere"}, ""),
        ("play", {"stream_urls": ["../../etc/passwd"]}, "stream_urls[0]"),
        ("hold", {"music": "nowhere.wav"}, "music"),
        ("mute", {"direction": "up"}, "direction"),
        ("recording_start", {"duration": -1}, "duration_s"),
        ("mute", [], ""),
    ):
        assert_error(order(served, call_id, what, json=option), 400, "INVALID_REQUEST", field)
    assert not sent(served, engine.Play)


def test_a_call_that_is_not_up(served):
    ringing = served.create("stay")["id"]
    whats = ("mute", "hold", "recording_start", "recording_stop")
    for what in whats:
        assert_error(order(served, ringing, what), 409, "INVALID_STATE")
    served.client.delete(f"/v1.0/calls/{ringing}")
    served.wait(ringing)
    for what in whats:
        assert_error(order(served, ringing, what), 409, "INVALID_STATE")


def test_only_whose_call_it_is(served, call_id):
    assert_error(order(served, "nobody", "mute"), 404, "CALL_NOT_FOUND")
    assert_error(served.client_of(OTHER).post(f"/v1.0/calls/{call_id}/mute"), 404, "CALL_NOT_FOUND")
    assert_error(served.client_of().post(f"/v1.0/calls/{call_id}/hold"), 401, "TOKEN_MISSING")
    assert not sent(served, engine.Mute)
