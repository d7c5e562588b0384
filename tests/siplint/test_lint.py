"""SIP lint: good dialogs have no findings, and each planted fault is found by its own rule and no other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sipcore.siplint import RULES, MediaPacket, lint

from .dialogs import BEGAN_AT, CALLEE, CALLER, CLEAN, Dialog, answered, held, ringing, sdp, whole

INVITE_BRANCH = "z9hG4bK-one@x-caller-INVITE-1"
REFRESHED = {"Session_Expires": "90;refresher=uac"}


def faults(dialog: Dialog, **more):
    return [(finding.rule, finding.is_ours) for finding in lint(dialog.messages, **more)]


@pytest.mark.parametrize("we_called", [True, False])
@pytest.mark.parametrize("name", CLEAN)
def test_a_good_dialog_has_no_findings(name, we_called):
    dialog = CLEAN[name]()
    messages = dialog.messages if we_called else [replace(message, is_sent=not message.is_sent) for message in dialog.messages]
    assert lint(messages) == ()


def test_nothing_is_found_in_nothing():
    assert lint([]) == ()


def _no_ack():
    dialog = whole()
    del dialog.messages[4]
    return dialog


def _no_ack_of_a_refusal():
    return ringing().reply(1, "486 Busy Here", "1 INVITE")


def _changed_body(index, body):
    def changed():
        dialog = held()
        text = dialog.messages[index].text
        head = text.partition("\r\n\r\n")[0].rpartition("Content-Length")[0]
        dialog.messages[index] = replace(dialog.messages[index], text=f"{head}Content-Length: {len(body)}\r\n\r\n{body}")
        return dialog

    return changed


PLANTED = {
    "ack of 200": ("ack-missing", True, _no_ack),
    "ack of 486": ("ack-missing", True, _no_ack_of_a_refusal),
    "ack of nothing": ("ack-cseq", True, lambda: answered().ask(2, "ACK", 7).ask(5, "BYE", 8).reply(5.1, "200 OK", "8 BYE")),
    "two byes": ("bye-once", True, lambda: whole().ask(6, "BYE", 3).reply(6.1, "481 No Call", "3 BYE")),
    "bye of a dialog that is over": ("bye-once", False, lambda: whole().ask(7, "BYE", 1, CALLEE).reply(7.1, "481 No", "1 BYE", CALLER)),
    "bye without answer": ("request-unanswered", False, lambda: answered().ask(5, "BYE", 2).again(5.5).again(6.5).again(8.5)),
    "their bye without answer": ("request-unanswered", True, lambda: answered().ask(5, "BYE", 2, CALLEE)),
    "invite without answer": (
        "request-unanswered",
        False,
        lambda: Dialog().ask(0, "INVITE", 1, is_new=True, body=sdp()).again(0.5).again(1.5).again(3.5),
    ),
    "cancelled invite without answer": (
        "request-unanswered",
        False,
        lambda: ringing()
        .ask(2, "CANCEL", 1, is_new=True, branch=INVITE_BRANCH)
        .reply(2.1, "200 OK", "1 CANCEL", branch=INVITE_BRANCH),
    ),
    "same number again": (
        "cseq-order",
        True,
        lambda: answered().ask(2, "INFO", 2).reply(2.1, "200 OK", "2 INFO").ask(5, "BYE", 2).reply(5.1, "200 OK", "2 BYE"),
    ),
    "number falls": (
        "cseq-order",
        False,
        lambda: answered()
        .ask(2, "INFO", 9, CALLEE)
        .reply(2.1, "200 OK", "9 INFO", CALLER)
        .ask(3, "INFO", 8, CALLEE)
        .reply(3.1, "200 OK", "8 INFO", CALLER),
    ),
    "wrong method in CSeq": (
        "cseq-method",
        True,
        lambda: answered().ask(2, "OPTIONS", 2, sequence="2 INFO").reply(2.01, "200 OK", "2 OPTIONS"),
    ),
    "branch of the INVITE": (
        "branch-reused",
        True,
        lambda: answered().ask(5, "BYE", 2, branch=INVITE_BRANCH).reply(5.1, "200 OK", "2 BYE", branch=INVITE_BRANCH),
    ),
    "ack of 200 in the INVITE's transaction": (
        "branch-reused",
        True,
        lambda: ringing().reply(1, "200 OK", "1 INVITE", body=sdp()).ask(1.1, "ACK", 1, branch=INVITE_BRANCH),
    ),
    "no tag in From": (
        "tag-missing",
        True,
        lambda: Dialog(tags={CALLER: "", CALLEE: "c2"}).ask(0, "OPTIONS", 1, is_new=True).reply(0.1, "200 OK", "1 OPTIONS"),
    ),
    "no tag in To": ("tag-missing", False, lambda: Dialog().ask(0, "OPTIONS", 1, is_new=True).reply(0.1, "200 OK", "1 OPTIONS", to_tag="")),
    "another tag in To": ("tag-changed", False, lambda: answered().ask(5, "BYE", 2).reply(5.1, "200 OK", "2 BYE", to_tag="else")),
    "another tag in From": (
        "tag-changed",
        True,
        lambda: answered().ask(5, "BYE", 2, from_tag="else").reply(5.1, "200 OK", "2 BYE", from_tag="else"),
    ),
    "no contact in INVITE": ("contact-missing", True, lambda: Dialog().ask(0, "INVITE", 1, is_new=True, contact="")),
    "no contact in 200": ("contact-missing", False, lambda: ringing().reply(1, "200 OK", "1 INVITE", contact="").ask(1.1, "ACK", 1)),
    "too long": ("content-length", True, lambda: Dialog().ask(0, "INVITE", 1, is_new=True, body=sdp(), length="9999")),
    "rings after the answer": ("provisional-after-final", False, lambda: answered().reply(1.2, "180 Ringing", "1 INVITE")),
    "busy after the answer": ("final-twice", False, lambda: answered().reply(1.2, "486 Busy Here", "1 INVITE")),
    "repeated too early": (
        "retransmission-early",
        True,
        lambda: Dialog().ask(0, "INVITE", 1, is_new=True, body=sdp()).again(0.1).reply(0.2, "100 Trying", "1 INVITE"),
    ),
    "not repeated": ("retransmission-missing", True, lambda: whole().ask(6, "OPTIONS", 3, is_new=True)),
    "session not refreshed": (
        "session-expired",
        True,
        lambda: ringing()
        .reply(1, "200 OK", "1 INVITE", body=sdp(), **REFRESHED)
        .ask(1.1, "ACK", 1)
        .ask(95, "BYE", 2)
        .reply(95.1, "200 OK", "2 BYE"),
    ),
    "after the end": ("after-end", True, lambda: whole().ask(7, "INFO", 3).reply(7.1, "481 No Call", "3 INFO")),
    "changed SDP, same version": ("sdp-version", True, _changed_body(5, sdp(1, extra="a=sendonly\r\n", host="192.0.2.1"))),
    "another origin": ("sdp-version", True, _changed_body(11, sdp(3, host="192.0.2.1").replace("o=- 77", "o=- 78"))),
    "same SDP, other version": ("sdp-version-idle", True, _changed_body(11, sdp(4, host="192.0.2.1"))),
    "no common codec": ("answer-media", False, _changed_body(6, sdp(2, formats="18 101"))),
    "a stream more": ("answer-media", False, _changed_body(6, sdp(2, streams="m=video 4002 RTP/AVP 31\r\n"))),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found_by_its_own_rule_only(name):
    rule, is_ours, build = PLANTED[name]
    dialog = build()
    until = dialog.messages[-1].time + (3 if rule in {"retransmission-missing", "request-unanswered", "ack-missing"} else 0)
    patience_s = 60 if rule == "retransmission-missing" else 2
    assert faults(dialog, until=until, patience_s=patience_s) == [(rule, is_ours)]
    others = [replace(message, is_sent=not message.is_sent) for message in dialog.messages]
    turned = [(finding.rule, finding.is_ours) for finding in lint(others, until=until, patience_s=patience_s)]
    if rule not in {"retransmission-missing", "request-unanswered"}:  # seen from the other side; only ours are known to have left but once
        assert turned == [(rule, not is_ours)]


def test_every_rule_of_messages_has_its_fault():
    of_calls = {"bye-missing", "leg-ended-once", "reason-mismatch", "ringback-late", "rtp-after-bye"}
    assert {rule for rule, _, _ in PLANTED.values()} == set(RULES) - of_calls


def test_ringback_that_comes_late():
    assert faults(whole(), ringback_within_s=0.05) == [("ringback-late", False)]
    assert faults(whole(), ringback_within_s=0.2) == []
    dialog = Dialog().ask(0, "INVITE", 1, is_new=True).reply(0.01, "100 Trying", "1 INVITE")
    assert faults(dialog, until=BEGAN_AT + 5, ringback_within_s=3) == [("ringback-late", False)]


def test_media_after_the_end():
    def packets(*ats):
        return [MediaPacket(BEGAN_AT + at, "192.0.2.9:4000", "192.0.2.1:4000") for at in ats]

    assert faults(whole(), packets=packets(2, 4.9, 5.2)) == []
    assert faults(whole(), packets=packets(2, 4.9, 5.2, 5.9)) == [("rtp-after-bye", False)]
    strangers = [MediaPacket(BEGAN_AT + 9, "192.0.2.9:9000", "192.0.2.1:4000")]
    assert faults(whole(), packets=strangers) == []


def test_a_finding_says_where_and_why():
    (finding,) = lint(whole().ask(6, "BYE", 3).reply(6.1, "481 No Call", "3 BYE").messages)
    assert str(finding) == "message 8: bye-once: a second BYE, CSeq 3 (RFC 3261 §15, by us)"
    assert (finding.index, finding.time - BEGAN_AT) == (7, pytest.approx(6))


def test_what_was_not_kept_is_not_missed():
    messages = whole().messages
    gap = [messages[0], replace(messages[5], missing=4), messages[6]]
    assert lint(gap, until=BEGAN_AT + 100) == ()
    assert lint(messages[4:], until=BEGAN_AT + 100) == ()
    cut = replace(messages[0], text=f"{messages[0].text[:-20]}\r\n[20 more characters were not kept]\r\n")
    assert lint([cut, *messages[1:]]) == ()


def test_a_call_to_ourselves_is_seen_twice():
    """One Call-ID, each message sent and received."""
    messages = [
        other
        for message in whole().messages
        for other in (message, replace(message, is_sent=not message.is_sent, time=message.time + 0.001))
    ]
    assert lint(messages) == ()


def test_a_request_to_another_server_has_the_same_number():
    dialog = Dialog().ask(0, "INVITE", 1, is_new=True).again(0.5).again(1.5)
    other = [replace(message, text=message.text.replace("INVITE-1", "INVITE-second")) for message in whole().messages]
    late = [replace(message, time=message.time + 3) for message in other]
    assert [finding.rule for finding in lint([*dialog.messages, *late], patience_s=60)] == []


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_whatever_comes_is_judged_without_an_error(data):
    """Messages lost, cut, repeated, out of order, of garbage."""
    messages = [message for function in CLEAN.values() for message in function().messages]
    chosen = data.draw(st.lists(st.sampled_from(messages), max_size=12))
    changed = [
        replace(message, text=message.text[: data.draw(st.integers(0, len(message.text)))] + data.draw(st.text(max_size=20)))
        for message in chosen
    ]
    for finding in lint(changed, until=data.draw(st.floats(0, 1e12)), patience_s=1):
        assert finding.rule in RULES


def test_the_page_lists_every_rule():
    page = (Path(__file__).parents[2] / "docs" / "testing.md").read_text()
    for rule in RULES.values():
        assert f"| `{rule.id}` | {rule.text} | {rule.section} |" in page
