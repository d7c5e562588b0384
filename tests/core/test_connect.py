"""The options of `connect`: in which order, what is heard meanwhile, who is asked, who is shown, and what comes of it."""

from __future__ import annotations

import asyncio
from dataclasses import fields
from itertools import pairwise

import pytest

from sipcore import engine as wire
from sipcore.actions import Answer, Confirm, Connect, Play, Talk, parse_action
from sipcore.actions.calling import ConnectOptions
from sipcore.errors import ActionFailed, InvalidRequest, InvalidState
from sipcore.preparation import Kind
from sipcore.testing.fake_engine import Caller, FarEnd

from .stage import PROMPT_S, WORD_S, Stage, address, play, write_wav

PLAY = Play(["prompt.wav"])
RINGS = FarEnd(answer_after_s=None)
BUSY = FarEnd(reject_code=486, answer_after_s=1)
EARLY = FarEnd(ring_code=183, answer_after_s=None)
QUESTION = Confirm("take it", timeout_s=5)
QUESTION_S = 2 * WORD_S


def ended(record):
    return record.hangup_by, record.hangup_reason, record.sip_code


async def leg_records(stage: Stage, call):
    return [await stage.switch.calls.get(event.call_id) for event in stage.finished(call.id)[0].legs]


PATIENT = Caller()


def offered(stage: Stage, *actions, source="+821021656521", caller=PATIENT, **keywords):
    """A call that comes in to an action list."""
    stage.switch.on_call(actions=actions)
    return stage.switch.calls.live(stage.engine.offer("+82100", source, caller=caller, **keywords).call_id)


def heard(stage: Stage, call):
    """What a call heard, one after the other: the id of a leg, or the length of a file that is not looped."""
    return [entry.peer_id or entry.path for entry in stage.engine.heard[call.id]]


@pytest.mark.parametrize(
    ("option", "place", "said"),
    [
        ({"ring": "some"}, "ring", "'all' or 'in_order'"),
        ({"leg_timeout_s": 0}, "leg_timeout_s", "greater than 0"),
        ({"max_duration_s": -1}, "max_duration_s", "greater than 0"),
        ({"max_duration_s": float("nan")}, "max_duration_s", "than"),
        ({"early_media": "yes"}, "early_media", "boolean"),
        ({"relay_reason": 1}, "relay_reason", "boolean"),
        ({"anonymous": True}, "anonymous", "'yes', 'no' or 'auto'"),
        ({"ringback": 440}, "ringback", "string"),
        ({"source_name": "a\nb"}, "source_name", "control character"),
        ({"source_name": "a" * 129}, "source_name", "at most 128"),
        ({"headers": {"Via": "x"}}, "headers", "written by the switch"),
        ({"headers": {"X-A": "x\r\nVia: y"}}, "headers", "control character"),
        ({"headers": {"X A": "x"}}, "headers", "not the name of a SIP header"),
        ({"headers": {"X-A": 1}}, "headers.X-A", "string"),
        ({"headers": {f"X-{number}": "" for number in range(33)}}, "headers", "at most 32"),
        ({"confirm": "press one"}, "confirm", "Confirm"),
        ({"confirm": {"digit": "1"}}, "confirm.text", "required"),
        ({"confirm": {"text": "x", "digit": "12"}}, "confirm.digit", "match"),
        ({"confirm": {"text": "x", "timeout_s": 0}}, "confirm.timeout_s", "greater than 0"),
        ({"confirm": {"text": "x", "tone": 1}}, "confirm.tone", "unknown key"),
    ],
)
def test_wrong_options(option, place, said):
    with pytest.raises(InvalidRequest) as refused:
        parse_action({"type": "connect", "option": {"destinations": ["+8210"]} | option})
    (fault,) = refused.value.faults
    assert fault.path == f"action.option.{place}"
    assert said in fault.message


# --------------------------------------------------------------------------------------------------------- in order


