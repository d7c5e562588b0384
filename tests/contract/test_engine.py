"""Every promise of `sipcore.engine`, kept by the fake and by the pool of PJSIP workers alike."""

import asyncio

import pytest

from sipcore import engine as wire
from sipcore.errors import CapacityError
from sipcore.testing.fake_engine import FarEnd

from .conftest import LEGS

RINGS = FarEnd(answer_after_s=None)


def test_life_of_an_answered_leg_in_order(play):
    async def story(line):
        call_id = line.dial(line.far_end(FarEnd(answer_after_s=0.05)))
        confirmed = await line.got(wire.CallConfirmed, call_id)
        assert (confirmed.sip_code, confirmed.sip_phrase) == (200, "OK")
        ringing = await line.got(wire.CallProvisional, call_id)
        assert (ringing.sip_code, ringing.sip_phrase) == (180, "Ringing")
        assert (await line.got(wire.MediaStarted, call_id)).codec == "PCMU/8000"
        line.engine.submit(wire.Hangup(call_id))
        over = await line.ended(call_id)
        assert (over.sip_code, over.remote, over.error) == (200, False, "")
        kinds = line.kinds(call_id)
        assert kinds.index("CallProvisional") < kinds.index("CallConfirmed") < kinds.index("CallDisconnected")
        assert kinds.index("MediaStarted") < kinds.index("CallDisconnected")
        assert kinds.count("CallConfirmed") == 1

    play(story)


def test_first_audio_is_told_to_who_asks(play):
    async def story(line):
        asked, other = line.dial(line.far_end(FarEnd())), await line.answered()
        line.engine.submit(wire.AwaitAudio(asked))
        await line.got(wire.AudioArrived, asked)
        kinds = line.kinds(asked)
        assert kinds.index("MediaStarted") < kinds.index("AudioArrived")
        assert kinds.count("AudioArrived") == 1
        assert "AudioArrived" not in line.kinds(other)

    play(story)


def test_far_end_hangs_up(play):
    async def story(line):
        call_id = await line.answered()
        line.hang_up_remote(call_id)
        over = await line.ended(call_id)
        assert (over.sip_code, over.remote, over.error) == (200, True, "")

    play(story)


@pytest.mark.parametrize(
    ("code", "phrase"), [(404, "Not Found"), (480, "Gone for Lunch"), (486, "Busy Here"), (503, "Service Unavailable"), (603, "Decline")]
)
def test_refusals_tell_code_and_phrase(play, code, phrase):
    async def story(line):
        call_id = line.dial(line.far_end(FarEnd(reject_code=code, reject_phrase=phrase)))
        over = await line.ended(call_id)
        assert (over.sip_code, over.sip_phrase, over.remote, over.error) == (code, phrase, True, "")
        assert "CallConfirmed" not in line.kinds(call_id)

    play(story)


def test_hangup_while_it_rings_is_a_cancel(play):
    async def story(line):
        call_id = line.dial(line.far_end(RINGS))
        await line.got(wire.CallProvisional, call_id)
        line.engine.submit(wire.Hangup(call_id))
        line.engine.submit(wire.Hangup(call_id))
        over = await line.ended(call_id)
        assert (over.sip_code, over.remote) == (487, False)
        assert "CallConfirmed" not in line.kinds(call_id)

    play(story)


def test_hangup_right_after_dial_ends_the_leg(play):
    async def story(line):
        call_id = line.dial(line.far_end(RINGS))
        line.engine.submit(wire.Hangup(call_id))
        assert (await line.ended(call_id)).remote is False

    play(story)


def test_early_media(play):
    async def story(line):
        call_id = line.dial(line.far_end(FarEnd(ring_code=183, answer_after_s=0.2)))
        await line.got(wire.CallConfirmed, call_id)
        assert (await line.got(wire.CallProvisional, call_id)).sip_code == 183
        kinds = line.kinds(call_id)
        assert kinds.index("MediaStarted") < kinds.index("CallConfirmed")

    play(story)


# ----------------------------------------------------------------------------------------------------------- room


def test_reservations_are_counted_and_given_back(play):
    async def story(line):
        assert line.engine.leg_capacity == LEGS
        assert line.engine.legs_in_use == 0
        group_id = line.group(3)
        assert line.engine.legs_in_use == 3
        with pytest.raises(CapacityError) as refusal:
            line.engine.reserve("more", 2)
        assert (refusal.value.needed, refusal.value.in_use, refusal.value.limit) == (2, 3, LEGS)
        assert line.engine.legs_in_use == 3
        line.group(1)
        line.engine.release(group_id)
        line.engine.release(group_id)
        line.engine.release("never reserved")
        assert line.engine.legs_in_use == 1

    play(story)


def test_more_legs_than_one_place_holds(play):
    async def story(line):
        with pytest.raises(CapacityError):
            line.engine.reserve("too many", LEGS + 1)
        assert line.engine.legs_in_use == 0

    play(story)


