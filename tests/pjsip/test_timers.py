"""Timers of SIP that take their time: RFC 4028 at its 90 s minimum, and an answer that nobody acknowledges (RFC 3261 §13.3.1.4)."""

from __future__ import annotations

import asyncio

import pytest
from bench import Bench
from scripted_far_end import headers
from scripted_peer import Peer
from test_inbound import answered

from sipcore import engine, wire


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_timers():
    """Each waits for most of a minute, all of them at the same time, each with a worker and a far end of its own."""
    await at_once(refresh_after_half_the_time, no_ack)


@pytest.mark.soak
@pytest.mark.timeout(200)
async def test_timers_of_a_whole_session():
    """As `test_timers`, for what takes up to 90 s."""
    await at_once(refused_refresh, no_refresh, no_timer)


async def at_once(*timers) -> None:
    async with asyncio.TaskGroup() as tasks:
        for timer in timers:
            tasks.create_task(alone(timer), name=timer.__name__)


async def alone(timer) -> None:
    peer = await Peer.open()
    bench = await Bench(session_expires_s=90).start()
    try:
        await timer(bench, peer)
    except Exception as error:
        error.add_note(f"in {timer.__name__}")
        raise
    finally:
        try:
            assert await bench.stop() == 0
        finally:
            peer.close()


async def call_with_timer(bench, peer, refresher: str) -> None:
    bench.send(wire.ExpectCall("c", "c"), engine.Answer("c"))
    extra = ("Supported: timer", f"Session-Expires: 90;refresher={refresher}", "Min-SE: 90", "Allow: INVITE, ACK, BYE, CANCEL")
    peer.invite(bench.sip_port, "c", peer.sdp(), *extra)
    ok = await peer.got("SIP/2.0 200")
    assert headers(ok, "Session-Expires") == [f"Session-Expires: 90;refresher={refresher}"]
    peer.ack(ok)


async def refresh_after_half_the_time(bench, peer):
    await call_with_timer(bench, peer, "uas")
    refresh = await peer.got("INVITE", timeout_s=60)
    assert headers(refresh, "Session-Expires")[0].startswith("Session-Expires: 90")
    peer.answer(refresh, "200 OK", peer.sdp(version=2), "Require: timer", "Session-Expires: 90;refresher=uac")
    await peer.got("ACK")
    assert not bench.of(engine.CallDisconnected)
    assert not bench.of(engine.HoldChanged)


async def refused_refresh(bench, peer):
    """It ends the call."""
    await call_with_timer(bench, peer, "uas")
    peer.answer(await peer.got("INVITE", timeout_s=60), "481 No Such Call")
    await peer.got("ACK")
    await bench.got(engine.CallDisconnected, timeout_s=40)


async def no_refresh(bench, peer):
    """The session ends."""
    await call_with_timer(bench, peer, "uac")
    peer.answer(await peer.got("BYE", timeout_s=100), "200 OK")
    over = await bench.got(engine.CallDisconnected, timeout_s=10)
    assert over.remote
    assert over.error


async def no_ack(bench, peer):
    """The call ends."""
    bench.send(wire.ExpectCall("c", "c"), engine.Answer("c"))
    peer.invite(bench.sip_port, "c", peer.sdp())
    for _ in range(4):  # it is sent again and again
        await peer.got("SIP/2.0 200")
    peer.answer(await peer.got("BYE", timeout_s=40), "200 OK")
    over = await bench.got(engine.CallDisconnected)
    assert (over.sip_code, over.remote) == (0, True)
    assert "no ACK" in over.error
    assert not bench.of(engine.CallConfirmed)


async def no_timer(bench, peer):
    """Without RFC 4028 on the other side nobody refreshes, and nothing ends."""
    await answered(bench, peer)
    with pytest.raises(TimeoutError):
        await bench.got(engine.CallDisconnected, timeout_s=95)
