"""What happens within a call: timers, hold, late offers, glare, PRACK, UPDATE, REFER both ways."""

from __future__ import annotations

import pytest
from scripted_far_end import headers
from test_inbound import answered

from sipcore import engine, wire


async def dialled(bench, peer, **more):
    """A call of ours that is up; the INVITE."""
    bench.send(engine.Dial("c", "c", peer.uri(), "<sip:me@example.org>", engine.Account(), **more))
    invite = await peer.got("INVITE")
    peer.answer(invite, "200 OK", peer.sdp(), "Allow: INVITE, ACK, BYE, CANCEL, UPDATE, REFER, NOTIFY, PRACK", "Supported: timer")
    await peer.got("ACK")
    await bench.got(engine.CallConfirmed)
    return invite


async def test_session_timers_are_asked_for(bench, peer):
    invite = await dialled(bench, peer)
    assert headers(invite, "Session-Expires")[0].startswith("Session-Expires: 1800")
    assert headers(invite, "Min-SE") == ["Min-SE: 90"]
    assert "timer" in headers(invite, "Supported")[0]


async def test_session_timers_can_be_off(open_bench, peer):
    bench = await open_bench(session_expires_s=0)
    assert not headers(await dialled(bench, peer), "Session-Expires")


async def test_a_caller_may_ask_for_timers(bench, peer):
    bench.send(wire.ExpectCall("c", "c"), engine.Answer("c"))
    peer.invite(bench.sip_port, "c", peer.sdp(), "Supported: timer", "Session-Expires: 90;refresher=uac", "Min-SE: 90")
    ok = await peer.got("SIP/2.0 200")
    assert headers(ok, "Session-Expires") == ["Session-Expires: 90;refresher=uac"]
    peer.ack(ok)


async def test_too_short_a_session_is_422(bench, peer):
    bench.send(wire.ExpectCall("c", "c"), engine.Answer("c"))
    peer.invite(bench.sip_port, "c", peer.sdp(), "Supported: timer", "Session-Expires: 30")
    refusal = await peer.got("SIP/2.0 422")
    assert headers(refusal, "Min-SE") == ["Min-SE: 90"]
    peer.ack(refusal)
    await bench.got(engine.CallDisconnected)


async def test_the_far_end_holds_and_resumes(bench, peer):
    await answered(bench, peer)
    for direction, is_held in (("sendonly", True), ("sendrecv", False), ("inactive", True), ("sendrecv", False)):
        peer.request("INVITE", peer.sdp("0", f"a={direction}", version=2))
        peer.ack(await peer.got("SIP/2.0 200", "INVITE"))
        await bench.until(lambda: bool(told := bench.of(engine.HoldChanged)) and told[-1].is_held is is_held)  # noqa: B023
    assert [event.is_held for event in bench.of(engine.HoldChanged)] == [True, False, True, False]
    await peer.rtp.arrived(3)


async def test_we_hold_and_resume(bench, peer):
    await dialled(bench, peer)
    bench.send(engine.Hold("c"))
    invite = await peer.got("INVITE")
    assert "a=sendonly" in invite
    peer.answer(invite, "200 OK", peer.sdp("0", "a=recvonly", version=2))
    await peer.got("ACK")
    bench.send(engine.Hold("c", is_held=False))
    invite = await peer.got("INVITE")
    assert "a=sendrecv" in invite or "a=sendonly" not in invite
    peer.answer(invite, "200 OK", peer.sdp("0", version=3))
    await peer.got("ACK")
    assert not bench.of(engine.HoldChanged)


async def test_hold_after_glare_is_tried_again(bench, peer):
    await answered(bench, peer)
    bench.send(engine.Hold("c"))
    invite = await peer.got("INVITE")
    peer.answer(invite, "491 Request Pending")
    await peer.got("ACK")
    invite = await peer.got("INVITE")
    assert "a=sendonly" in invite
    peer.answer(invite, "200 OK", peer.sdp("0", "a=recvonly", version=2))
    await peer.got("ACK", timeout_s=10)


async def test_a_reinvite_that_crosses_ours_gets_491(bench, peer):
    await answered(bench, peer)
    bench.send(engine.Hold("c"))
    invite = await peer.got("INVITE")
    peer.request("INVITE", peer.sdp("0", version=2))
    peer.ack(await peer.got("SIP/2.0 491", "INVITE"))
    peer.answer(invite, "200 OK", peer.sdp("0", "a=recvonly", version=2))
    await peer.got("ACK")