def test_one_after_the_other_until_one_answers(root):
    async def scenario(stage: Stage):
        call = stage.call("alice", Connect([address(user) for user in ("bob", "carol", "dave", "erin")], ring="in_order", leg_timeout_s=5))
        assert ended(await call.wait()) == ("local", "normal", 200)
        busy, slow, answered = await leg_records(stage, call)
        assert [ended(leg) for leg in (busy, slow, answered)] == [
            ("remote", "busy", 486),
            ("local", "dialout", 487),
            ("remote", "normal", 200),
        ]
        assert busy.tm_hangup <= slow.tm_create < slow.tm_hangup <= answered.tm_create
        assert (slow.tm_hangup - slow.tm_create).total_seconds() == pytest.approx(5, abs=0.1)
        assert [leg.destination.uri.user for leg in (busy, slow, answered)] == ["bob", "carol", "dave"]

    play(root, scenario, {"bob": BUSY, "carol": RINGS, "dave": FarEnd(hang_up_after_s=1)})


def test_more_destinations_than_a_worker_has_legs(root):
    async def scenario(stage: Stage):
        users = [f"u{number}" for number in range(20)]
        call = stage.call("alice", Connect([address(user) for user in users], ring="in_order"), PLAY)
        await call.wait()
        assert stage.outcomes(call.id) == [("connect", "failed"), ("play", "done")]
        assert [(leg.hangup_reason, leg.sip_code) for leg in stage.finished(call.id)[0].legs] == [("busy", 486)] * 20

    play(root, scenario, {f"u{number}": BUSY for number in range(20)})


def test_in_order_rings_twenty_seconds_each_and_not_longer_than_the_whole_time(root):
    async def scenario(stage: Stage):
        call = stage.call("alice", Connect([address("bob"), address("carol"), address("dave")], ring="in_order", timeout_s=30))
        await call.wait()
        first, second = await leg_records(stage, call)
        assert [(leg.tm_hangup - leg.tm_create).total_seconds() for leg in (first, second)] == pytest.approx([20, 10], abs=0.1)
        assert "in time" in stage.finished(call.id)[0].detail

    play(root, scenario, dict.fromkeys(["bob", "carol", "dave"], RINGS))


def test_all_at_once_each_may_ring_for_a_while(root):
    async def scenario(stage: Stage):
        call = stage.call("alice", Connect([address("bob"), address("carol")], leg_timeout_s=3))
        await call.wait()
        assert [ended(leg)[1] for leg in await leg_records(stage, call)] == ["dialout", "dialout"]
        assert (call.record.tm_hangup - call.record.tm_progressing).total_seconds() == pytest.approx(3, abs=0.1)

    play(root, scenario, {"bob": RINGS, "carol": RINGS})


def test_caller_who_leaves_is_followed_by_nobody(root):
    async def scenario(stage: Stage):
        call = stage.call("alice", Connect([address("bob"), address("carol")], ring="in_order"))
        await asyncio.sleep(3)
        call.hangup()
        await call.wait()
        await asyncio.sleep(30)
        assert len(call.record.chained_call_ids) == 1
        assert len([command for command in stage.engine.commands if isinstance(command, wire.Dial)]) == 2

    play(root, scenario, {"bob": RINGS})


# ------------------------------------------------------------------------------------------------ what A hears meanwhile


def test_ringback_of_its_own(root):
    write_wav(root / "music.wav", 3.0)

    async def scenario(stage: Stage):
        call = stage.call("alice", Connect([address("bob")], ringback="music.wav"))
        tone = stage.call("alice", Connect([address("bob")]))
        await call.wait()
        await tone.wait()
        (own,) = stage.sent(wire.Play, call.id)
        (usual,) = stage.sent(wire.Play, tone.id)
        assert own.loop
        assert own.path != usual.path
        music, peer = stage.engine.heard[call.id]
        assert (music.path, music.end_s - music.start_s) == (own.path, pytest.approx(7, abs=0.1))
        assert peer.start_s == music.end_s

    play(root, scenario, {"bob": FarEnd(answer_after_s=7, hang_up_after_s=1)})


def test_ringback_that_cannot_be_had_is_the_tone(root):
    path = write_wav(root / "gone.wav")

    async def scenario(stage: Stage):
        with pytest.raises(InvalidRequest, match=r"actions\[0\].option.ringback"):
            stage.call("alice", Connect([address("bob")], ringback="none.wav"))
        call = stage.call("alice", PLAY, Connect([address("bob")], ringback="gone.wav"))
        path.write_bytes(b"no audio")
        await call.wait()
        assert stage.outcomes(call.id) == [("play", "done"), ("connect", "done")]
        assert len(heard(stage, call)) == 3

    play(root, scenario, {"bob": FarEnd(answer_after_s=2, hang_up_after_s=1), "alice": FarEnd(answer_after_s=1)})


