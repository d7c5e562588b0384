"""`conference_join` and the conferences of a switch, on the fake engine and virtual time."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
import soundfile

from media import tones
from media.measure import tone_level_db
from sipcore import engine, events
from sipcore.actions import ConferenceJoin, Mute, Play, Sleep, Unmute, VariableSet, parse_actions
from sipcore.conferences.record import ConferenceStatus
from sipcore.errors import (
    ActionFailed,
    CapacityError,
    ConferenceNotFound,
    ConferenceRefused,
    InvalidRequest,
    MemberNotFound,
)
from sipcore.record import NIL_ID
from sipcore.testing.fake_engine import Caller

from .stage import play, write_wav

RATE_HZ = 8000
LOUD, QUIET = -30.0, -60.0


async def joins(stage, name="room", *after, user="far", **options):
    """A call that is in a conference."""
    call = stage.call(user, ConferenceJoin(name, **options), *after)
    await until(lambda: call.record.conf_id != NIL_ID or call.record.is_over)
    return call


async def until(is_so):
    async with asyncio.timeout(30):
        while not is_so():  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.01)


def says(stage, call, hz, seconds=60.0):
    stage.engine.voice(call.id).say(tones.tone(hz, seconds, RATE_HZ, level_dbfs=-20.0))


def level(stage, call, hz, frames=40):
    """How loud a call hears a tone now."""
    heard = stage.engine.voice(call.id).heard[-frames:]
    return tone_level_db(np.concatenate(heard), hz, RATE_HZ) if heard else -200.0


def told(stage, kind):
    return [event for event in stage.events if isinstance(event, kind)]


def only(page):
    (conference,) = page.result
    return conference


def test_three_hear_each_other_and_the_next_action_follows(tmp_path):
    async def story(stage):
        calls = [await joins(stage, "room", Sleep(1000), leave_key="#") for _ in range(3)]
        hz = dict(zip(calls, (500.0, 900.0, 1300.0), strict=True))
        for call in calls:
            says(stage, call, hz[call])
        await asyncio.sleep(3)
        for call in calls:
            for other in calls:
                assert (level(stage, call, hz[other]) > LOUD) == (other is not call)
        conference = await stage.switch.conferences.get("room")
        assert conference.call_ids == tuple(call.id for call in calls)
        assert {call.record.conf_id for call in calls} == {conference.id}
        assert {call.record.type for call in calls} == {"flow"}
        stage.engine.press(calls[0].id, "#")
        await calls[0].wait()
        assert calls[0].record.conf_id == NIL_ID
        assert stage.outcomes(calls[0].id) == [("conference_join", "done"), ("sleep", "done")]
        assert stage.finished(calls[0].id)[0].detail == "key"
        assert calls[0].variables == {"conference.id": conference.id, "conference.name": "room", "conference.left_by": "key"}
        stage.engine.hang_up_remote(calls[1].id)
        await asyncio.sleep(0.1)
        assert (await stage.switch.conferences.get("room")).call_ids == (calls[2].id,)
        calls[2].hangup()
        await calls[2].wait()
        over = await stage.switch.conferences.get(conference.id)
        assert (over.status, over.members) == (ConferenceStatus.TERMINATED, ())
        assert over.tm_delete is not None
        with pytest.raises(ConferenceNotFound):
            await stage.switch.conferences.get("room")

    stage = play(tmp_path, story)
    assert [type(event).__name__ for event in told(stage, events.ConferenceEvent)] == [
        "ConferenceCreated",
        *["ConferenceJoined"] * 3,
        *["ConferenceLeft"] * 3,
        "ConferenceTerminated",
    ]
    assert [event.reason for event in told(stage, events.ConferenceLeft)] == ["key", "hangup", "hangup"]


def test_the_others_hear_who_comes_and_goes(tmp_path):
    async def story(stage):
        first = await joins(stage)
        await asyncio.sleep(1)
        second = await joins(stage, leave_key="*")
        await asyncio.sleep(0.5)
        assert level(stage, first, 880.0, 20) > -45
        assert level(stage, second, 880.0, 20) < -90, "who comes does not hear it"
        await asyncio.sleep(2)
        assert level(stage, first, 660.0) < -90
        stage.engine.press(second.id, "*")
        await asyncio.sleep(0.5)
        assert level(stage, first, 660.0, 20) > -45
        await asyncio.sleep(2)
        third = await joins(stage, entry_tone=False, exit_tone=False, max_duration_s=2.0)
        await third.wait()
        assert stage.finished(third.id)[0].detail == "duration"
        await asyncio.sleep(0.5)
        assert level(stage, first, 660.0, 150) < -90
        await stage.switch.conferences.beep("room", 1700.0, 200)
        await asyncio.sleep(0.5)
        assert level(stage, first, 1700.0, 20) > -45
        await stage.switch.hang_up_all(5)

    play(tmp_path, story)


def test_mute_by_anybody(tmp_path):
    async def story(stage):
        first, second = await joins(stage), await joins(stage, muted=True)
        says(stage, second, 900.0)
        conferences = stage.switch.conferences

        async def is_heard():
            await asyncio.sleep(2)
            assert (await conferences.get("room")).member(second.id).is_muted == (level(stage, first, 900.0) < QUIET)
            return level(stage, first, 900.0) > LOUD

        assert not await is_heard()
        await conferences.unmute("room", second.id)
        assert await is_heard()
        await conferences.mute("room", second.id)
        assert not await is_heard()
        await second.unmute()
        assert await is_heard()
        await second.perform(Mute("in"))
        assert not await is_heard()
        assert [command.is_muted for command in stage.sent(engine.Mute, second.id)] == [False, True]
        await second.perform(Unmute("both"))
        await second.perform(Mute("out"))
        assert await is_heard()
        with pytest.raises(MemberNotFound):
            await conferences.mute("room", "nobody")
        with pytest.raises(ConferenceNotFound):
            await conferences.mute("elsewhere", second.id)
        await stage.switch.hang_up_all(5)

    stage = play(tmp_path, story)
    assert len(told(stage, events.ConferenceUpdated)) == 5


def test_who_is_kicked_goes_on(tmp_path):
    write_wav(tmp_path / "bye.wav")

    async def story(stage):
        first, second = await joins(stage), await joins(stage, "room", Play(["bye.wav"]))
        conference = await stage.switch.conferences.kick("room", second.id)
        assert conference.call_ids == (first.id,)
        await second.wait()
        assert stage.outcomes(second.id) == [("conference_join", "done"), ("play", "done")]
        assert stage.finished(second.id)[0].detail == "kicked"
        with pytest.raises(MemberNotFound):
            await stage.switch.conferences.kick("room", second.id)
        await stage.switch.hang_up_all(5)

    play(tmp_path, story)


def test_the_last_moderator_ends_it(tmp_path):
    async def story(stage):
        guest = await joins(stage, "room", VariableSet("went", "on"))
        one, two = [
            await joins(stage, moderator=True, end_when_moderator_leaves=True, leave_key="#"),
            await joins(stage, moderator=True),
        ]
        stage.engine.press(one.id, "#")
        await one.wait()
        assert guest.record.conf_id != NIL_ID
        stage.engine.hang_up_remote(two.id)
        await guest.wait()
        assert guest.variables["conference.left_by"] == "ended"
        assert stage.outcomes(guest.id) == [("conference_join", "done"), ("variable_set", "done")]

    stage = play(tmp_path, story)
    assert [event.reason for event in told(stage, events.ConferenceLeft)] == ["key", "hangup", "ended"]
    assert told(stage, events.ConferenceTerminated)[0].conference.status == ConferenceStatus.TERMINATED


def test_one_that_was_made_stays_until_it_is_ended(tmp_path):
    async def story(stage):
        conferences = stage.switch.conferences
        made = conferences.create("board", "every Monday", max_members=2)
        assert (made.status, made.max_members) == (ConferenceStatus.STARTING, 2)
        with pytest.raises(InvalidRequest, match="name: there is a conference 'board' already"):
            conferences.create("board")
        other = conferences.create("board", user_id=2)
        assert (await conferences.get("board")).id == made.id
        with pytest.raises(ConferenceNotFound):
            await conferences.get(made.id, user_id=2)
        first = await joins(stage, made.id, leave_key="#")
        stage.engine.press(first.id, "#")
        await first.wait()
        again = await conferences.get("board")
        assert (again.id, again.status, again.members) == (made.id, ConferenceStatus.PROGRESSING, ())
        inside = [await joins(stage, "board") for _ in range(2)]
        late = await joins(stage, "board")
        assert stage.outcomes(late.id) == [("conference_join", "failed")]
        assert "it is full: 2 calls are in it" in stage.finished(late.id)[0].detail
        ended = await conferences.end("board")
        assert (ended.status, ended.members) == (ConferenceStatus.TERMINATED, ())
        assert await conferences.end(made.id) == ended
        for call in inside:
            await call.wait()
            assert stage.finished(call.id)[0].detail == "ended"
        page = await conferences.list(1)
        assert only(page).id == other.id
        assert only(await conferences.list(1, page.next_page_token)).id == made.id
        assert only(await conferences.list(user_id=2)).id == other.id
        with pytest.raises(InvalidRequest, match="page_size"):
            await conferences.list(0)
        await stage.switch.hang_up_all(5)

    play(tmp_path, story)


def test_what_cannot_be_joined(tmp_path):
    async def story(stage):
        unknown = "0c0c0c0c-0000-4000-8000-000000000000"
        nowhere = await joins(stage, unknown)
        assert stage.finished(nowhere.id)[0].detail == f"no conference '{unknown}'"
        inside = await joins(stage, "a")
        crowded = await joins(stage, "b")
        assert stage.finished(crowded.id)[0].detail == "no room for 1 more conferences: 1 of 1 in use"
        with pytest.raises(CapacityError):
            stage.switch.conferences.create("b")
        alone = stage.call("alone", ConferenceJoin("a"))
        await until(lambda: alone.record.conf_id != NIL_ID)
        audio_id = stage.sent(engine.OpenAudio, alone.id)[-1].audio_id
        stage.engine.tell(engine.AudioRefused(alone.id, audio_id, "no port is free"))
        await alone.wait()
        assert stage.finished(alone.id)[0].detail == "the call has no live audio: no port is free"
        assert (await stage.switch.conferences.get("a")).call_ids == (inside.id,)
        await stage.switch.hang_up_all(5)

    play(tmp_path, story, max_conferences=1)


@pytest.mark.parametrize(
    ("option", "path", "said"),
    [
        ({}, "conference", "required"),
        ({"conference": ""}, "conference", "must not be empty"),
        ({"conference": "x" * 101}, "conference", "at most 100 characters, not 101"),
        ({"conference": "a\nb"}, "conference", "control characters"),
        ({"conference": 5}, "conference", "string"),
        ({"conference": "a", "conference_id": "b"}, "conference", "given twice"),
        ({"conference": "a", "moderator": "yes"}, "moderator", "boolean"),
        ({"conference": "a", "entry_tone": 1}, "entry_tone", "boolean"),
        ({"conference": "a", "leave_key": "x"}, "leave_key", "must be keys"),
        ({"conference": "a", "max_duration_s": -1.0}, "max_duration_s", "greater than or equal to 0"),
        ({"conference": "a", "conferance": "a"}, "conferance", "did you mean 'conference'?"),
    ],
)
def test_what_is_no_conference_join(option, path, said):
    with pytest.raises(InvalidRequest) as refusal:
        parse_actions([{"type": "conference_join", "option": option}])
    (fault,) = refusal.value.faults
    assert fault.path == f"actions[0].option.{path}"
    assert said in fault.message


def test_it_is_recorded(tmp_path):
    async def story(stage):
        calls = [await joins(stage, record=True, entry_tone=False) for _ in range(2)]
        for call, hz in zip(calls, (500.0, 900.0), strict=True):
            says(stage, call, hz)
        await asyncio.sleep(4)
        conferences = stage.switch.conferences
        conference = await conferences.get("room")
        assert [conference.recording_id] == list(conference.recording_ids) != [NIL_ID]
        with pytest.raises(ConferenceRefused, match="it is being recorded already"):
            await conferences.start_recording("room")
        stopped = await conferences.stop_recording("room")
        recording = await stage.switch.recordings.wait(stopped.id)
        assert (recording.type, recording.reference_id, recording.end_reason) == ("conference", conference.id, "stopped")
        samples, rate_hz = soundfile.read(stage.switch.recordings.path(recording))
        assert rate_hz == RATE_HZ
        assert len(samples) / rate_hz == pytest.approx(recording.duration_s) == pytest.approx(4.0, abs=0.3)
        assert min(tone_level_db(samples[-RATE_HZ:], hz, RATE_HZ) for hz in (500.0, 900.0)) > LOUD
        with pytest.raises(ConferenceRefused, match="not being recorded"):
            await conferences.stop_recording("room")
        second = await conferences.start_recording("room")
        await asyncio.sleep(1)
        await stage.switch.hang_up_all(5)
        assert (await stage.switch.recordings.wait(second.id)).end_reason == "hangup"
        over = await conferences.get(conference.id)
        assert (over.recording_id, over.recording_ids) == (NIL_ID, (recording.id, second.id))

    stage = play(tmp_path, story)
    assert [event.recording.status for event in told(stage, events.ConferenceRecordingFinished)] == ["ended", "ended"]
    assert len(list((tmp_path / "recordings").iterdir())) == 2


def test_a_recording_ends_when_it_is_too_long_and_when_the_disk_is_full(tmp_path, monkeypatch):
    async def story(stage):
        await joins(stage)
        long = await stage.switch.conferences.start_recording("room")
        assert (await stage.switch.recordings.wait(long.id)).end_reason == "duration"
        assert (await stage.switch.conferences.get("room")).recording_id == NIL_ID
        monkeypatch.setattr("media.mix_file.header", full)
        broken = await stage.switch.conferences.start_recording("room")
        over = await stage.switch.recordings.wait(broken.id, 3)
        assert (over.status, over.end_reason, over.error) == ("failed", "error", "No space left on device")
        monkeypatch.undo()
        await stage.switch.hang_up_all(5)

    def full(*_):
        raise OSError(28, "No space left on device")

    play(tmp_path, story, recording_max_s=2.0)


def test_a_handler_joins_and_a_caller_who_waits_is_answered(tmp_path):
    async def story(stage):
        left = []

        @stage.switch.on_call(to="1000")
        async def take(call):
            left.append(await call.join_conference("room", leave_key="#"))
            with pytest.raises(ActionFailed, match="no conference"):
                await call.join_conference("0c0c0c0c-0000-4000-8000-000000000000")

        accepted = stage.engine.offer("1000", caller=Caller())
        await until(lambda: told(stage, events.ConferenceJoined))
        assert stage.switch.calls.live(accepted.call_id).record.status == "progressing"
        stage.engine.press(accepted.call_id, "#")
        await until(lambda: not stage.switch.sessions())
        assert left == ["key"]

    play(tmp_path, story)


def test_cancelling_who_waits_lets_the_call_out(tmp_path):
    async def story(stage):
        call = stage.call("bob", Sleep(1), Sleep(60_000))
        await until(lambda: len(stage.outcomes(call.id)) == 1)
        await stage.switch.hang_up_all(5)

        @stage.switch.on_call(to="1000")
        async def take(call):
            try:
                async with asyncio.timeout(1):
                    await call.join_conference("room")
            except TimeoutError:
                await call.beep()

        stage.engine.offer("1000", caller=Caller())
        await until(lambda: told(stage, events.ConferenceLeft))
        await until(lambda: not stage.switch.sessions())

    stage = play(tmp_path, story)
    assert told(stage, events.ConferenceLeft)[0].reason == "left"
    assert told(stage, events.ConferenceTerminated)


def test_lasting_ones_are_there_again_and_others_are_over(tmp_path):
    async def first(stage):
        stage.switch.conferences.create("board", "ours")
        await joins(stage, "board")
        await joins(stage, "passing")

    async def second(stage):
        board = await stage.switch.conferences.get("board")
        assert (board.detail, board.members, board.status) == ("ours", (), ConferenceStatus.PROGRESSING)
        with pytest.raises(ConferenceNotFound):
            await stage.switch.conferences.get("passing")
        assert [conference.is_over for conference in (await stage.switch.conferences.list()).result] == [True, False]
        assert (await joins(stage, "board")).record.conf_id == board.id

    store = str(tmp_path / "calls.sqlite")
    play(tmp_path, first, store=store)
    play(tmp_path, second, store=store)
