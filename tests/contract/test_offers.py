"""Calls from outside: what an engine promises of an `Offer`, kept by the fake and by the pool of PJSIP workers alike."""

import pytest

from sipcore import engine as wire
from sipcore.testing.fake_engine import Caller, FarEnd

from .conftest import LEGS


def test_life_of_an_accepted_call(play):
    async def story(line):
        call_id = await line.accepted()
        [offer] = line.offers
        assert offer.request_uri.startswith("sip:+821000@")
        assert offer.from_uri.startswith("sip:+821021656521@")
        assert (offer.transport, offer.trunk, offer.username) == ("udp", "", "")
        assert offer.source.rpartition(":")[2].isdigit()
        line.engine.submit(wire.Ring(call_id))
        line.engine.submit(wire.Answer(call_id))
        confirmed = await line.got(wire.CallConfirmed, call_id)
        assert confirmed.sip_code == 200
        assert (await line.got(wire.MediaStarted, call_id)).codec == "PCMU/8000"
        line.engine.submit(wire.Hangup(call_id))
        over = await line.ended(call_id)
        assert (over.sip_code, over.remote, over.error) == (200, False, "")
        assert line.kinds(call_id).count("CallConfirmed") == 1

    play(story)


@pytest.mark.parametrize("code", [404, 486, 503, 603])
def test_refused_offer_leaves_no_trace(play, code):
    async def story(line):
        line.decide = lambda _offer: wire.Refusal(code)
        await line.call_in("+821000", Caller())
        await line.until(lambda: line.refusals == [code])
        assert line.events == []
        assert line.engine.legs_in_use == 0

    play(story)


@pytest.mark.parametrize(("code", "phrase"), [(486, "Busy Here"), (480, "At Lunch"), (603, "Decline"), (500, "Broken")])
def test_reject(play, code, phrase):
    async def story(line):
        call_id = await line.accepted()
        line.engine.submit(wire.Ring(call_id))
        line.engine.submit(wire.Reject(call_id, code, phrase))
        over = await line.ended(call_id)
        assert (over.sip_code, over.sip_phrase, over.remote, over.error) == (code, phrase, False, "")
        assert "CallConfirmed" not in line.kinds(call_id)

    play(story)


def test_hangup_before_the_answer_declines(play):
    async def story(line):
        call_id = await line.accepted()
        line.engine.submit(wire.Hangup(call_id))
        over = await line.ended(call_id)
        assert (over.sip_code, over.remote) == (603, False)

    play(story)


def test_reject_after_the_answer_is_ignored(play):
    async def story(line):
        call_id = await line.taken_and_answered()
        line.engine.submit(wire.Reject(call_id, 486))
        line.engine.submit(wire.Answer(call_id))
        line.engine.submit(wire.Ring(call_id))
        line.engine.submit(wire.Play(call_id, "p", line.wav(0.1)))
        assert (await line.got(wire.PlaybackFinished, call_id)).error == ""
        assert "CallDisconnected" not in line.kinds(call_id)

    play(story)


def test_caller_gives_up(play):
    async def story(line):
        call_id = await line.accepted(Caller(cancel_after_s=0.3))
        line.engine.submit(wire.Ring(call_id))
        over = await line.ended(call_id)
        assert (over.sip_code, over.remote, over.error) == (487, True, "")

    play(story)


def test_caller_hangs_up(play):
    async def story(line):
        call_id = await line.taken_and_answered(Caller(hang_up_after_s=0.2))
        over = await line.ended(call_id)
        assert (over.sip_code, over.remote, over.error) == (200, True, "")

    play(story)


def test_early_media_to_a_caller(play):
    async def story(line):
        call_id = await line.accepted()
        line.engine.submit(wire.Ring(call_id, 183))
        line.engine.submit(wire.Play(call_id, "p", line.wav(0.2)))
        assert (await line.got(wire.PlaybackFinished, call_id)).error == ""
        line.engine.submit(wire.Answer(call_id))
        await line.got(wire.CallConfirmed, call_id)
        kinds = line.kinds(call_id)
        assert kinds.index("MediaStarted") < kinds.index("PlaybackFinished") < kinds.index("CallConfirmed")

    play(story)


def test_late_offer(play):
    async def story(line):
        call_id = await line.accepted(Caller(has_late_offer=True))
        line.engine.submit(wire.Hangup(call_id))
        await line.ended(call_id)

    play(story)


def test_room_of_an_accepted_call(play):
    async def story(line):
        call_id = await line.taken_and_answered(legs=3)
        assert line.engine.legs_in_use == 3
        line.engine.submit(wire.Hangup(call_id))
        await line.ended(call_id)
        assert line.engine.legs_in_use == 3
        line.engine.release(call_id)
        assert line.engine.legs_in_use == 0

    play(story)


def test_no_room_for_an_accepted_call(play):
    async def story(line):
        group_id = line.group(LEGS)
        call_id = await line.accepted()
        over = await line.ended(call_id)
        assert over.sip_code == 503
        assert over.error
        await line.until(lambda: line.refusals == [503])
        line.engine.release(group_id)

    play(story)


def test_caller_and_a_leg_of_ours_hear_each_other(play):
    async def story(line):
        call_id = await line.accepted(legs=2)
        line.engine.submit(wire.Ring(call_id, 183))
        leg_id = await line.answered(FarEnd(), call_id)
        line.engine.submit(wire.Answer(call_id))
        line.engine.submit(wire.Bridge(call_id, leg_id))
        await line.got(wire.CallConfirmed, call_id)
        line.engine.submit(wire.Hangup(leg_id))
        await line.ended(leg_id)
        assert "CallDisconnected" not in line.kinds(call_id)

    play(story)