def test_ringback_that_is_slow_to_come_keeps_nobody_waiting(root, monkeypatch):
    async def scenario(stage: Stage):
        slow = asyncio.get_running_loop().create_future()
        exchange, usual = stage.switch.exchange, stage.switch.exchange.in_background
        monkeypatch.setattr(exchange, "in_background", lambda work, kind: slow if kind is Kind.STREAM else usual(work, kind))
        call = stage.call("alice", Connect([address("bob")], ringback="prompt.wav"))
        await call.wait()
        slow.cancel()
        (leg,) = await leg_records(stage, call)
        assert (leg.tm_create - call.record.tm_progressing).total_seconds() == pytest.approx(1, abs=0.1)
        assert stage.outcomes(call.id) == [("connect", "done")]

    play(root, scenario, {"bob": FarEnd(answer_after_s=2, hang_up_after_s=1)})


def test_early_media_is_heard_in_place_of_the_ringback(root):
    async def scenario(stage: Stage):
        call = offered(stage, Connect([address("bob")], early_media=True))
        await call.wait()
        [leg_id] = call.record.chained_call_ids
        ringback, peer = stage.engine.heard[call.id]
        assert ringback.end_s == peer.start_s
        assert peer.peer_id == leg_id
        assert peer.end_s - peer.start_s == pytest.approx(5, abs=0.1), "4 s before the answer and 1 s after it, without a gap"

    play(root, scenario, {"bob": FarEnd(ring_code=183, answer_after_s=4, hang_up_after_s=1)})


def test_early_media_is_not_heard_by_default(root):
    async def scenario(stage: Stage):
        call = offered(stage, Connect([address("bob")]))
        await call.wait()
        ringback, peer = stage.engine.heard[call.id]
        assert (ringback.end_s - ringback.start_s, peer.end_s - peer.start_s) == pytest.approx((4, 1), abs=0.1)

    play(root, scenario, {"bob": FarEnd(ring_code=183, answer_after_s=4, hang_up_after_s=1)})


def test_early_media_of_two_is_ringback(root):
    async def scenario(stage: Stage):
        call = stage.call("alice", Connect([address("bob"), address("carol"), address("dave")], early_media=True))
        await call.wait()
        bob, carol, dave = call.record.chained_call_ids
        assert [entry.peer_id for entry in stage.engine.heard[call.id]] == ["", bob, "", carol, dave]
        assert all(entry.end_s is not None for entry in stage.engine.heard[call.id])
        times = [entry.start_s for entry in stage.engine.heard[call.id]]
        assert [after - before for before, after in pairwise(times)] == pytest.approx([0, 2, 2, 2], abs=0.1)

    far_ends = {
        "bob": FarEnd(ring_code=183, answer_after_s=4, reject_code=486),
        "carol": FarEnd(ring_after_s=2, ring_code=183, answer_after_s=None),
        "dave": FarEnd(answer_after_s=6, hang_up_after_s=1),
    }
    play(root, scenario, far_ends)


# ----------------------------------------------------------------------------------------------------------- asking


def presses(stage: Stage, user, after_s, digit="1"):
    """The far end of this user presses a key, so long after the start."""

    async def later():
        await asyncio.sleep(after_s)
        (leg_id,) = [record.id for record in stage.switch.calls.live_records() if str(record.destination) == address(user)]
        stage.engine.press(leg_id, digit)

    return asyncio.create_task(later())


def test_who_accepts_is_bridged_and_the_others_are_ended(root):
    async def scenario(stage: Stage):
        call = stage.call("alice", Connect([address("bob"), address("carol"), address("dave")], confirm=QUESTION))
        pressed = [presses(stage, "bob", 1.5, "2"), presses(stage, "carol", 3), presses(stage, "bob", 3.5)]
        await call.wait()
        await asyncio.wait(pressed)
        bob, carol, dave = await leg_records(stage, call)
        assert [ended(leg)[:2] for leg in (bob, carol, dave)] == [("local", "normal"), ("remote", "normal"), ("local", "cancel")]
        ringback, peer = stage.engine.heard[call.id]
        assert ringback.end_s - ringback.start_s == pytest.approx(3, abs=0.1), "ringback while they are asked"
        assert peer.peer_id == carol.id
        question, bridge = stage.engine.heard[carol.id]
        assert question.end_s - question.start_s == pytest.approx(QUESTION_S, abs=0.05)
        assert bridge.peer_id == call.id
        assert [entry.peer_id for entry in stage.engine.heard[bob.id]] == [""], "who did not accept hears nobody"

    play(root, scenario, {"bob": FarEnd(answer_after_s=1), "carol": FarEnd(answer_after_s=1, hang_up_after_s=9), "dave": RINGS})


