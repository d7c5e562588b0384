"""What happens in the middle of a call: hold, transfer, lost audio, redirection; trunks with limits and registrations."""

import asyncio

import pytest

from sipcore import engine as wire
from sipcore.actions import Answer, Connect, Play, Talk, Transfer
from sipcore.errors import CapacityError, InvalidRequest
from sipcore.events import CallCreated, CallHeld, CallResumed, RtpSourceMoved, RtpStopped, TransferRequested, TransferUpdated
from sipcore.testing.fake_engine import Caller, FarEnd

from .stage import Stage, address, play
from .test_inbound_calls import called, ended, offered

LONG = Play(["long.wav"])


def trunk(name="carrier", host="192.0.2.50", **settings):
    return {"name": name, "addresses": [host], **settings}


def events_of(stage, kind):
    return [event for event in stage.events if isinstance(event, kind)]


async def up(stage, *actions, **settings):
    """An outgoing call that was answered."""
    call = stage.call("bob", *(actions or (LONG,)), **settings)
    await asyncio.sleep(1)
    assert call.record.status == "progressing"
    return call


# ---------------------------------------------------------------------------------------------------------- audio


def test_hold_and_resume_are_told(root):
    async def scenario(stage: Stage):
        call = await up(stage)
        for is_held in (True, False):
            stage.engine.tell(wire.HoldChanged(call.id, is_held))
        await asyncio.sleep(0.1)
        assert [type(event) for event in stage.events if isinstance(event, CallHeld | CallResumed)] == [CallHeld, CallResumed]
        call.hangup()
        await call.wait()

    play(root, scenario)


def test_moved_audio_is_reported(root):
    async def scenario(stage: Stage):
        call = await up(stage)
        stage.engine.tell(wire.RtpSourceChanged(call.id, "192.0.2.9:4000", "203.0.113.5:4000"))
        assert ended(await call.wait()) == ("local", "normal", 200)
        assert [(event.expected, event.actual) for event in events_of(stage, RtpSourceMoved)] == [("192.0.2.9:4000", "203.0.113.5:4000")]

    play(root, scenario)


def test_moved_audio_ends_the_call_when_configured(root):
    async def scenario(stage: Stage):
        call = await up(stage)
        stage.engine.tell(wire.RtpSourceChanged(call.id, "192.0.2.9:4000", "203.0.113.5:4000"))
        record = await call.wait()
        assert ended(record) == ("local", "failed", 200)
        assert record.sip_phrase == "audio from 203.0.113.5:4000"
        assert record.duration_s < 2

    play(root, scenario, rtp_source_change="end")


def test_call_without_audio_is_ended(root):
    async def scenario(stage: Stage):
        call = await up(stage)
        stage.engine.tell(wire.RtpSilent(call.id, 29.0))
        await asyncio.sleep(1)
        assert call.record.status == "progressing"
        stage.engine.tell(wire.RtpSilent(call.id, 30.5))
        record = await call.wait()
        assert ended(record) == ("local", "failed", 200)
        assert record.sip_phrase == "no media"
        assert [event.silent_s for event in events_of(stage, RtpStopped)] == [30.5]

    play(root, scenario, rtp_timeout_s=30)


def test_silence_can_be_allowed(root):
    async def scenario(stage: Stage):
        call = await up(stage)
        stage.engine.tell(wire.RtpSilent(call.id, 3000.0))
        assert ended(await call.wait()) == ("local", "normal", 200)

    play(root, scenario, rtp_timeout_s=0)


# ------------------------------------------------------------------------------------------------------- transfer


def test_transfer(root):
    async def scenario(stage: Stage):
        call = await up(stage, Transfer("tel:+8211"), Talk("never heard"))
        assert ended(await call.wait()) == ("local", "normal", 200)
        assert [command.target_uri for command in stage.sent(wire.Transfer, call.id)] == ["sip:+8211@192.0.2.8"]
        assert stage.outcomes(call.id) == [("transfer", "done")]
        assert [(event.sip_code, event.is_final) for event in events_of(stage, TransferUpdated)] == [
            (202, False),
            (180, False),
            (200, True),
        ]

    play(root, scenario)