def test_living_legs_count_after_release(play):
    async def story(line):
        group_id = line.group(2)
        call_id = await line.answered(group_id=group_id)
        assert line.engine.legs_in_use == 2
        line.engine.release(group_id)
        assert line.engine.legs_in_use == 1
        line.engine.submit(wire.Hangup(call_id))
        await line.ended(call_id)
        assert line.engine.legs_in_use == 0

    play(story)


def test_place_of_a_leg_that_ended_is_free_for_the_next_of_its_group(play):
    async def story(line):
        group_id = line.group(1)
        for _ in range(2):
            call_id = await line.answered(group_id=group_id)
            line.hang_up_remote(call_id)
            await line.ended(call_id)
            assert line.engine.legs_in_use == 1

    play(story)


def test_dial_without_a_place_is_an_event(play):
    async def story(line):
        group_id = line.group(1)
        await line.answered(group_id=group_id)
        for group in (group_id, "never reserved"):
            over = await line.ended(line.dial(line.far_end(FarEnd()), group))
            assert (over.sip_code, over.remote) == (0, True)
            assert over.error

    play(story)


# ------------------------------------------------------------------------------------------------------- commands


def test_commands_for_unknown_and_finished_calls_are_ignored(play):
    async def story(line):
        finished, living = await line.answered(), await line.answered()
        line.hang_up_remote(finished)
        await line.ended(finished)
        path = line.wav(0.1)
        for call_id in ("nobody", finished):
            for command in (
                wire.Hangup(call_id),
                wire.Play(call_id, "p", path),
                wire.StopPlay(call_id, "p"),
                wire.Bridge(call_id, living),
                wire.Bridge(living, call_id),
                wire.Unbridge(call_id, living),
                wire.Unbridge(living, call_id),
            ):
                line.engine.submit(command)
        line.engine.submit(wire.Play(living, "after", path))
        assert (await line.got(wire.PlaybackFinished, living)).play_id == "after"
        assert line.kinds("nobody") == []
        assert line.kinds(finished)[-1] == "CallDisconnected"

    play(story)


def test_play_ends_with_playback_finished(play):
    async def story(line):
        call_id = await line.answered()
        started_s = asyncio.get_running_loop().time()
        line.engine.submit(wire.Play(call_id, "p", line.wav(0.3)))
        finished = await line.got(wire.PlaybackFinished, call_id)
        assert (finished.play_id, finished.error) == ("p", "")
        assert asyncio.get_running_loop().time() - started_s >= 0.25

    play(story)


def test_play_before_the_media_waits_for_it(play):
    async def story(line):
        call_id = line.dial(line.far_end(FarEnd(answer_after_s=0.3)))
        line.engine.submit(wire.Play(call_id, "replaced", line.wav(0.1)))
        line.engine.submit(wire.Play(call_id, "p", line.wav(0.1)))
        await line.until(lambda: line.kinds(call_id).count("PlaybackFinished") == 2)
        assert [(event.play_id, event.error) for event in line.playbacks(call_id)] == [("replaced", "replaced"), ("p", "")]
        assert line.kinds(call_id)[-1] == "PlaybackFinished"
        assert "MediaStarted" in line.kinds(call_id)

    play(story)


def test_play_before_the_media_can_be_stopped(play):
    async def story(line):
        call_id = line.dial(line.far_end(FarEnd(answer_after_s=0.2)))
        line.engine.submit(wire.Play(call_id, "stopped", line.wav(0.1)))
        line.engine.submit(wire.StopPlay(call_id, "stopped"))
        await line.got(wire.CallConfirmed, call_id)
        line.engine.submit(wire.Play(call_id, "p", line.wav(0.2)))
        assert (await line.got(wire.PlaybackFinished, call_id)).play_id == "p"

    play(story)


def test_new_file_replaces_the_running_one(play):
    async def story(line):
        call_id = await line.answered()
        line.engine.submit(wire.Play(call_id, "first", line.wav(0.2)))
        line.engine.submit(wire.Play(call_id, "second", line.wav(0.4)))
        await line.until(lambda: line.kinds(call_id).count("PlaybackFinished") == 2)
        assert [(event.play_id, event.error) for event in line.playbacks(call_id)] == [("first", "replaced"), ("second", "")]

    play(story)


def test_stopped_file_tells_no_end(play):
    async def story(line):
        call_id = await line.answered()
        line.engine.submit(wire.Play(call_id, "stopped", line.wav(0.2)))
        line.engine.submit(wire.StopPlay(call_id, "another"))
        line.engine.submit(wire.StopPlay(call_id, "stopped"))
        line.engine.submit(wire.StopPlay(call_id, "stopped"))
        line.engine.submit(wire.Play(call_id, "second", line.wav(0.4)))
        assert (await line.got(wire.PlaybackFinished, call_id)).play_id == "second"
        assert line.kinds(call_id).count("PlaybackFinished") == 1

    play(story)