def test_a_key_ends_the_question(root):
    async def scenario(stage: Stage):
        call = stage.call("alice", Connect([address("bob")], confirm=QUESTION))
        await presses(stage, "bob", 0.5)
        await call.wait()
        question, bridge = stage.engine.heard[call.record.chained_call_ids[0]]
        assert question.end_s == bridge.start_s
        awaited = [order.is_awaited for order in stage.sent(wire.AwaitDigits, call.record.chained_call_ids[0])]
        assert awaited == [True, False], "his key is told without delay"
        assert question.end_s - question.start_s == pytest.approx(0.5, abs=0.05)

    play(root, scenario, {"bob": FarEnd(hang_up_after_s=2)})


def test_who_does_not_accept_is_hung_up_and_the_next_is_rung(root):
    async def scenario(stage: Stage):
        call = offered(stage, Connect([address("bob"), address("carol")], ring="in_order", confirm=QUESTION), Talk("sorry"))
        pressed = presses(stage, "carol", QUESTION_S + 5 + 1.5)
        await call.wait()
        await pressed
        bob, carol = await leg_records(stage, call)
        assert ended(bob) == ("local", "normal", 200)
        assert (bob.tm_hangup - bob.tm_progressing).total_seconds() == pytest.approx(QUESTION_S + 5, abs=0.1)
        assert ended(carol) == ("remote", "normal", 200)
        assert call.record.tm_progressing > bob.tm_hangup, "a caller is answered when somebody has accepted"
        assert stage.outcomes(call.id) == [("connect", "done"), ("talk", "done")]

    play(root, scenario, {"carol": FarEnd(hang_up_after_s=8)})


def test_nobody_accepts(root):
    async def scenario(stage: Stage):
        call = offered(stage, Connect([address("bob")], confirm=QUESTION))
        assert ended(await call.wait()) == ("local", "noanswer", 480)
        assert "did not accept" in stage.finished(call.id)[0].detail

    play(root, scenario)


def test_who_hangs_up_during_the_question(root):
    async def scenario(stage: Stage):
        call = stage.call("alice", Connect([address("bob")], confirm=QUESTION), PLAY)
        await call.wait()
        assert [leg.hangup_by for leg in await leg_records(stage, call)] == ["remote"]
        assert stage.outcomes(call.id) == [("connect", "failed"), ("play", "done")]

    play(root, scenario, {"bob": FarEnd(hang_up_after_s=0.3)})


def test_question_that_cannot_be_put(root):
    async def scenario(stage: Stage):
        with pytest.raises(InvalidRequest, match=r"actions\[0\].option.confirm: the text is empty"):
            stage.call("alice", Connect([address("bob")], confirm=Confirm("")))
        with pytest.raises(InvalidRequest, match=r"actions\[0\].option.confirm: unknown language 'xx'"):
            stage.call("alice", Connect([address("bob")], confirm=Confirm("hello", language="xx")))

    play(root, scenario)


# --------------------------------------------------------------------------------------------- what nobody's answer does


@pytest.mark.parametrize(
    ("codes", "told", "reason"),
    [
        ((486,), 486, "busy"),
        ((404, 486), 404, "failed"),
        ((503, 486), 486, "busy"),
        ((486, 603), 603, "noanswer"),
        ((503,), 500, "failed"),
        ((407, 486), 486, "busy"),
        ((401,), 480, "noanswer"),
    ],
)
def test_caller_is_told_the_reason_of_the_others(root, codes, told, reason):
    users = [f"u{code}" for code in codes]

    async def scenario(stage: Stage):
        call = offered(stage, Connect([address(user) for user in users], relay_reason=True), Talk("never said"))
        assert ended(await call.wait()) == ("local", reason, told)
        assert stage.outcomes(call.id) == [("connect", "failed")]
        assert len(stage.finished(call.id)[0].legs) == len(codes)

    play(root, scenario, {f"u{code}": FarEnd(reject_code=code, answer_after_s=n + 1) for n, code in enumerate(codes)})


