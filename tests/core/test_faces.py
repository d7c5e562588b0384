"""The synchronous face has what the asynchronous one has, under the same names and with the same arguments."""

import inspect

import pytest

from sipcore import AsyncCall, AsyncSwitch, Call, Switch
from sipcore.calls import AsyncCalls
from sipcore.recordings.access import AsyncRecordings
from sipcore.sync import Calls, Recordings

CALL = """id record variables talk play beep gather send_digits connect start_recording stop_recording pause_recording resume_recording
    echo mute unmute hold unhold transfer perform detect_answerer hangup reject ring answer wait ended events quality"""
SWITCH = "from_config open close dial on_call plan page listen calls recordings config sip_address registrations"
CALLS = "create create_all get list hangup trace quality"
RECORDINGS = "get list wait path delete"


@pytest.mark.parametrize(
    ("asynchronous", "synchronous", "names"),
    [(AsyncCall, Call, CALL), (AsyncSwitch, Switch, SWITCH), (AsyncCalls, Calls, CALLS), (AsyncRecordings, Recordings, RECORDINGS)],
)
def test_both_faces_have_it(asynchronous, synchronous, names):
    for name in names.split():
        if name in ("calls", "recordings", "config"):
            continue  # attributes of the object
        theirs, ours = getattr(asynchronous, name), getattr(synchronous, name)
        if not callable(theirs):
            assert isinstance(ours, property), name
            continue
        expected, given = (
            set(inspect.signature(method).parameters) - {"user_id", "parts", "grace_s", "at_once"} for method in (theirs, ours)
        )
        assert given == expected, name
