"""Faults planted in a far end: each makes its own assertion fail, and no other.

"pbx" plays the thing under test: it calls, says the announcement, presses the keys. "desk" is the tester's telephone. Every case is a real
call; all of them are made at the same time.
"""

import contextlib

import numpy as np
import pytest
import soundfile
from speech import sentences

from sipcore.siplint import lint
from sipcore.testing import Impairment
from sipcore.testing.phone import Phone

pytestmark = pytest.mark.sip

DIGITS = "123"
DESK_HZ = 1000
FAULTS = {
    "none": None,
    "wrong audio": "heard",
    "one-way audio": "both ways",
    "clipped": "not clipped",
    "a gap of 200 ms": "no gaps",
    "a missing digit": "digits",
}


class Conversation:
    """What both ends heard."""

    def __init__(self, at_desk, at_pbx):
        self.at_desk, self.at_pbx = at_desk, at_pbx


@pytest.fixture(scope="module")
def announcements(tmp_path_factory):
    folder = tmp_path_factory.mktemp("announcements")
    right, wrong = (sentences()[0, voice] * 1.8 for voice in ("female", "male"))
    # The announcement ends before the keys, which are not in the audio.
    sounds = {"right": right, "wrong": sentences()[3, "male"] * 1.8, "clipped": np.clip(right * 10 ** (9 / 20), -0.9, 0.9), "other": wrong}
    for name, wave in sounds.items():
        soundfile.write(folder / f"{name}.wav", wave, 8000)
    return folder


@pytest.fixture(scope="module")
def conversations(announcements):
    """One call for each fault."""
    with contextlib.ExitStack() as stack:
        calls = {}
        for fault in FAULTS:
            pbx, desk = (stack.enter_context(Phone(name, goodbye_s=0.5)) for name in ("pbx", "desk"))
            pbx.play(announcements / {"wrong audio": "wrong.wav", "clipped": "clipped.wav"}.get(fault, "right.wav"))
            pbx.send_digits_after(4.4, "13" if fault == "a missing digit" else DIGITS)
            pbx.hang_up_after(5.2)
            desk.tone(DESK_HZ)
            if fault == "a gap of 200 ms":
                pbx.impair(Impairment(gaps=[(1.0, 1.2)]))
            if fault == "one-way audio":
                desk.misbehave(one_way=True)
            calls[fault] = (pbx.call(desk.uri), desk)
        for mine, _ in calls.values():
            mine.wait_ended(15)
        return {fault: Conversation(desk.last_call, mine) for fault, (mine, desk) in calls.items()}


def checks(conversation, announcements):
    """What a tester would write, by name."""
    desk, pbx = conversation.at_desk, conversation.at_pbx
    return {
        "heard": lambda: desk.assert_heard(announcements / "right.wav"),
        "both ways": lambda: pbx.assert_tone(DESK_HZ, min_s=1),
        "not clipped": desk.assert_not_clipped,
        "no gaps": lambda: desk.assert_no_gaps(max_ms=150),  # of a busy machine's own there may be some of 60
        "digits": lambda: desk.assert_digits(DIGITS),
    }


@pytest.mark.parametrize("fault", FAULTS)
def test_only_its_own_assertion_fails(fault, conversations, announcements):
    failed = {}
    for name, check in checks(conversations[fault], announcements).items():
        try:
            check()
        except AssertionError as error:
            failed[name] = str(error)
    assert list(failed) == ([] if FAULTS[fault] is None else [FAULTS[fault]]), failed


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("wrong audio", "did not hear .*right.wav: nothing like it; correlation 0"),
        ("one-way audio", "got no audio at all"),
        ("clipped", r"is clipped from 0\.\d\d s to 3\.\d\d s"),
        ("a gap of 200 ms", r"a gap of 2[12]\d ms at (0\.9|1\.0)\d s"),
        ("a missing digit", r"'13', not '123': key 2 is '3' at 4\.\d\d s instead of '2'"),
    ],
)
def test_the_failure_says_where(fault, message, conversations, announcements):
    with pytest.raises(AssertionError, match=message):
        checks(conversations[fault], announcements)[FAULTS[fault]]()


# -------------------------------------------------------------------------------------------------- faults of signalling

SIGNALLING = {
    "none": (),
    "ACK missing": ("ack-missing",),
    "BYE never answered": ("request-unanswered",),
    "double hangup": ("bye-once",),
    "late ringback": ("provisional-after-final",),
}
GIVES_UP = {"ACK missing", "BYE never answered"}


@pytest.mark.parametrize("fault", SIGNALLING)
def test_only_its_own_rule_of_lint_is_broken(fault):
    t1_s = 0.02 if fault in GIVES_UP else 0.5
    with Phone("pbx", t1_s=t1_s, goodbye_s=2) as pbx, Phone("desk", t1_s=t1_s, goodbye_s=2) as desk:
        pbx.misbehave(no_ack=fault == "ACK missing", double_bye=fault == "double hangup", no_answer_to_bye=fault == "BYE never answered")
        desk.misbehave(late_ringback=fault == "late ringback")
        call = pbx.call(desk.uri)
        if fault == "ACK missing":
            desk.wait_call(5).wait_ended(10)
        else:
            call.wait_answered(5)
            desk.wait_call(5).wait_answered(5)
            (desk if fault == "BYE never answered" else pbx).hangup()
            desk.last_call.wait_ended(10)
        call.wait_ended(10)
        findings = lint(desk.last_call.traced(), patience_s=60 * t1_s)
    rules = {finding.rule for finding in findings} - {"retransmission-early"}  # T1 is a fraction of what it should be
    assert rules == set(SIGNALLING[fault]), [str(finding) for finding in findings]


def test_only_the_wrong_reason_is_found():
    def says_why(reason):
        with Phone("pbx", goodbye_s=0.5) as pbx, Phone("desk", goodbye_s=0.5) as desk:
            call = pbx.call(desk.uri)
            call.wait_answered(5)
            pbx.hangup(reason)
            desk.wait_call(5).wait_ended(5)
            assert lint(desk.last_call.traced()) == ()
            desk.last_call.assert_hung_up(reason="Q.850;cause=16")

    says_why("Q.850;cause=16")
    with pytest.raises(AssertionError, match=r"with Reason 'Q\.850;cause=38', not 'Q\.850;cause=16'"):
        says_why("Q.850;cause=38")