def test_answered_call_is_hung_up_for_the_reason_of_the_others(root):
    async def scenario(stage: Stage):
        call = stage.call("alice", Connect([address("bob")], relay_reason=True), PLAY)
        assert ended(await call.wait()) == ("local", "busy", 200)
        late = stage.call("alice", Connect([address("carol")], relay_reason=True, timeout_s=3), PLAY)
        assert ended(await late.wait()) == ("local", "noanswer", 200)
        assert stage.outcomes(call.id) == stage.outcomes(late.id) == [("connect", "failed")]

    play(root, scenario, {"bob": BUSY, "carol": RINGS})


def test_the_reason_is_not_relayed_when_somebody_was_reached(root):
    async def scenario(stage: Stage):
        call = stage.call("alice", Connect([address("bob"), address("carol")], relay_reason=True), PLAY)
        assert ended(await call.wait()) == ("local", "normal", 200)
        assert stage.outcomes(call.id) == [("connect", "done"), ("play", "done")]

    play(root, scenario, {"bob": BUSY, "carol": FarEnd(answer_after_s=2, hang_up_after_s=1)})


# ------------------------------------------------------------------------------------------------------- who is shown

ASSERTING = {
    "name": "carrier",
    "addresses": ["192.0.2.50"],
    "p_asserted_identity": True,
    "caller_id": "tel:+441111",
    "headers": {"X-A": "trunk"},
}


def dialled(stage: Stage, call):
    (leg_id,) = call.record.chained_call_ids
    (dial,) = stage.sent(wire.Dial, leg_id)
    return dial


def test_a_hidden_caller_is_told_to_trusted_trunks_only(root):
    async def scenario(stage: Stage):
        calls = [
            stage.call("alice", Connect(["+4930"], trunk="carrier", source=address("boss"), anonymous="yes")),
            stage.call("alice", Connect([address("bob")], source=address("boss"), anonymous="yes")),
        ]
        for call in calls:
            await call.wait()
        trusted, other = (dialled(stage, call) for call in calls)
        assert trusted.from_uri == other.from_uri == '"Anonymous" <sip:anonymous@anonymous.invalid>'
        assert trusted.headers == (("P-Asserted-Identity", "<sip:boss@192.0.2.9>"), ("X-A", "trunk"), ("Privacy", "id"))
        assert other.headers == (("Privacy", "id"),)
        assert "boss" not in repr(other)

    play(root, scenario, trunks=[ASSERTING])


@pytest.mark.parametrize("anonymous", ["auto", "no"])
def test_an_anonymous_caller_stays_so(root, anonymous):
    async def scenario(stage: Stage):
        caller = "sip:anonymous@anonymous.invalid"
        call = offered(stage, Connect(["+4930"], trunk="carrier", anonymous=anonymous), source=caller, caller=Caller(cancel_after_s=1))
        await call.wait()
        dial = dialled(stage, call)
        asserted, privacy = dict(dial.headers)["P-Asserted-Identity"], dict(dial.headers).get("Privacy")
        if anonymous == "auto":
            assert (dial.from_uri, privacy) == ('"Anonymous" <sip:anonymous@anonymous.invalid>', "id")
            assert asserted == "<sip:+441111@192.0.2.50>", "the trunk is told who we are"
        else:
            assert (dial.from_uri, privacy) == ("<sip:anonymous@anonymous.invalid>", None)

    play(root, scenario, {"+4930": RINGS}, trunks=[ASSERTING])


def test_name_and_headers(root):
    async def scenario(stage: Stage):
        headers = {"X-a": "mine", "Privacy": "none"}
        call = stage.call("alice", Connect(["+4930"], trunk="carrier", source="+4420", source_name='Re "ception', headers=headers))
        await call.wait()
        dial = dialled(stage, call)
        assert dial.from_uri == r'"Re \"ception" <sip:+4420@192.0.2.50>'
        assert dial.headers == (("P-Asserted-Identity", "<sip:+4420@192.0.2.50>"), ("X-a", "mine"), ("Privacy", "none"))
        (leg_id,) = call.record.chained_call_ids
        assert (await stage.switch.calls.get(leg_id)).source.name == 'Re "ception'

    play(root, scenario, trunks=[ASSERTING])


