"""`transfer` with `attended`: we call him first, and the far end takes our place if it will."""

import pytest

from sipcore import engine as wire
from sipcore.actions import Confirm, Talk, Transfer, legs_needed, parse_action
from sipcore.errors import InvalidRequest
from sipcore.testing.fake_engine import FarEnd

from .stage import Stage, address, play

ATTENDED = Transfer(address("carol"), 10.0, attended=True)


def ended(record):
    return record.hangup_by, record.hangup_reason


async def transferred(stage: Stage, action: Transfer = ATTENDED):
    """A call with bob that is transferred, and its leg to carol."""
    call = stage.call("bob", action, Talk("afterwards"))
    await call.wait()
    (leg_id,) = call.record.chained_call_ids
    if (leg := stage.switch.calls.live(leg_id)) is not None:
        await leg.wait()
    return call, await stage.switch.calls.get(leg_id)


def test_the_far_end_takes_our_place(root):
    async def scenario(stage: Stage):
        call, leg = await transferred(stage)
        (refer,) = stage.sent(wire.Transfer, call.id)
        assert refer.replaced_id == leg.id
        assert stage.outcomes(call.id) == [("transfer", "done")]
        assert (ended(call.record), ended(leg)) == (("local", "normal"), ("remote", "normal"))
        ringback, carol = stage.engine.heard[call.id]
        assert ringback.end_s - ringback.start_s == pytest.approx(3, abs=0.1)
        assert carol.peer_id == leg.id
        assert carol.end_s - carol.start_s == pytest.approx(2, abs=0.1), "until the NOTIFY of the 200"
        (finished,) = stage.finished(call.id)
        assert [(one.call_id, one.answered) for one in finished.legs] == [(leg.id, True)]

    play(root, scenario, {"carol": FarEnd(answer_after_s=3)})


@pytest.mark.parametrize("codes", [(603,), (202, 180, 486), (202, 180, 180)])
def test_they_go_on_through_us_when_it_does_not(root, codes):
    async def scenario(stage: Stage):
        call, leg = await transferred(stage)
        assert stage.outcomes(call.id) == [("transfer", "done")]
        assert (ended(call.record), ended(leg)) == (("local", "normal"), ("remote", "normal"))
        _, carol = stage.engine.heard[call.id]
        assert carol.end_s - carol.start_s == pytest.approx(60, abs=0.1)

    play(root, scenario, {"bob": FarEnd(transfer_codes=codes), "carol": FarEnd(hang_up_after_s=60)})


def test_nobody_answers_and_the_list_goes_on(root):
    async def scenario(stage: Stage):
        call, leg = await transferred(stage)
        assert not stage.sent(wire.Transfer, call.id)
        assert stage.outcomes(call.id) == [("transfer", "failed"), ("talk", "done")]
        assert ended(leg) == ("remote", "busy")

    play(root, scenario, {"carol": FarEnd(reject_code=486)})


def test_he_is_told_first_and_needs_no_key(root):
    async def scenario(stage: Stage):
        call, leg = await transferred(stage, Transfer(address("carol"), attended=True, confirm=Confirm("a customer for you", digit="")))
        whisper, bob = stage.engine.heard[leg.id]
        assert whisper.path
        assert whisper.end_s - whisper.start_s == pytest.approx(2.0, abs=0.1)
        assert bob.peer_id == call.id
        assert whisper.end_s <= bob.start_s

    play(root, scenario)


def test_the_far_end_leaves_meanwhile(root):
    async def scenario(stage: Stage):
        call, leg = await transferred(stage)
        assert stage.outcomes(call.id) == [("transfer", "interrupted")]
        assert (ended(call.record), ended(leg)) == (("remote", "normal"), ("local", "normal"))

    play(root, scenario, {"bob": FarEnd(hang_up_after_s=1, transfer_codes=(202,) * 9)})


def test_room_is_kept_for_him_and_what_is_wrong_is_told(root):
    assert legs_needed([ATTENDED]) == 2
    assert legs_needed([Transfer("tel:+8211")]) == 1
    with pytest.raises(InvalidRequest, match=r"confirm\.digit"):
        parse_action({"type": "transfer", "option": {"target": "sip:a@b", "attended": True, "confirm": {"text": "x", "digit": "12"}}})

    async def scenario(stage: Stage):
        with pytest.raises(InvalidRequest) as refusal:
            stage.call("bob", Transfer(address("carol"), attended=True, confirm=Confirm("x", language="xx-none")))
        assert [fault.path for fault in refusal.value.faults] == ["actions[0].option.confirm"]

    play(root, scenario)