@pytest.mark.parametrize(("codes", "detail"), [((603,), "603"), ((202, 180, 486), "486"), ((202,) * 99, "no outcome within 5 s")])
def test_transfer_that_fails(root, codes, detail):
    async def scenario(stage: Stage):
        call = stage.call("bob", Transfer(address("carol"), timeout_s=5), Talk("hello"))
        assert ended(await call.wait()) == ("local", "normal", 200)
        assert stage.outcomes(call.id) == [("transfer", "failed"), ("talk", "done")]
        assert stage.finished(call.id)[0].detail == detail

    play(root, scenario, {"bob": FarEnd(transfer_codes=codes)})


def test_transfer_before_the_answer_fails(root):
    async def scenario(stage: Stage):
        stage.switch.on_call(actions=[Transfer(address("carol")), Answer()])
        call = await called(stage)
        assert stage.outcomes(call.id) == [("transfer", "failed"), ("answer", "done")]

    play(root, scenario)


def test_transfer_of_the_far_end_is_refused(root):
    async def scenario(stage: Stage):
        call = await up(stage)
        stage.engine.tell(wire.TransferAsked(call.id, "sip:carol@192.0.2.9"))
        assert ended(await call.wait()) == ("local", "normal", 200)
        assert [answer.sip_code for answer in stage.sent(wire.AnswerTransfer, call.id)] == [603]
        assert [(event.target, event.is_accepted) for event in events_of(stage, TransferRequested)] == [("sip:carol@192.0.2.9", False)]

    play(root, scenario)


REFERS = {"trunks": [trunk(allows_refer=True)]}


async def bridged(stage):
    """A call from the trunk that talks to bob; the call, and bob's leg."""
    stage.switch.on_call(trunk="carrier", actions=[Connect([address("bob")], trunk="carrier"), Talk("never heard")])
    call = offered(stage, trunk="carrier")
    await asyncio.sleep(1)
    return call, stage.switch.calls.live(call.record.chained_call_ids[0])


def codes_told(stage, call):
    return [answer.sip_code for answer in stage.sent(wire.AnswerTransfer, call.id)]


@pytest.mark.parametrize("who", ["caller", "leg"])
def test_transfer_connects_the_other_one(root, who):
    async def scenario(stage: Stage):
        call, leg = await bridged(stage)
        asking, peer = (call, leg) if who == "caller" else (leg, call)
        stage.engine.tell(wire.TransferAsked(asking.id, "sip:carol@192.0.2.9"))
        await asyncio.sleep(1)
        assert peer.record.status == "progressing"
        third = stage.switch.calls.live(peer.record.chained_call_ids[-1])
        assert ended(await asking.wait()) == ("local", "normal", 200)
        assert codes_told(stage, asking) == [202, 180, 200]
        assert str(third.record.destination) == "sip:carol@192.0.2.9"
        assert [heard.peer_id for heard in stage.engine.heard[peer.id] if heard.end_s is None] == [third.id]
        assert ended(await third.wait()) == ("remote", "normal", 200)
        assert ended(await peer.wait()) == ("local", "normal", 200)
        assert [event.is_accepted for event in events_of(stage, TransferRequested)] == [True]

    play(root, scenario, {"carol": FarEnd(hang_up_after_s=5)}, **REFERS)


@pytest.mark.parametrize("who", ["caller", "leg"])
def test_transfer_that_reaches_nobody_joins_the_two_again(root, who):
    async def scenario(stage: Stage):
        call, leg = await bridged(stage)
        asking, peer = (call, leg) if who == "caller" else (leg, call)
        stage.engine.tell(wire.TransferAsked(asking.id, "sip:carol@192.0.2.9"))
        await asyncio.sleep(2)
        assert codes_told(stage, asking) == [202, 180, 486]
        assert [heard.peer_id for heard in stage.engine.heard[peer.id] if heard.end_s is None] == [asking.id]
        stage.engine.hang_up_remote(peer.id if who == "caller" else asking.id)
        for one in (asking, peer):
            assert (await one.wait()).hangup_reason == "normal"

    play(root, scenario, {"carol": FarEnd(reject_code=486, answer_after_s=0.5)}, **REFERS)


