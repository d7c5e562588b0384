"""Load tests on the fake engine and virtual time: minutes of calls in milliseconds."""

import asyncio

import pytest

from sipcore import Play, Talk
from sipcore.engine import RtpStatistics
from sipcore.errors import InvalidRequest
from sipcore.load import LoadPlan, LoadReport, LoadRun
from sipcore.load.run import INTERRUPTED
from sipcore.testing.fake_engine import FakeEngine, FarEnd

from .stage import Stage, address, play

RTP = RtpStatistics("PCMU/8000", 100, 16_000, 99, 16_000, 1, rx_jitter_ms=2.0)


def carried_out(root, plan: LoadPlan, far_ends=None, **settings) -> LoadReport:
    reports = []

    async def scenario(stage: Stage) -> None:
        reports.append(await stage.switch.load(plan))

    play(root, scenario, far_ends, **settings)
    return reports[0]


def test_calls_begin_at_their_times_last_and_end(root):
    far_end = FarEnd(ring_after_s=0.1, answer_after_s=0.5, audio_after_s=0.03, statistics=RTP)
    report = carried_out(root, LoadPlan(address("bob"), calls=40, rate=4.0, hold_s=5.0), {"bob": far_end})
    assert [round(call.started_s, 3) for call in report.calls] == [number / 4 for number in range(40)]
    assert (report.answered, report.failed, report.silent, report.late, report.is_interrupted) == (40, 0, 0, 0, False)
    figures = report.figures
    assert figures["setup_ms"].p50 == pytest.approx(100, abs=5)
    assert figures["answer_ms"].p99 == pytest.approx(500, abs=5)
    assert figures["first_audio_ms"].maximum == pytest.approx(30, abs=5)
    assert figures["loss_percent"].p50 == pytest.approx(1.0)
    assert figures["mos"].count == 40
    assert all(call.talked_s == pytest.approx(5.0, abs=0.02) and call.hangup_by == "local" for call in report.calls)
    assert report.most_at_once == pytest.approx(22, abs=1)  # 4 a second for 5.5 s
    assert report.duration_s == pytest.approx(39 / 4 + 5.5, abs=0.1)


def test_failures_are_told_by_what_the_far_end_said(root):
    far_ends = {
        "busy": FarEnd(reject_code=486, reject_phrase="Busy Here"),
        "gone": FarEnd(answer_after_s=None),
        "mute": FarEnd(audio_after_s=None),
        "dead": FarEnd(is_silent=True),
    }
    plan = LoadPlan([address(user) for user in ("bob", "busy", "gone", "mute", "dead")], calls=10, rate=10.0, hold_s=1.0)
    report = carried_out(root, plan, far_ends, dial_timeout_s=40.0)
    assert report.failures == {"486 Busy Here": 2, "dialout": 2, "408 Request Timeout": 2}
    assert [call.first_audio_ms is None for call in report.calls] == [False, True, True, True, True] * 2
    assert [call.sip_code for call in report.calls[:2]] == [200, 486]


def test_calls_that_are_too_many_begin_late(root):
    report = carried_out(root, LoadPlan(address("bob"), calls=6, rate=10.0, hold_s=2.0, concurrent=2))
    assert (report.failed, report.most_at_once, report.late) == (0, 2, 4)
    assert report.calls[-1].late_ms > 3000


def test_without_a_hold_a_call_lasts_as_long_as_its_actions(root):
    report = carried_out(root, LoadPlan(address("bob"), calls=3, rate=1.0, hold_s=0.0, actions=[Talk("one two three four")]))
    assert [call.talked_s for call in report.calls] == pytest.approx([2.0] * 3, abs=0.1)
    assert report.failed == 0


def test_actions_that_fail_make_calls_fail(root):
    plan = LoadPlan(address("bob"), calls=2, rate=10.0, hold_s=1.0, actions=[Play(["prompt.wav"])])

    class Deaf(FakeEngine):
        def _play(self, play):
            (root / "gone").touch()
            super()._play(type(play)(play.call_id, play.play_id, str(root / "gone"), play.loop))

    report = carried_out(root, plan, engine=Deaf())
    assert report.failed == 2
    assert all(reason.startswith("play failed: ") for reason in report.failures)


def test_room_that_somebody_else_has_is_told(root):
    async def scenario(stage: Stage) -> None:
        stage.engine.reserve("somebody else", 1)
        report = await stage.switch.load(LoadPlan(address("bob"), calls=2, rate=10.0, hold_s=1.0))
        stage.engine.release("somebody else")
        assert [call.failure.partition(":")[0] for call in report.calls] == ["", "not placed"]

    play(root, scenario, engine=FakeEngine(max_legs=2), max_legs=2)


def test_stopping_hangs_up_and_tells_what_there_is(root):
    async def scenario(stage: Stage) -> None:
        seen = []
        load = LoadRun(stage.switch, LoadPlan([address("bob"), address("gone")], calls=100, rate=2.0, hold_s=60.0), seen.append)
        asyncio.get_running_loop().call_later(5.1, load.stop)
        report = await load.report()
        assert report.is_interrupted
        assert len(report.calls) == 11
        assert (report.answered, report.failures) == (6, {INTERRUPTED: 5})
        assert report.duration_s < 6
        assert (seen[-1].begun, seen[-1].done, seen[-1].up) == (11, 11, 0)

    play(root, scenario, {"gone": FarEnd(answer_after_s=None)})


def test_whoever_is_cancelled_leaves_no_call_up(root):
    async def scenario(stage: Stage) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3.0):
                await stage.switch.load(LoadPlan(address("bob"), calls=100, rate=2.0, hold_s=60.0))
        await stage.switch.wait_idle(1.0)
        assert stage.engine.legs_in_use == 0

    play(root, scenario)


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        (LoadPlan("", calls=0), "destination: is missing"),
        (LoadPlan(["sip:bob@192.0.2.9", "tel:12ab"]), "'12ab' is not a number"),
        (LoadPlan("sip:bob@192.0.2.9", actions=[{"type": "tlak"}]), "did you mean 'talk'?"),
        (LoadPlan("sip:bob@192.0.2.9", hold_s=1e6), "hold_s: must be 0 to 14400"),
    ],
)
def test_nothing_is_called_when_the_plan_is_wrong(root, plan: LoadPlan, told: str):
    async def scenario(stage: Stage) -> None:
        with pytest.raises(InvalidRequest) as error:
            await stage.switch.load(plan)
        assert told in str(error.value)
        assert stage.engine.commands == []

    play(root, scenario)
