"""What actions without a test file of their own do to what is heard: `mute`, the conditions, a whisper, and orders given meanwhile."""

from __future__ import annotations

from media.measure import best_match
from sipcore import (
    Answer,
    ConditionDatetime,
    ConditionVariable,
    Confirm,
    Connect,
    Mute,
    RecordingStart,
    RecordingStop,
    Sleep,
    Stop,
    Switch,
    Talk,
    Unmute,
    VariableSet,
    WebhookSend,
)  # fmt: skip
from sipcore.events import CallAnswered
from sipcore.testing.hearing import assert_not_heard
from sipcore.testing.phone import Phone
from sipcore.testing.rtp_sink import RtpSink
from tests.core.web_server import web_server

from .listening import RATE_HZ, assert_ended, assert_heard, outcomes, spoken, until
from .outside import assert_followed, only_record

ANSWERED = "uac-200-ack-expect-bye.xml"
TONE_A, TONE_B = 500.0, 900.0
EVERY_DAY = [0, 1, 2, 3, 4, 5, 6]


def heard_of_list(caller, switch: Switch, ear: RtpSink, *actions) -> None:
    switch.on_call(actions=[Answer(), *actions])
    assert_followed(caller.call(switch, ANSWERED, keys={"rtp_port": ear.port}))


def test_what_is_muted_is_not_heard(caller, open_switch, ear):
    with open_switch() as switch:
        heard_of_list(caller, switch, ear, Talk("before"), Mute("out"), Talk("muted prompt"), Unmute("out"), Talk("afterwards"))
    assert assert_heard(ear, spoken("afterwards")) - assert_heard(ear, spoken("before")) > 0.7
    assert_not_heard(ear, spoken("muted prompt"), max_correlation=0.3)


def test_conditions_decide_what_is_heard_and_webhooks_go_out_between(caller, open_switch, ear):
    with web_server(hook=(200, "text/plain", b"")) as site, open_switch() as switch:
        heard_of_list(
            caller, switch, ear,
            VariableSet("who", "ann"),
            ConditionVariable("==", "who", "stranger", value_string="ann"),
            Talk("hello ann"),
            ConditionDatetime("!=", "open", weekdays=EVERY_DAY),
            Talk("we are closed", id="stranger"),
            WebhookSend(f"{site.url}/hook", data="${who}", data_type="text/plain", sync=True, id="open"),
            Talk("we are open"),
        )  # fmt: skip
        assert site.asked == [("POST", "/hook", b"ann")]
        assert_ended(only_record(switch), "local", "normal", 200, "OK")
    assert assert_heard(ear, spoken("we are open")) > assert_heard(ear, spoken("hello ann"))
    assert_not_heard(ear, spoken("we are closed"), max_correlation=0.3)


def test_a_whisper_is_heard_by_the_one_who_is_called_only(open_switch):
    with Phone("ann") as ann, Phone("bob") as bob, open_switch() as switch:
        bob.tone(TONE_B)
        bob.hang_up_after(1.6)
        connect = Connect([bob.uri], confirm=Confirm("a customer", digit=""))
        call = switch.calls.create(destination=ann.uri, actions=[connect])
        assert call.wait(10).hangup_reason == "normal"
        bob.last_call.assert_heard(spoken("a customer"))
        assert abs(best_match(ann.last_call.heard(), spoken("a customer"), RATE_HZ).correlation) < 0.5
        assert outcomes(call) == [("connect", "done")]


def test_orders_given_meanwhile(open_switch, tmp_path):
    """The list sleeps: what is said into the call is heard, and a recording that is started has it."""
    with Phone("ann") as ann, open_switch(recordings_dir=tmp_path / "recordings") as switch:
        call = switch.calls.create(destination=ann.uri, actions=[Sleep(60_000), Stop()])
        until(call, CallAnswered)
        call.perform_now(RecordingStart("wav"))
        call.perform_now(Talk("one minute left"))
        ann.wait_call(5).wait_packets(55, 10)
        call.perform_now(RecordingStop())
        (recording_id,) = call.record.recording_ids
        recording = switch.recordings.wait(recording_id, 10)
        call.hangup()
        assert call.wait(10).hangup_reason == "normal"
        ann.last_call.assert_heard(spoken("one minute left"))
        assert recording.end_reason == "stopped"
        assert recording.duration_s > 0.5