def test_loop_repeats_until_it_is_stopped(play):
    async def story(line):
        looping, measuring = await line.answered(), await line.answered()
        line.engine.submit(wire.Play(looping, "loop", line.wav(0.1), loop=True))
        line.engine.submit(wire.Play(measuring, "clock", line.wav(0.5)))
        await line.got(wire.PlaybackFinished, measuring)
        assert "PlaybackFinished" not in line.kinds(looping)
        assert not line.is_quiet(looping)
        line.engine.submit(wire.StopPlay(looping, "loop"))
        line.engine.submit(wire.Play(looping, "after", line.wav(0.1)))
        assert (await line.got(wire.PlaybackFinished, looping)).play_id == "after"

    play(story)


def test_file_that_cannot_be_played_says_why(play, tmp_path):
    async def story(line):
        call_id = await line.answered()
        line.engine.submit(wire.Play(call_id, "p", str(tmp_path / "none.wav")))
        finished = await line.got(wire.PlaybackFinished, call_id)
        assert finished.play_id == "p"
        assert finished.error
        line.engine.submit(wire.Play(call_id, "q", line.wav(0.1)))
        await line.until(lambda: line.kinds(call_id).count("PlaybackFinished") == 2)

    play(story)


def test_end_of_the_leg_ends_the_file_silently(play):
    async def story(line):
        call_id = await line.answered()
        line.engine.submit(wire.Play(call_id, "p", line.wav(30.0)))
        line.engine.submit(wire.Hangup(call_id))
        await line.ended(call_id)
        assert "PlaybackFinished" not in line.kinds(call_id)

    play(story)


# -------------------------------------------------------------------------------------------------------- bridges


def test_bridge_and_unbridge(play):
    async def story(line):
        group_id = line.group(2)
        alice, bob = await line.answered(group_id=group_id), await line.answered(group_id=group_id)
        line.engine.submit(wire.Bridge(alice, bob))
        await asyncio.sleep(0.5)  # half a second of sound
        assert line.hears_only(alice, bob)
        assert line.hears_only(bob, alice)
        line.engine.submit(wire.Unbridge(bob, alice))
        await asyncio.sleep(0.4)
        assert line.is_quiet(alice)
        assert line.is_quiet(bob)

    play(story)


def test_bridge_before_the_media_waits_for_it(play):
    async def story(line):
        group_id = line.group(2)
        alice = await line.answered(group_id=group_id)
        bob = line.dial(line.far_end(FarEnd(answer_after_s=0.2)), group_id)
        line.engine.submit(wire.Bridge(alice, bob))
        await line.got(wire.CallConfirmed, bob)
        await asyncio.sleep(0.5)
        assert line.hears_only(alice, bob)
        assert line.hears_only(bob, alice)

    play(story)


def test_end_of_one_leg_leaves_the_other_up(play):
    async def story(line):
        group_id = line.group(2)
        alice, bob = await line.answered(group_id=group_id), await line.answered(group_id=group_id)
        line.engine.submit(wire.Bridge(alice, bob))
        line.hang_up_remote(bob)
        await line.ended(bob)
        line.engine.submit(wire.Unbridge(alice, bob))
        line.engine.submit(wire.Play(alice, "p", line.wav(0.1)))
        await line.got(wire.PlaybackFinished, alice)
        assert "CallDisconnected" not in line.kinds(alice)

    play(story)


# -------------------------------------------------------------------------------------------------- start and close


def test_close_ends_everything(play_to_the_end):
    async def story(line):
        assert line.engine.sip_address == "" or line.engine.sip_address.startswith("192.0.2.")
        await line.engine.start(line.on_event)
        assert line.engine.sip_address.rpartition(":")[2].isdigit()
        group_id = line.group(LEGS)
        answered, ringing = await line.answered(group_id=group_id), line.dial(line.far_end(RINGS), group_id)
        await line.got(wire.CallProvisional, ringing)
        just_dialed = line.dial(line.far_end(RINGS), group_id)
        await line.engine.close(2.0)
        for call_id in (answered, ringing, just_dialed):
            over = await line.ended(call_id)
            assert over.remote is False
            assert line.kinds(call_id)[-1] == "CallDisconnected"
            assert line.kinds(call_id).count("CallDisconnected") == 1
        line.engine.release(group_id)
        assert line.engine.legs_in_use == 0
        with pytest.raises(CapacityError):
            line.engine.reserve("late", 1)
        line.engine.submit(wire.Hangup(answered))
        await line.engine.close(1.0)

    play_to_the_end(story)


def test_close_without_start(play_to_the_end):
    async def story(line):
        await line.engine.close(1.0)

    play_to_the_end(story)