def test_a_redirected_leg_shows_the_same(root):
    async def scenario(stage: Stage):
        call = stage.call("alice", Connect([address("bob")], trunk="carrier", anonymous="yes", headers={"X-A": "mine"}))
        await call.wait()
        (leg_id,) = call.record.chained_call_ids
        first, second = stage.sent(wire.Dial, leg_id)
        assert (first.from_uri, first.headers) == (second.from_uri, second.headers)
        assert second.request_uri == "sip:carol@192.0.2.77"

    far_ends = {"bob": FarEnd(reject_code=302, redirect_uri="sip:carol@192.0.2.77"), "carol": FarEnd(hang_up_after_s=1)}
    play(root, scenario, far_ends, trunks=[{**ASSERTING, "redirects": 1}])


# ---------------------------------------------------------------------------------------------------------- the bridge


def test_the_two_may_talk_for_so_long(root):
    async def scenario(stage: Stage):
        call = stage.call("alice", Connect([address("bob")], max_duration_s=7), PLAY)
        assert ended(await call.wait()) == ("local", "normal", 200)
        (leg,) = await leg_records(stage, call)
        assert ended(leg) == ("local", "timeout", 200)
        assert (leg.tm_hangup - leg.tm_progressing).total_seconds() == pytest.approx(7, abs=0.1)
        assert stage.outcomes(call.id) == [("connect", "done"), ("play", "done")]

    play(root, scenario)


def test_an_unchained_leg_lives_on(root):
    async def scenario(stage: Stage):
        call = stage.call("alice", Connect([address("bob"), address("carol")], unchained=True))
        await asyncio.sleep(3)
        assert call.record.chained_call_ids == ()
        (leg,) = [
            stage.switch.calls.live(record.id) for record in stage.switch.calls.live_records() if str(record.destination) == address("bob")
        ]
        call.hangup()
        await call.wait()
        await asyncio.sleep(5)
        assert (leg.record.status, leg.record.master_call_id) == ("progressing", call.id)
        await leg.talk("you are alone")
        stage.engine.hang_up_remote(leg.id)
        assert ended(await leg.wait()) == ("remote", "normal", 200)

    play(root, scenario, {"carol": RINGS})


# ------------------------------------------------------------------------------------------------------------ handlers


def handled(stage: Stage, handler, **keywords):
    """A call that comes in to a handler."""
    stage.switch.on_call(**keywords)(handler)
    return stage.switch.calls.live(stage.engine.offer("+82100").call_id)


def test_a_handler_goes_on_while_the_two_talk(root):
    async def scenario(stage: Stage):
        seen = []

        async def handler(call):
            leg = await call.connect(address("bob"), early_media=True, headers={"X-A": "b"})
            seen.append((call.record.status, leg.record.status, leg.record.destination.uri.user))
            seen.append((await leg.ended()).hangup_by)
            await call.talk("that was it")

        call = handled(stage, handler)
        assert ended(await call.wait()) == ("local", "normal", 200)
        assert seen == [("progressing", "progressing", "bob"), "remote"] or seen == [("ringing", "progressing", "bob"), "remote"]
        assert stage.outcomes(call.id) == [("connect", "done"), ("talk", "done")]
        assert [result.answered for result in stage.finished(call.id)[0].legs] == [True]

    play(root, scenario, {"bob": FarEnd(answer_after_s=1, hang_up_after_s=4)})


def test_a_handler_that_returns_leaves_the_two_talking(root):
    async def scenario(stage: Stage):
        async def handler(call):
            await call.connect(address("bob"))

        call = handled(stage, handler)
        assert ended(await call.wait()) == ("local", "normal", 200)
        assert (call.record.tm_hangup - call.record.tm_progressing).total_seconds() == pytest.approx(30, abs=0.1)

    play(root, scenario, {"bob": FarEnd(hang_up_after_s=30)})


@pytest.mark.parametrize("who", ["call", "leg"])
def test_a_handler_may_end_what_it_has_connected(root, who):
    async def scenario(stage: Stage):
        told = []

        async def handler(call):
            leg = await call.connect(address("bob"))
            await asyncio.sleep(2)
            (call if who == "call" else leg).hangup()
            told.append((await leg.ended()).hangup_by)
            if who == "leg":
                await call.play("prompt.wav")

        call = handled(stage, handler)
        assert ended(await call.wait()) == ("local", "normal", 200)
        await asyncio.sleep(1)
        assert told == ["local"]
        expected = 2 if who == "call" else 2 + PROMPT_S
        assert (call.record.tm_hangup - call.record.tm_progressing).total_seconds() == pytest.approx(expected, abs=0.1)

    play(root, scenario)


