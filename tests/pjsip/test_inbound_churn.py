"""Many calls from outside, one after the other, leave nothing in the worker."""

from __future__ import annotations

from statistics import median
from time import monotonic

import pytest
from processes import descriptors, private_kb

from sipcore import engine, wire

KEPT_S = 32.0
"""So long PJSIP keeps the transactions of a call that is over (64*T1, RFC 3261 §17.2): until then its memory grows with each call."""
KEPT_KB = 30
"""Twice what that is for one call, of the first 256 with a thread state: 15 measured."""
CLOCK_STARTS = 256
"""So many leave a thread state of 5 KiB behind each (`sipcore.pjsip.threadstate.MAX_KEPT`); a call that comes after a rest is one."""


async def call_in(bench, peer, number: int, path: str) -> None:
    """One call from its INVITE to its BYE, which each side sends in turn."""
    bench.send(wire.ExpectCall(f"c{number}", "g"), engine.Ring(f"c{number}", 183), engine.Answer(f"c{number}"))
    peer.invite(bench.sip_port, f"c{number}", peer.sdp() if number % 3 else "")
    ok = await peer.got("SIP/2.0 200", "INVITE")
    peer.ack(ok, "" if number % 3 else peer.sdp())
    await bench.got(engine.CallConfirmed)
    bench.send(engine.Play(f"c{number}", "p", path))
    await bench.got(engine.PlaybackFinished)
    if number % 2:
        bench.send(engine.Hangup(f"c{number}"))
        peer.answer(await peer.got("BYE"), "200 OK")
    else:
        peer.request("BYE")
        await peer.got("SIP/2.0 200", "BYE")
    assert (await bench.got(engine.CallDisconnected)).error == ""
    bench.events.clear()
    peer.forget()


async def test_two_hundred_inbound_calls_leave_nothing(bench, peer, tone):
    pid, path = bench.process.pid, tone(0.06)
    sizes_kb: list[int] = []
    counts: set[int] = set()
    for number in range(200):
        await call_in(bench, peer, number, path)
        if number % 20 == 19:
            counts.add(descriptors(pid))
        sizes_kb.append(private_kb(pid))
    assert max(counts) - min(counts) <= 16  # sockets of RTP rest for half a second
    assert median(sizes_kb[-20:]) - median(sizes_kb[60:80]) < 120 * KEPT_KB


@pytest.mark.soak
@pytest.mark.timeout(300)
async def test_memory_is_level_once_the_first_transactions_are_over(bench, peer, tone):
    pid, path = bench.process.pid, tone(0.06)
    sizes_kb: list[int] = []
    begin_s = monotonic()
    level_s = 0.0
    level_at = number = 0
    while not level_at or monotonic() - level_s < 2 * KEPT_S:
        await call_in(bench, peer, number, path)
        number += 1
        sizes_kb.append(private_kb(pid))
        if not level_at and monotonic() - begin_s > KEPT_S + 10 and number > CLOCK_STARTS:
            level_s, level_at = monotonic(), number
    # 416 kB measured in 670 calls; the least that a call could leave, a pool of PJSIP, is 4 kB
    assert median(sizes_kb[-40:]) - median(sizes_kb[level_at : level_at + 40]) < max(500, number - level_at)
