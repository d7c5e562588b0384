"""Calls from outside into one worker, told by `ExpectCall`."""

from __future__ import annotations

import contextlib
import socket

import pytest
from scripted_far_end import headers

from sipcore import engine, wire


async def test_nothing_is_answered_by_itself_then_answer_and_bye(bench, peer, tone):
    bench.send(wire.ExpectCall("c", "c"))
    peer.invite(bench.sip_port, "c", peer.sdp())
    await peer.got("SIP/2.0 100")
    bench.send(engine.Ring("c"))
    await peer.got("SIP/2.0 180")
    bench.send(engine.Answer("c"), engine.Play("c", "p", tone(0.2)))
    ok = await peer.got("SIP/2.0 200")
    assert "m=audio" in ok
    peer.ack(ok)
    assert (await bench.got(engine.CallConfirmed)).sip_code == 200
    await bench.got(engine.PlaybackFinished)
    assert any(payload != b"\xff" * 160 for payload in peer.rtp.payloads)
    peer.request("BYE")
    await peer.got("SIP/2.0 200", "BYE")
    over = await bench.got(engine.CallDisconnected)
    assert (over.sip_code, over.remote, over.error) == (200, True, "")
    assert over.statistics.tx_packets > 5
    assert [type(event).__name__ for event in bench.events[1:]] == [
        "MediaStarted",
        "CallConfirmed",
        "PlaybackFinished",
        "CallDisconnected",
    ]


async def test_our_bye(bench, peer):
    await answered(bench, peer)
    bench.send(engine.Hangup("c"))
    peer.answer(await peer.got("BYE"), "200 OK")
    over = await bench.got(engine.CallDisconnected)
    assert (over.sip_code, over.remote) == (200, False)


async def test_commands_wait_for_the_invite(bench, peer, tone):
    bench.send(wire.ExpectCall("c", "c"), engine.Ring("c", 183), engine.Play("c", "p", tone(0.1)), engine.Answer("c"))
    peer.invite(bench.sip_port, "c", peer.sdp())
    assert "m=audio" in await peer.got("SIP/2.0 183")
    peer.ack(await peer.got("SIP/2.0 200"))
    await bench.got(engine.PlaybackFinished)


async def test_the_expectation_is_read_with_the_invite(bench, peer):
    """Both are there when the worker wakes: the INVITE is never taken for a stranger's."""
    bench._socket.sendall(wire.encode(wire.ExpectCall("c", "c")))
    bench._socket.sendall(wire.encode(engine.Ring("c")))
    peer.invite(bench.sip_port, "c", peer.sdp())
    await peer.got("SIP/2.0 180")


async def test_early_media_before_the_answer(bench, peer, tone):
    bench.send(wire.ExpectCall("c", "c"))
    peer.invite(bench.sip_port, "c", peer.sdp())
    bench.send(engine.Ring("c", 183), engine.Play("c", "p", tone(0.2)))
    assert "m=audio" in await peer.got("SIP/2.0 183")
    await bench.got(engine.PlaybackFinished)
    assert any(payload != b"\xff" * 160 for payload in peer.rtp.payloads)
    assert not bench.of(engine.CallConfirmed)


@pytest.mark.parametrize("code", [302, 404, 486, 503, 603])
async def test_reject_brings_code_phrase_and_headers(bench, peer, code):
    bench.send(wire.ExpectCall("c", "c"))
    peer.invite(bench.sip_port, "c", peer.sdp())
    bench.send(engine.Reject("c", code, "Not now", (("Reason", "Q.850;cause=17"), ("X-Why", "because"))))
    refusal = await peer.got(f"SIP/2.0 {code} Not now")
    assert headers(refusal, "X-Why") == ["X-Why: because"]
    peer.ack(refusal)
    over = await bench.got(engine.CallDisconnected)
    assert (over.sip_code, over.sip_phrase, over.remote) == (code, "Not now", False)


async def test_hang_up_before_the_answer_is_603(bench, peer):
    bench.send(wire.ExpectCall("c", "c"))
    peer.invite(bench.sip_port, "c", peer.sdp())
    bench.send(engine.Ring("c"), engine.Hangup("c"))
    peer.ack(await peer.got("SIP/2.0 603"))
    over = await bench.got(engine.CallDisconnected)
    assert (over.sip_code, over.remote) == (603, False)


async def test_cancel_while_ringing(bench, peer):
    bench.send(wire.ExpectCall("c", "c"))
    peer.invite(bench.sip_port, "c", peer.sdp())
    bench.send(engine.Ring("c"))
    await peer.got("SIP/2.0 180")
    peer.cancel()
    peer.ack(await peer.got("SIP/2.0 487"))
    over = await bench.got(engine.CallDisconnected)
    assert (over.sip_code, over.remote) == (487, True)
    bench.send(engine.Answer("c"))  # crossed it