def test_transfer_without_anybody_to_transfer_is_refused(root):
    async def scenario(stage: Stage):
        call = await up(stage, trunk="carrier")
        stage.engine.tell(wire.TransferAsked(call.id, "sip:carol@192.0.2.9"))
        assert ended(await call.wait()) == ("local", "normal", 200)
        assert codes_told(stage, call) == [603]

    play(root, scenario, **REFERS)


@pytest.mark.parametrize("target", ["sip:", "nonsense", "sip:carol@[::1"])
def test_transfer_to_nowhere_is_refused(root, target):
    async def scenario(stage: Stage):
        call, leg = await bridged(stage)
        stage.engine.tell(wire.TransferAsked(leg.id, target))
        await asyncio.sleep(1)
        assert codes_told(stage, leg) == [603]
        assert leg.record.status == call.record.status == "progressing"
        call.hangup()
        await call.wait()

    play(root, scenario, **REFERS)


# ----------------------------------------------------------------------------------------------------- redirection


MOVED = FarEnd(reject_code=302, redirect_uri="sip:carol@192.0.2.77")


def test_redirection_is_not_followed_by_default(root):
    async def scenario(stage: Stage):
        call = stage.call("bob", LONG)
        assert ended(await call.wait()) == ("remote", "failed", 302)

    play(root, scenario, {"bob": MOVED})


def test_redirection_is_followed_where_the_trunk_allows(root):
    async def scenario(stage: Stage):
        call = stage.call("bob", Talk("hello"), trunk="carrier")
        assert ended(await call.wait()) == ("local", "normal", 200)
        dials = stage.sent(wire.Dial, call.id)
        assert [dial.request_uri for dial in dials] == ["sip:bob@192.0.2.9", "sip:carol@192.0.2.77"]
        assert dials[0].targets == dials[1].targets == ("192.0.2.50",)
        assert stage.names(call.id).count("CallDialing") == 1

    play(root, scenario, {"bob": MOVED}, trunks=[trunk(redirects=1)])


def test_redirections_have_a_limit(root):
    async def scenario(stage: Stage):
        call = stage.call("bob", LONG, trunk="carrier")
        assert ended(await call.wait()) == ("remote", "failed", 302)
        assert len(stage.sent(wire.Dial, call.id)) == 3

    play(root, scenario, {"bob": FarEnd(reject_code=302, redirect_uri="sip:bob@192.0.2.77")}, trunks=[trunk(redirects=2)])


def test_hangup_ends_redirections(root):
    async def scenario(stage: Stage):
        call = stage.call("bob", LONG, trunk="carrier")
        await stage.until_sent(wire.Dial, call.id)
        call.hangup()
        stage.engine.tell(wire.CallDisconnected(call.id, 302, "Moved", remote=True, redirect_uri="sip:carol@192.0.2.77"))
        assert ended(await call.wait())[:2] == ("local", "cancel")
        assert len(stage.sent(wire.Dial, call.id)) == 1

    play(root, scenario, {"bob": FarEnd(answer_after_s=None)}, trunks=[trunk(redirects=1)])


# ---------------------------------------------------------------------------------------------------------- trunks


def test_trunk_by_name(root):
    async def scenario(stage: Stage):
        call = stage.switch.calls.create(destination="tel:+4930", trunk="carrier")
        await call.wait()
        assert stage.sent(wire.Dial, call.id)[0].request_uri == "sip:+4930@192.0.2.50"
        with pytest.raises(InvalidRequest, match="trunk: no trunk is named 'carier'; did you mean carrier"):
            stage.switch.calls.create(destination="tel:+4930", trunk="carier")
        with pytest.raises(InvalidRequest, match=r"actions\[0\].option.trunk"):
            stage.switch.calls.create(destination="tel:+4930", actions=[Connect(["+4931"], trunk="x")])

    play(root, scenario, trunks=[trunk()])


def test_leg_over_a_named_trunk(root):
    async def scenario(stage: Stage):
        call = stage.call("bob", Connect(["+4931"], trunk="carrier"))
        record = await call.wait()
        assert stage.sent(wire.Dial, record.chained_call_ids[0])[0].request_uri == "sip:+4931@192.0.2.50"

    play(root, scenario, {"+4931": FarEnd(hang_up_after_s=1)}, trunks=[trunk()])