def test_what_is_ordered_while_they_talk_waits_for_the_end(root):
    async def scenario(stage: Stage):
        async def handler(call):
            await call.connect(address("bob"))
            await call.talk("afterwards")

        call = handled(stage, handler)
        await call.wait()
        peer, word = stage.engine.heard[call.id][-2:]
        assert peer.peer_id
        assert word.path
        assert word.start_s >= peer.end_s
        assert peer.end_s - peer.start_s == pytest.approx(3, abs=0.1)

    play(root, scenario, {"bob": FarEnd(hang_up_after_s=3)})


def test_caller_who_hangs_up_ends_handler_and_leg(root):
    async def scenario(stage: Stage):
        told = []

        async def handler(call):
            leg = await call.connect(address("bob"))
            try:
                await leg.ended()
            except asyncio.CancelledError:
                told.append("cancelled")
                raise

        stage.switch.on_call()(handler)
        call = stage.switch.calls.live(stage.engine.offer("+82100", caller=Caller(hang_up_after_s=3)).call_id)
        assert ended(await call.wait())[0] == "remote"
        await asyncio.sleep(1)
        assert told == ["cancelled"]
        assert ended(await stage.switch.calls.get(call.record.chained_call_ids[0]))[0] == "local"

    play(root, scenario)


def test_cancelling_a_connect_ends_its_legs(root):
    async def scenario(stage: Stage):
        async def handler(call):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(3):
                    await call.connect(address("bob"))
            await call.talk("too slow")

        call = handled(stage, handler)
        await call.wait()
        assert ended(await stage.switch.calls.get(call.record.chained_call_ids[0]))[1] == "cancel"
        assert [kind for kind, _ in stage.outcomes(call.id)] == ["connect", "talk"]

    play(root, scenario, {"bob": RINGS})


def test_what_goes_wrong_is_raised(root):
    async def scenario(stage: Stage):
        async def handler(call):
            assert await call.connect(address("bob")) is None
            with pytest.raises(ActionFailed, match="no room for 2 more legs"):
                await call.connect(address("bob"), address("carol"))
            with pytest.raises(InvalidRequest, match="ring"):
                await call.connect(address("bob"), ring="some")
            with pytest.raises(TypeError):
                await call.connect(address("bob"), rign="all")
            with pytest.raises(InvalidState):
                await call.connect(address("bob"), relay_reason=True)

        call = handled(stage, handler)
        assert ended(await call.wait()) == ("local", "busy", 486)

    play(root, scenario, {"bob": BUSY})


def test_two_may_be_tried_in_order_with_room_for_one(root):
    async def scenario(stage: Stage):
        async def handler(call):
            leg = await call.connect(address("bob"), address("carol"), ring="in_order")
            assert leg.record.destination.uri.user == "carol"

        call = handled(stage, handler)
        assert ended(await call.wait()) == ("local", "normal", 200)

    play(root, scenario, {"bob": BUSY, "carol": FarEnd(hang_up_after_s=1)})


def test_close_while_a_handler_has_returned(root):
    async def scenario(stage: Stage):
        async def handler(call):
            await call.connect(address("bob"))

        call = handled(stage, handler)
        await asyncio.sleep(5)
        await stage.switch.close()
        assert ended(call.record) == ("local", "normal", 200)

    play(root, scenario)


def test_the_signatures_know_every_option():
    said = {"destinations", "source", "timeout_s", "trunk"}
    assert {field.name for field in fields(Connect)} == said | set(ConnectOptions.__annotations__)


def test_connect_after_answer_in_a_list(root):
    """A call that is answered before hears its ringback as audio of the call."""

    async def scenario(stage: Stage):
        call = offered(stage, Answer(), Connect([address("bob")], early_media=True, confirm=QUESTION))
        pressed = presses(stage, "bob", 4)
        await call.wait()
        await pressed
        tone, early, again, peer = stage.engine.heard[call.id]
        assert tone.path == again.path
        assert early.peer_id == peer.peer_id == call.record.chained_call_ids[0]
        assert [entry.end_s - entry.start_s for entry in (early, again, peer)] == pytest.approx([2, 2, 3], abs=0.1)

    play(root, scenario, {"bob": FarEnd(ring_code=183, answer_after_s=2, hang_up_after_s=5)})