async def test_cancel_with_the_invite(bench, peer):
    bench.send(wire.ExpectCall("c", "c"), engine.Answer("c"))
    peer.invite(bench.sip_port, "c", peer.sdp())
    peer.cancel()
    over = await bench.got(engine.CallDisconnected)
    assert over.sip_code in (487, 200, 0)
    assert len(bench.of(engine.CallDisconnected)) == 1


@pytest.mark.parametrize("early", [False, True], ids=["at once", "after 183"])
async def test_late_offer(bench, peer, early):
    bench.send(wire.ExpectCall("c", "c"))
    peer.invite(bench.sip_port, "c", "")
    if early:
        bench.send(engine.Ring("c", 183))
        await peer.got("SIP/2.0 183")
    bench.send(engine.Answer("c"))
    ok = await peer.got("SIP/2.0 200")
    assert "m=audio" in ok
    peer.ack(ok, peer.sdp())
    await bench.got(engine.MediaStarted)
    await bench.got(engine.CallConfirmed)
    await peer.rtp.arrived()


async def test_an_invite_that_does_not_come(bench):
    bench.send(wire.ExpectCall("c", "c", timeout_s=0.2), engine.Ring("c"))
    over = await bench.got(engine.CallDisconnected)
    assert (over.call_id, over.sip_code, over.remote, over.error) == ("c", 0, True, "the INVITE did not arrive")


@pytest.mark.parametrize("body", ["", "offer"])
async def test_a_stranger_is_refused(bench, peer, body):
    bench.send(wire.ExpectCall("c", "c"))
    peer.invite(bench.sip_port, "other", body and peer.sdp())
    peer.ack(await peer.got("SIP/2.0 404"))
    peer.invite(bench.sip_port, "c", peer.sdp())
    bench.send(engine.Answer("c"))
    peer.ack(await peer.got("SIP/2.0 200"))
    await bench.got(engine.CallConfirmed)
    assert {event.call_id for event in bench.events if hasattr(event, "call_id")} == {"c"}


async def test_behind_a_front_door_only_it_brings_calls(open_bench, peer):
    bench = await open_bench(door_port=peer.port + 1)
    bench.send(wire.ExpectCall("c", "c", timeout_s=0.5))
    peer.invite(bench.sip_port, "c", peer.sdp())
    peer.ack(await peer.got("SIP/2.0 404"))
    assert (await bench.got(engine.CallDisconnected)).error == "the INVITE did not arrive"


async def test_no_codec_in_common_is_488(bench, peer):
    bench.send(wire.ExpectCall("c", "c"))
    peer.invite(bench.sip_port, "c", peer.sdp("18"))
    peer.ack(await peer.got("SIP/2.0 488"))
    over = await bench.got(engine.CallDisconnected)
    assert (over.sip_code, over.remote) == (488, True)


async def test_more_invites_than_slots(bench, peer):
    """The fifth gets an answer too, and its call an end."""
    for number in range(5):
        bench.send(wire.ExpectCall(f"c{number}", f"c{number}"))
        peer.invite(bench.sip_port, f"c{number}", peer.sdp())
        await peer.got("SIP/2.0 486" if number == 4 else "SIP/2.0 100")
    over = await bench.got(engine.CallDisconnected)
    assert (over.call_id, over.sip_code) == ("c4", 486)


@pytest.mark.parametrize("has_offer", [True, False], ids=["offer", "late offer"])
async def test_without_a_port_for_rtp_the_call_ends(open_bench, peer, has_offer):
    with taken_ports(8) as first:
        bench = await open_bench(rtp_port_first=first, rtp_port_last=first + 5)
        bench.send(wire.ExpectCall("c", "c"), engine.Answer("c"))
        peer.invite(bench.sip_port, "c", peer.sdp() if has_offer else "")
        over = await bench.got(engine.CallDisconnected)
        assert (await peer.got("SIP/2.0 5")).startswith("SIP/2.0 5")
    assert over.remote
    assert over.error


@contextlib.contextmanager
def taken_ports(count):
    """A run of UDP ports that are in use; the first, which is even."""
    with contextlib.ExitStack() as stack:
        for first in range(30000, 40000, count):
            try:
                for port in range(first, first + count):
                    stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)).bind(("127.0.0.1", port))
                break
            except OSError:  # somebody else has it
                continue
        yield first


async def answered(bench, peer, body=None):
    """A call that is up; our 200."""
    bench.send(wire.ExpectCall("c", "c"), engine.Answer("c"))
    peer.invite(bench.sip_port, "c", body or peer.sdp())
    ok = await peer.got("SIP/2.0 200")
    peer.ack(ok)
    await bench.got(engine.CallConfirmed)
    return ok