async def test_a_codec_change_and_a_late_offer(bench, peer):
    await answered(bench, peer)
    peer.request("INVITE", peer.sdp("8", version=2))
    peer.ack(await peer.got("SIP/2.0 200", "INVITE"))
    await bench.until(lambda: [event.codec for event in bench.of(engine.MediaStarted)] == ["PCMU/8000", "PCMA/8000"])
    peer.request("INVITE")
    ok = await peer.got("SIP/2.0 200", "INVITE")
    assert "m=audio" in ok
    peer.ack(ok, peer.sdp("0", version=3))
    await bench.until(lambda: bench.of(engine.MediaStarted)[-1].codec == "PCMU/8000")
    await peer.rtp.arrived(3)


async def test_update_is_answered(bench, peer):
    await answered(bench, peer)
    peer.request("UPDATE", peer.sdp("0", "a=sendonly", version=2))
    assert "a=recvonly" in await peer.got("SIP/2.0 200", "UPDATE")
    assert (await bench.got(engine.HoldChanged)).is_held


async def test_provisional_answers_are_reliable_for_who_asks(bench, peer):
    bench.send(wire.ExpectCall("c", "c"), engine.Ring("c", 183))
    peer.invite(bench.sip_port, "c", peer.sdp(), "Supported: 100rel", "Require: 100rel")
    progress = await peer.got("SIP/2.0 183")
    number = headers(progress, "RSeq")[0].split()[1]
    peer.learn(progress)
    peer.request("PRACK", "", f"RAck: {number} 1 INVITE")
    await peer.got("SIP/2.0 200", "PRACK")
    bench.send(engine.Answer("c"))
    peer.ack(await peer.got("SIP/2.0 200", "INVITE"))
    await bench.got(engine.CallConfirmed)


async def test_prack_answers_a_reliable_183(bench, peer):
    bench.send(engine.Dial("c", "c", peer.uri(), "<sip:me@example.org>", engine.Account()))
    invite = await peer.got("INVITE")
    assert "100rel" in headers(invite, "Supported")[0]
    peer.answer(invite, "183 Session Progress", peer.sdp(), "Require: 100rel", "RSeq: 7")
    prack = await peer.got("PRACK")
    assert headers(prack, "RAck")[0].startswith("RAck: 7 ")
    peer.answer(prack, "200 OK")
    peer.answer(invite, "200 OK", peer.sdp())
    await peer.got("ACK")
    await bench.got(engine.CallConfirmed)


async def test_refer_is_refused(bench, peer):
    await answered(bench, peer)
    peer.request("REFER", "", "Refer-To: <sip:premium@192.0.2.1>")
    await peer.got("SIP/2.0 603", "REFER")
    assert not bench.of(engine.TransferAsked)


@pytest.mark.parametrize("is_dialled", [False, True], ids=["incoming", "outgoing"])
@pytest.mark.parametrize("code", [200, 486])
async def test_refer_is_asked_and_answered(open_bench, peer, is_dialled, code):
    bench = await open_bench(allows_refer=True)
    await (dialled if is_dialled else answered)(bench, peer)
    peer.request("REFER", "", "Refer-To: Bob <sip:bob@192.0.2.1:5070>", "Referred-By: <sip:peer@127.0.0.1>")
    assert (await bench.got(engine.TransferAsked)).target_uri == "sip:bob@192.0.2.1:5070"
    accepted = await peer.got("SIP/2.0 202", "REFER")
    assert accepted
    await notified(peer, "100")
    bench.send(engine.AnswerTransfer("c", 202), engine.AnswerTransfer("c", 180))
    await notified(peer, "180")
    bench.send(engine.AnswerTransfer("c", code))
    assert "terminated" in headers(await notified(peer, str(code)), "Subscription-State")[0]
    bench.send(engine.Hangup("c"))
    peer.answer(await peer.got("BYE"), "200 OK")
    await bench.got(engine.CallDisconnected)
    assert not [message for message in peer.messages if message.startswith("INVITE") and "bob" in message]


async def test_a_caller_that_asked_may_go(open_bench, peer):
    bench = await open_bench(allows_refer=True)
    await answered(bench, peer)
    peer.request("REFER", "", "Refer-To: <sip:bob@192.0.2.1>")
    await bench.got(engine.TransferAsked)
    await notified(peer, "100")
    peer.request("BYE")
    await peer.got("SIP/2.0 200", "BYE")
    await bench.got(engine.CallDisconnected)
    bench.send(engine.AnswerTransfer("c", 200))


async def test_calls_after_a_refer_go_their_own_way(open_bench, peer):
    bench = await open_bench(allows_refer=True, door_port=peer.port)
    await dialled(bench, peer)
    peer.request("REFER", "", "Refer-To: <sip:bob@192.0.2.1>")
    await bench.got(engine.TransferAsked)
    await notified(peer, "100")
    bench.send(engine.Dial("d", "c", peer.uri("second"), "<sip:me@example.org>", engine.Account()))
    await peer.got("INVITE sip:second@")


