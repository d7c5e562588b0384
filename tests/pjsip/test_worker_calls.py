"""Calls through real workers to a scripted far end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from statistics import median

import pytest
from processes import descriptors, private_kb

from sipcore import engine
from sipcore.errors import CapacityError


async def test_answer_play_and_bye(line, far_end, tone):
    line.dial("c", far_end.uri("ok"), headers=(("X-Ticket", "42"),))
    line.pool.submit(engine.Play("c", "p", tone(0.3)))
    await line.got(engine.PlaybackFinished, "c")
    line.hang_up("c")
    over = await line.got(engine.CallDisconnected, "c")
    await far_end.saw("ok", "BYE")
    assert (over.sip_code, over.remote, over.error) == (200, False, "")
    assert over.statistics.codec == "PCMU/8000"
    assert over.statistics.tx_packets >= 15
    invite = far_end.texts[0]
    assert 'From: "Me" <sip:me@example.org>' in invite
    assert "X-Ticket: 42" in invite
    (worker,) = line.pool.workers()
    assert f":{worker.sip_port}" not in invite  # the front door hides it
    assert " iLBC" not in invite
    assert [type(event).__name__ for event in line.events[-2:]] == ["PlaybackFinished", "CallDisconnected"]
    assert any(payload != b"\xff" * 160 for payload in far_end.rtp.payloads)
    assert line.pool.legs_in_use == 0


async def test_early_media_is_heard_before_the_answer(line, far_end, tone):
    line.dial("c", far_end.uri("early"))
    line.pool.submit(engine.Play("c", "p", tone(0.1)))
    await line.got(engine.PlaybackFinished, "c")
    assert not line.of(engine.CallConfirmed, "c")
    await line.got(engine.CallConfirmed, "c")
    assert [event.sip_code for event in line.of(engine.CallProvisional, "c")] == [183]


@pytest.mark.parametrize("code", [302, 404, 486, 503, 603])
async def test_refusal_keeps_code_and_cause(line, far_end, code):
    line.dial("c", far_end.uri(str(code)))
    over = await line.got(engine.CallDisconnected, "c")
    assert (over.sip_code, over.sip_phrase, over.remote, over.q850_cause) == (code, "Whatever", True, 17)


async def test_phrases_that_are_not_utf_8(line, far_end):
    line.dial("busy", far_end.uri("latin486"))
    over = await line.got(engine.CallDisconnected, "busy")
    assert (over.sip_code, over.sip_phrase, over.remote, over.q850_cause) == (486, "Besetzt\ufffd", True, 17)
    line.dial("c", far_end.uri("latin200"))
    assert (await line.got(engine.CallConfirmed, "c")).sip_phrase == "Gr\ufffd\ufffd"
    assert [event.sip_phrase for event in line.of(engine.CallProvisional, "c")] == ["L\ufffdutet"]
    await far_end.saw("latin200", "ACK")
    far_end.bye("latin200", 'Reason: Q.850;cause=16;text="\udcfc"')
    assert (await line.got(engine.CallDisconnected, "c")).q850_cause == 16
    assert line.pool.legs_in_use == 0


async def test_remote_bye_brings_its_reason(line, far_end):
    line.dial("c", far_end.uri("ok"))
    await line.got(engine.CallConfirmed, "c")
    await far_end.saw("ok", "ACK")
    far_end.bye("ok", 'Reason: Q.850;cause=16;text="Terminated"')
    over = await line.got(engine.CallDisconnected, "c")
    assert (over.sip_code, over.remote, over.q850_cause) == (200, True, 16)


async def test_cancel_while_ringing(line, far_end):
    line.dial("c", far_end.uri("ring"))
    await line.got(engine.CallProvisional, "c")
    line.hang_up("c")
    over = await line.got(engine.CallDisconnected, "c")
    await far_end.saw("ring", "ACK")
    assert far_end.methods("ring") == ["INVITE", "CANCEL", "ACK"]
    assert (over.sip_code, over.remote) == (487, False)


async def test_cancel_waits_for_the_first_provisional(line, far_end):
    line.dial("c", far_end.uri("late"))
    await far_end.saw("late", "INVITE")
    line.hang_up("c")
    await line.got(engine.CallDisconnected, "c", timeout_s=1)
    await far_end.saw("late", "CANCEL")


async def test_200_that_crosses_our_cancel_is_acked_and_ended(line, far_end):
    line.dial("c", far_end.uri("cross"))
    await line.got(engine.CallProvisional, "c")
    line.hang_up("c")
    await far_end.saw("cross", "BYE")
    assert far_end.methods("cross") == ["INVITE", "CANCEL", "ACK", "BYE"]
    assert len(line.of(engine.CallDisconnected, "c")) == 1


async def test_digest_challenge_is_answered(line, far_end):
    line.dial("c", far_end.uri("auth407"), account=engine.Account("alice", "secret"))
    await line.got(engine.CallConfirmed, "c")
    assert any("Proxy-Authorization: Digest" in text and 'username="alice"' in text for text in far_end.texts)


async def test_route_goes_to_the_proxy(line, far_end):
    account = engine.Account(route_uri=f"sip:127.0.0.1:{far_end.port}")
    line.dial("c", "sip:ok@trunk.invalid", account=account)
    await line.got(engine.CallConfirmed, "c")
    assert far_end.texts[0].startswith("INVITE sip:ok@trunk.invalid SIP/2.0")


async def test_more_accounts_than_pjsip_holds(line, far_end):
    for number in range(12):
        line.dial(f"c{number}", far_end.uri("ok"), account=engine.Account(f"user{number}", "secret"))
        await line.got(engine.CallConfirmed, f"c{number}")
        line.hang_up(f"c{number}")
        await line.got(engine.CallDisconnected, f"c{number}")


async def test_two_legs_of_a_group_hear_each_other(line, far_end, tone):
    line.pool.reserve("g", 2)
    line.dial("a", far_end.uri("ok-a"), "g")
    line.dial("b", far_end.uri("ok-b"), "g")
    line.pool.submit(engine.Bridge("a", "b"))
    line.pool.submit(engine.Play("a", "p", tone(0.2)))
    await line.got(engine.PlaybackFinished, "a")
    line.pool.submit(engine.Unbridge("a", "b"))
    line.hang_up("a")
    await line.got(engine.CallDisconnected, "a")
    assert not line.of(engine.CallDisconnected, "b")
    line.dial("a2", far_end.uri("ok-a2"), "g")
    await line.got(engine.CallConfirmed, "a2")


async def test_a_key_is_reported_once_and_soon(line, far_end, tone):
    line.dial("c", far_end.uri("ok"))
    line.pool.submit(engine.Play("c", "p", tone(0.1)))
    await line.got(engine.PlaybackFinished, "c")
    far_end.rtp.press(11)
    pressed = await line.got(engine.DtmfReceived, "c", timeout_s=0.5)
    assert pressed.digit == "#"
    line.hang_up("c")
    await line.got(engine.CallDisconnected, "c")
    assert len(line.of(engine.DtmfReceived, "c")) == 1


async def test_plays_replace_stop_and_fail(line, far_end, tone):
    line.dial("c", far_end.uri("ok"))
    line.pool.submit(engine.Play("c", "first", tone(5)))
    await line.got(engine.MediaStarted, "c")
    line.pool.submit(engine.Play("c", "second", tone(5), loop=True))
    assert (await line.got(engine.PlaybackFinished, "c")).play_id == "first"
    line.pool.submit(engine.StopPlay("c", "second"))
    for name, path in {"stereo": tone(0.1, channels=2), "short": tone(0.01), "none": "/nonexistent.wav", "device": "/dev/zero"}.items():
        line.pool.submit(engine.Play("c", name, path))
    line.pool.submit(engine.Play("c", "last", tone(0.1)))
    await line.got(engine.PlaybackFinished, "c", count=6)
    finished = {event.play_id: event.error for event in line.of(engine.PlaybackFinished, "c")}
    assert "second" not in finished
    assert finished["last"] == ""
    assert all(finished[name] for name in ("first", "stereo", "short", "none", "device"))


async def test_commands_for_strangers_and_the_dead_are_ignored(line, far_end, tone):
    for call_id in ("nobody", "c"):
        for command in (
            engine.Hangup(call_id),
            engine.Play(call_id, "p", "/x"),
            engine.StopPlay(call_id, "p"),
            engine.Bridge(call_id, "z"),
        ):
            line.pool.submit(command)
        if call_id == "nobody":
            line.dial("c", far_end.uri("486"))
            await line.got(engine.CallDisconnected, "c")
    line.dial("d", far_end.uri("ok"))
    await line.got(engine.CallConfirmed, "d")


async def test_a_place_that_still_lingers_in_pjsip_delays_the_next_dial(line, far_end):
    line.pool.reserve("g", line.pool.leg_capacity)
    for number in range(line.pool.leg_capacity):
        line.dial(f"c{number}", far_end.uri("late"), "g")
    await far_end.saw("late", "INVITE", line.pool.leg_capacity)
    for number in range(line.pool.leg_capacity):
        line.hang_up(f"c{number}")
        await line.got(engine.CallDisconnected, f"c{number}")
    line.dial("next", far_end.uri("ok"), "g")
    await line.got(engine.CallConfirmed, "next")


async def test_dials_beyond_the_reservation_end_at_once(line, far_end):
    line.pool.reserve("g", 1)
    line.dial("c", far_end.uri("ring"), "g")
    line.dial("d", far_end.uri("ring"), "g")
    over = await line.got(engine.CallDisconnected, "d")
    assert (over.sip_code, over.remote, over.error) == (0, True, "its group has no place")


async def test_no_leg_beyond_max_legs(open_line):
    line = await open_line(max_legs=5)
    line.pool.reserve("g", 4)
    with pytest.raises(CapacityError, match="4 of 5"):
        line.pool.reserve("h", 2)
    line.pool.reserve("i", 1)
    line.pool.release("g")
    line.pool.release("g")
    assert line.pool.legs_in_use == 1


async def test_forty_refused_calls_in_a_burst_do_not_abort_pjsip(open_line, far_end):
    line = await open_line(max_legs=200)
    pid = line.pool.workers()[0].pid
    for number in range(40):
        line.pool.reserve(f"g{number}", 1)
        line.pool.release(f"g{number}")
        line.dial(f"c{number}", far_end.uri("486"))
    for number in range(40):
        assert (await line.got(engine.CallDisconnected, f"c{number}")).sip_code == 486
    assert line.pool.workers()[0].pid == pid


async def test_forty_calls_one_after_the_other_in_one_group(line, far_end):
    line.pool.reserve("g", 1)
    pid = line.pool.workers()[0].pid
    for number in range(40):
        line.dial(f"c{number}", far_end.uri("486"), "g")
        await line.got(engine.CallDisconnected, f"c{number}")
    assert [worker.pid for worker in line.pool.workers()] == [pid]


async def test_tcp_refused_connection_is_a_disconnect(line):
    line.dial("c", "sip:x@127.0.0.1:1;transport=tcp")
    over = await line.got(engine.CallDisconnected, "c")
    assert (over.sip_code, over.remote) == (503, True)  # the front door's answer
    assert "refused" in over.sip_phrase


async def test_close_says_bye_and_ends_every_leg(open_line, far_end):
    line = await open_line()
    line.dial("a", far_end.uri("ok"))
    line.dial("r", far_end.uri("ring"))
    await line.got(engine.CallConfirmed, "a")
    await line.got(engine.CallProvisional, "r")
    closing = asyncio.create_task(line.pool.close(3))
    await far_end.saw("ok", "BYE")
    await far_end.saw("ring", "CANCEL")
    await closing
    assert [len(line.of(engine.CallDisconnected, call_id)) for call_id in ("a", "r")] == [1, 1]
    assert line.pool.legs_in_use == 0
    await line.pool.close(3)


async def test_a_host_name_is_looked_up_outside_of_pjsip(line, far_end, tone):
    line.dial("c", f"sip:ok@localhost:{far_end.port}")
    line.pool.submit(engine.Play("c", "p", tone(0.1)))
    await line.got(engine.PlaybackFinished, "c")
    assert far_end.texts[0].startswith(f"INVITE sip:ok@localhost:{far_end.port} SIP/2.0")
    assert "\nRoute:" not in far_end.texts[0]


async def test_a_host_that_does_not_exist(line, far_end):
    line.dial("c", "sip:ok@nowhere.invalid")
    line.dial("d", "sip:ok@nowhere.invalid")
    line.hang_up("d")
    over = await line.got(engine.CallDisconnected, "c", timeout_s=20)
    assert "cannot resolve nowhere.invalid" in over.error
    assert [event.remote for event in line.of(engine.CallDisconnected, "d")] == [False]
    assert line.pool.legs_in_use == 0


async def test_a_worker_that_has_slept_plays_again(line, far_end, tone):
    """The clock of the bridge stops two seconds after the last leg."""
    (worker,) = line.pool.workers()
    for number in range(2):
        await line.until(lambda: "clock" not in threads(worker.pid))
        line.dial(f"c{number}", far_end.uri("ok"))
        line.pool.submit(engine.Play(f"c{number}", "p", tone(0.1)))
        await line.got(engine.PlaybackFinished, f"c{number}")
        assert "clock" in threads(worker.pid)
        line.hang_up(f"c{number}")
        await line.got(engine.CallDisconnected, f"c{number}")


def threads(pid: int) -> list[str]:
    return [path.read_text().strip() for path in Path(f"/proc/{pid}/task").glob("*/comm")]


async def test_hundreds_of_calls_leave_nothing_in_the_worker(line, far_end, tone):
    """Descriptors come back to where they were; memory stops growing."""
    line.pool.reserve("g", 1)
    (worker,) = line.pool.workers()
    path, early_kb, late_kb = tone(0.04), [], []
    for number in range(240):
        line.dial(f"c{number}", far_end.uri("ok"), "g")
        line.pool.submit(engine.Play(f"c{number}", "p", path))
        await line.got(engine.PlaybackFinished, f"c{number}")
        line.hang_up(f"c{number}")
        await line.got(engine.CallDisconnected, f"c{number}")
        if 100 <= number < 120 or number >= 220:
            (early_kb if number < 120 else late_kb).append(private_kb(worker.pid))
        line.events.clear()
    assert [w.pid for w in line.pool.workers()] == [worker.pid]
    assert median(late_kb) - median(early_kb) < 500  # single samples are off by what the kernel has reclaimed
    await line.until(lambda: descriptors(worker.pid) <= IDLE_DESCRIPTORS)


IDLE_DESCRIPTORS = 16
