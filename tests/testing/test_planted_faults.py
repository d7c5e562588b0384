"""Faults planted in a far end: each makes its own assertion fail, and no other.

"pbx" plays the thing under test: it says the announcement, presses the keys, hangs up. "desk" is the tester's telephone. Each case is
a real call; all of them are made at the same time, and each is judged by every assertion and by every rule of SIP lint. One that is
judged wrongly is made again if its telephones say that they were held up themselves.
"""

import contextlib
import re
import threading
import time

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
REASON = "Q.850;cause=16"
KEYS_AT_S, END_AT_S = 3.0, 3.8  # the announcement ends before the keys, which are not in the audio
MOST_GAP_MS = 150
HELD_UP_MS = 60
"""A call whose telephones were held up for longer than this says nothing about a fault: it is made again."""
MOST_ATTEMPTS = 5
PATIENCE_S = 1.0
"""For what never comes: an ACK, the answer to a BYE."""
RINGBACK_S = 1.0

# fault: (how it is planted, what fails, what that says)
FAULTS = {
    "none": (lambda pbx, desk, sounds: None, None, ""),
    "wrong audio": (
        lambda pbx, desk, sounds: pbx.play(sounds / "wrong.wav"),
        "heard",
        r"did not hear .*right.wav: nothing like it; correlation 0",
    ),
    "one-way audio": (lambda pbx, desk, sounds: desk.misbehave(one_way=True), "both ways", r"got no audio at all"),
    "clipped": (
        lambda pbx, desk, sounds: pbx.play(sounds / "clipped.wav"),
        "not clipped",
        r"is clipped from \d\.\d\d s to \d\.\d\d s",
    ),
    "a gap of 200 ms": (
        lambda pbx, desk, sounds: pbx.impair(Impairment(gaps=[(1.0, 1.2)])),
        "no gaps",
        r"a gap of 2[0-9]\d ms at (0\.9|1\.0)\d s",
    ),
    "a missing digit": (
        lambda pbx, desk, sounds: pbx.send_digits_after(KEYS_AT_S, "13"),
        "digits",
        r"'13', not '123': key 2 is '3' at 3\.\d\d s instead of '2'",
    ),
    "BYE never answered": (
        lambda pbx, desk, sounds: (pbx.misbehave(no_answer_to_bye=True), pbx.hang_up_after(60), desk.hang_up_after(END_AT_S, REASON)),
        "request-unanswered",
        r"BYE 1 has no final answer after \d\.\d s \(RFC 3261 .*by the far end",
    ),
    "wrong reason": (
        lambda pbx, desk, sounds: pbx.hang_up_after(END_AT_S, "Q.850;cause=38"),
        "reason",
        r"with Reason 'Q\.850;cause=38', not 'Q\.850;cause=16'",
    ),
    "ACK missing": (
        lambda pbx, desk, sounds: pbx.misbehave(no_ack=True),
        "ack-missing",
        r"200 OK of INVITE 1 has no ACK after \d\.\d s \(RFC 3261 .*by the far end",
    ),
    "late ringback": (
        lambda pbx, desk, sounds: pbx.misbehave(ringback_after_s=1.5 * RINGBACK_S),
        "ringback-late",
        r"180 Ringing came 1\.\d\d s after the INVITE, more than 1 s \(.*by the far end",
    ),
    "ringback after the answer": (
        lambda pbx, desk, sounds: pbx.misbehave(late_ringback=True),
        "provisional-after-final",
        r"INVITE got 180 Ringing after 200 OK \(RFC 3261 .*by the far end",
    ),
    "double hangup": (
        lambda pbx, desk, sounds: pbx.misbehave(double_bye=True),
        "bye-once",
        r"a second BYE, CSeq \d \(RFC 3261 .*by the far end",
    ),
}
CALLED = {"late ringback", "ringback after the answer"}
"""Where the PBX is called."""


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sounds")
    right, wrong = sentences()[2, "female"] * 1.8, sentences()[3, "male"] * 1.8
    assert right.size / 8000 < KEYS_AT_S
    for name, wave in {"right": right, "wrong": wrong, "clipped": np.clip(right * 10 ** (9 / 20), -0.9, 0.9)}.items():
        soundfile.write(folder / f"{name}.wav", wave[: round(KEYS_AT_S * 8000)], 8000)
    return folder