@pytest.mark.parametrize("refer_to", ["<sip:bob@192.0.2.1?Replaces=abc>", "<tel:+123>", "<sip:bob@192.0.2.1?X-Evil=1>"])
async def test_what_is_no_blind_transfer_is_refused(open_bench, peer, refer_to):
    bench = await open_bench(allows_refer=True)
    await answered(bench, peer)
    peer.request("REFER", "", f"Refer-To: {refer_to}")
    await peer.got("SIP/2.0 603", "REFER")
    assert not bench.of(engine.TransferAsked)


async def test_without_a_free_slot_refer_is_refused(open_bench, peer):
    bench = await open_bench(allows_refer=True)
    await dialled(bench, peer)
    for number in range(3):
        bench.send(engine.Dial(f"d{number}", "c", "sip:nobody@127.0.0.1:9", "<sip:me@example.org>", engine.Account()))
    bench.send(engine.Transfer("c", "sip:marker@192.0.2.1"))  # when it comes, the three have been dialled
    peer.answer(await peer.got("REFER"), "603 Decline")
    peer.request("REFER", "", "Refer-To: <sip:bob@192.0.2.1>")
    await peer.got("SIP/2.0 603", "REFER")
    assert not bench.of(engine.TransferAsked)


async def notified(peer, code):
    """The next NOTIFY with this code in its sipfrag; answered."""
    while True:
        notify = await peer.got("NOTIFY")
        peer.answer(notify, "200 OK")
        if f"SIP/2.0 {code}" in notify.partition("\r\n\r\n")[2]:
            return notify


@pytest.mark.parametrize("outcome", ["200 OK", "486 Busy Here"])
async def test_our_refer_and_its_outcome(bench, peer, outcome):
    await dialled(bench, peer)
    bench.send(engine.Transfer("c", "sip:bob@192.0.2.1"))
    refer = await peer.got("REFER")
    assert headers(refer, "Refer-To") == ["Refer-To: <sip:bob@192.0.2.1>"]
    peer.answer(refer, "202 Accepted")
    event = "Event: refer"
    peer.request("NOTIFY", "SIP/2.0 180 Ringing\r\n", event, "Subscription-State: active;expires=60", "Content-Type: message/sipfrag")
    await peer.got("SIP/2.0 200", "NOTIFY")
    state = "Subscription-State: terminated;reason=noresource"
    peer.request("NOTIFY", f"SIP/2.0 {outcome}\r\n", event, state, "Content-Type: message/sipfrag")
    await peer.got("SIP/2.0 200", "NOTIFY")
    await bench.until(lambda: any(event.is_final for event in bench.of(engine.TransferProgressed)))
    told = [(event.sip_code, event.is_final) for event in bench.of(engine.TransferProgressed)]
    assert told == [(202, False), (180, False), (int(outcome[:3]), True)]


async def test_our_refer_is_refused(bench, peer):
    await dialled(bench, peer)
    bench.send(engine.Transfer("c", "sip:bob@192.0.2.1"))
    peer.answer(await peer.got("REFER"), "603 Decline")
    event = await bench.got(engine.TransferProgressed)
    assert (event.sip_code, event.is_final) == (603, True)


@pytest.mark.parametrize(("setting", "header"), [("required", "Require"), ("supported", "Supported")])
async def test_reliable_provisional_answers_as_set(open_bench, peer, setting, header):
    bench = await open_bench(reliable_provisional=setting)
    bench.send(engine.Dial("c", "c", peer.uri(), "<sip:me@example.org>", engine.Account()))
    invite = await peer.got("INVITE")
    assert any("100rel" in value for value in headers(invite, header))


@pytest.mark.parametrize(("setting", "code"), [("off", 183), ("supported", 183), ("required", 421)])
async def test_a_caller_without_100rel(open_bench, peer, setting, code):
    bench = await open_bench(reliable_provisional=setting)
    bench.send(wire.ExpectCall("c", "c"), engine.Ring("c", 183))
    peer.invite(bench.sip_port, "c", peer.sdp())
    response = await peer.got(f"SIP/2.0 {code}")
    assert not headers(response, "RSeq")
    if code == 421:
        peer.ack(response)
        assert (await bench.got(engine.CallDisconnected)).sip_code == 421


async def test_reliable_when_the_caller_can(open_bench, peer):
    for number, (setting, is_reliable) in enumerate([("off", False), ("supported", True)]):
        bench = await open_bench(reliable_provisional=setting)
        bench.send(wire.ExpectCall(f"c{number}", "c"), engine.Ring(f"c{number}", 183))
        peer.invite(bench.sip_port, f"c{number}", peer.sdp(), "Supported: 100rel")
        assert bool(headers(await peer.got("SIP/2.0 183"), "RSeq")) is is_reliable
