"""Many calls from outside, one after the other, leave nothing in the worker."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from sipcore import engine, wire


def private_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Dirty", "Swap:")))


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def test_hundreds_of_inbound_calls_leave_nothing(bench, peer, tone):
    pid, path = bench.process.pid, tone(0.06)
    sizes_kb: list[int] = []
    descriptors: set[int] = set()
    for number in range(200):
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
        if number % 20 == 19:
            descriptors.add(open_files(pid))
        sizes_kb.append(private_kb(pid))
    assert max(descriptors) - min(descriptors) <= 16  # sockets of RTP rest for half a second
    assert median(sizes_kb[-20:]) - median(sizes_kb[60:80]) < 500