def test_full_trunk_refuses(root):
    async def scenario(stage: Stage):
        first = stage.call("bob", LONG, trunk="carrier")
        with pytest.raises(CapacityError, match="calls over trunk carrier: 1 of 1 in use"):
            stage.call("bob", LONG, trunk="carrier")
        assert stage.engine.legs_in_use == 1
        first.hangup()
        await first.wait()
        await stage.call("bob", trunk="carrier").wait()

    play(root, scenario, trunks=[trunk(max_calls=1)])


def test_call_that_a_listener_ends_at_once_leaves_its_trunk_free(root):
    async def scenario(stage: Stage):
        stop = stage.switch.listen(
            lambda event: stage.switch.calls.live(event.call_id).hangup() if isinstance(event, CallCreated) else None
        )
        call = stage.call("bob", LONG, trunk="carrier")
        assert ended(await call.wait()) == ("local", "cancel", 0)
        stop()
        assert ended(await stage.call("bob", trunk="carrier").wait()) == ("local", "normal", 200)

    play(root, scenario, trunks=[trunk(max_calls=1)])


def test_leg_over_a_full_trunk_fails(root):
    async def scenario(stage: Stage):
        first = stage.call("bob", LONG, trunk="carrier")
        second = stage.call("bob", Connect(["+4931"], trunk="carrier"))
        record = await second.wait()
        assert stage.outcomes(second.id) == [("connect", "failed")]
        leg = await stage.switch.calls.get(record.chained_call_ids[0])
        assert (leg.hangup_reason, leg.sip_phrase) == ("failed", "trunk carrier takes no more calls")
        first.hangup()
        await first.wait()

    play(root, scenario, trunks=[trunk(max_calls=1)])


def test_calls_wait_for_their_turn_in_order(root):
    async def scenario(stage: Stage):
        calls = [stage.call(f"user{number}", trunk="carrier") for number in range(5)]
        gone = calls.pop(2)
        gone.hangup()
        assert ended(await gone.wait()) == ("local", "cancel", 0)
        for call in calls:
            await call.wait()
        dials = [command for command in stage.engine.commands if isinstance(command, wire.Dial)]
        assert [dial.call_id for dial in dials] == [call.id for call in calls]
        setup_s = [(call.record.tm_ringing - call.record.tm_create).total_seconds() for call in calls]
        assert setup_s == pytest.approx([0.0, 0.5, 1.5, 2.0], abs=0.02)  # the turn of the one that gave up stays empty

    play(root, scenario, trunks=[trunk(calls_per_second=2)])


def test_registrations(root):
    seen = []

    async def scenario(stage: Stage):
        stage.switch.listen_registrations(lambda state: seen.append((state.trunk, state.is_registered, state.sip_code)))
        stage.switch.listen_registrations(lambda _: 1 / 0)
        await asyncio.sleep(0.1)
        assert {name: state.is_registered for name, state in stage.switch.registrations.items()} == {"carrier": True}
        assert stage.engine.registrations["carrier"].registrar_uri == "sip:192.0.2.50"
        stage.engine.tell(wire.RegistrationChanged("carrier", is_registered=False, sip_code=403, sip_phrase="Forbidden"))
        await asyncio.sleep(0.1)
        assert stage.switch.registrations["carrier"].sip_code == 403
        await stage.switch.close()
        assert stage.engine.registrations == {}
        stage.errors.clear()

    play(root, scenario, trunks=[trunk(username="us", register=True), trunk("other", "192.0.2.51")])
    assert seen == [("carrier", True, 200), ("carrier", False, 403), ("carrier", False, 200)]


def test_caller_from_a_trunk_is_connected_over_it(root):
    async def scenario(stage: Stage):
        stage.switch.on_call(trunk="carrier", actions=[Connect(["+4931"])])
        call = offered(stage, trunk="carrier", caller=Caller(hang_up_after_s=2))
        record = await call.wait()
        assert ended(record) == ("remote", "normal", 200)
        assert record.type == "flow"

    play(root, scenario, trunks=[trunk()])