@pytest.fixture(scope="module")
def judgements(sounds):
    """What fails, for each fault."""
    judged = {}
    for _ in range(MOST_ATTEMPTS):
        calls = conversations([fault for fault in FAULTS if fault not in judged or is_in_doubt(fault, *judged[fault])], sounds)
        judged |= {fault: (failures(call, sounds), max(end.sent_late_ms for end in call[:2])) for fault, call in calls.items()}
        if not any(is_in_doubt(fault, *judgement) for fault, judgement in judged.items()):
            break
    return judged


def is_in_doubt(fault, failed, late_ms):
    return late_ms > HELD_UP_MS and not is_as_planted(fault, failed)


def is_as_planted(fault, failed):
    """Whether its own assertion fails with its own words, and no other."""
    _, own, message = FAULTS[fault]
    return list(failed) == ([] if own is None else [own]) and (own is None or re.search(message, failed[own]) is not None)


def conversations(faults, sounds):
    """One call for each fault: `(at the desk, at the PBX, when it was looked at)`."""
    with contextlib.ExitStack() as stack:
        calls = {}
        for fault in faults:
            pbx, desk = (stack.enter_context(Phone(name, goodbye_s=0.2)) for name in ("pbx", "desk"))
            pbx.play(sounds / "right.wav")
            pbx.send_digits_after(KEYS_AT_S, DIGITS)
            pbx.hang_up_after(END_AT_S, REASON)
            desk.tone(DESK_HZ)
            FAULTS[fault][0](pbx, desk, sounds)
            caller, called = (desk, pbx) if fault in CALLED else (pbx, desk)
            calls[fault] = (caller.call(called.uri), called, fault in CALLED)
        pairs = {fault: _ends(*call) for fault, call in calls.items()}
        threading.Event().wait(1.2 * PATIENCE_S)  # then what has not come is missing
        looked_at = time.time()
        return {fault: (*pair, looked_at) for fault, pair in pairs.items()}


def _ends(call, called, is_of_the_desk):
    """Both ends of a call that is over, but for a BYE that nobody answers."""
    other = called.wait_call(10)
    call.wait_answered(10)
    while not (call.ended_by and other.ended_by):
        (other if call.ended_by else call).wait_ended(15)
    return (call, other) if is_of_the_desk else (other, call)


def failures(conversation, sounds):
    """What a tester would look at, by name, with what it says when it fails."""
    desk, pbx, looked_at = conversation
    checks = {
        "heard": lambda: desk.assert_heard(sounds / "right.wav"),
        "both ways": lambda: pbx.assert_tone(DESK_HZ, min_s=1),
        "not clipped": desk.assert_not_clipped,
        "no gaps": lambda: desk.assert_no_gaps(MOST_GAP_MS),
        "digits": lambda: desk.assert_digits(DIGITS),
        "reason": lambda: (desk if desk.ended_by == "remote" else pbx).assert_hung_up(REASON),
    }
    failed = {}
    for name, check in checks.items():
        try:
            check()
        except AssertionError as error:
            failed[name] = str(error)
    findings = lint(desk.traced(), until=looked_at, patience_s=PATIENCE_S, ringback_within_s=RINGBACK_S)
    return failed | {finding.rule: str(finding) for finding in findings}


@pytest.mark.parametrize("fault", FAULTS)
def test_only_its_own_assertion_fails(fault, judgements):
    failed, late_ms = judgements[fault]
    assert is_as_planted(fault, failed), f"{FAULTS[fault][1:]}: {failed}; the telephones sent up to {late_ms:.0f} ms late"
