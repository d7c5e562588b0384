"""Digits to and from a far end, through a real worker: what arrives at the wire."""

from __future__ import annotations

import pytest

from sipcore import engine


def pressed(far_end) -> list[tuple[int, int]]:
    """The telephone events that arrived: (event, duration in ms), one for each press."""
    presses: dict[tuple[int, int], int] = {}
    for timestamp, event, duration in far_end.rtp.events:
        presses[timestamp, event] = max(presses.get((timestamp, event), 0), duration)
    return [(event, duration // 8) for (_, event), duration in presses.items()]


async def call(line, far_end, call_id="c"):
    line.dial(call_id, far_end.uri("ok"))
    await line.got(engine.CallConfirmed, call_id)
    await line.got(engine.MediaStarted, call_id)
    await far_end.rtp.arrived()


async def test_digits_are_sent_one_by_one(line, far_end):
    await call(line, far_end)
    line.pool.submit(engine.SendDigits("c", "s", "12#*AD", 100, 60))
    sent = await line.got(engine.DigitsSent, "c")
    assert (sent.send_id, sent.error) == ("s", "")
    got = pressed(far_end)
    assert [event for event, _ in got] == [1, 2, 11, 10, 12, 15]
    assert all(90 <= duration_ms <= 140 for _, duration_ms in got), got


async def test_digits_are_sent_as_info(line, far_end):
    await call(line, far_end)
    line.pool.submit(engine.SendDigits("c", "s", "1#", 250, 0, "info"))
    assert (await line.got(engine.DigitsSent, "c")).error == ""
    await far_end.saw("ok", "INFO", 2)
    bodies = [text.partition("\r\n\r\n")[2] for text in far_end.texts if text.startswith("INFO")]
    assert [body.split() for body in bodies] == [["Signal=1", "Duration=250"], ["Signal=#", "Duration=250"]]
    assert not far_end.rtp.events


async def digits(line, count, call_id="c") -> str:
    """The first so many digits that come."""
    await line.got(engine.DtmfReceived, call_id, count=count)
    return "".join(event.digit for event in line.of(engine.DtmfReceived, call_id))


@pytest.mark.parametrize("has_marker", [True, False])
async def test_events_with_and_without_marker(line, far_end, has_marker):
    await call(line, far_end)
    for event in (1, 1, 2, 10, 11, 15):
        far_end.rtp.press(event, has_marker=has_marker)
    assert await digits(line, 6) == "112*#D"


@pytest.mark.parametrize("lost", [(0,), (0, 1), (3, 4, 5), (5,), (1, 2)])
async def test_events_that_are_lost_in_part(line, far_end, lost):
    await call(line, far_end)
    for event in (7, 7, 8):
        far_end.rtp.press(event, lost=lost)
    assert await digits(line, 3) == "778"


async def test_a_flash_is_no_digit(line, far_end):
    await call(line, far_end)
    for event in (1, 16, 2):
        far_end.rtp.press(event)
    assert await digits(line, 2) == "12"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/dtmf-relay", "Signal=#\r\nDuration=160\r\n"),
        ("application/dtmf-relay", "Signal= #\r\nDuration= 160\r\n"),
        ("application/dtmf-relay", "Signal=11\r\nDuration=160\r\n"),
        ("application/dtmf", "#"),
        ("application/dtmf", "11\r\n"),
    ],
)
async def test_info(line, far_end, kind, body):
    await call(line, far_end)
    far_end.info("ok", kind, body)
    assert await digits(line, 1) == "#"
    await line.until(lambda: bool(far_end.answers))
    assert far_end.answers[0].startswith("SIP/2.0 200")


async def test_one_press_by_two_ways_is_one_digit(line, far_end):
    await call(line, far_end)
    for event in (5, 5, 6):
        far_end.rtp.press(event)
        far_end.info("ok", "application/dtmf-relay", f"Signal={event}\r\nDuration=160\r\n")
        count = len(far_end.answers) + 1
        await line.until(lambda count=count: len(far_end.answers) >= count)
    far_end.rtp.press(9)
    assert (await digits(line, 4))[-1] == "9"
    assert await digits(line, 4) == "5569"


async def test_a_flood_of_a_thousand_presses(line, far_end):
    """Some of the packets are lost in the sockets; the worker and the call are not."""
    await call(line, far_end)
    for number in range(1000):
        far_end.rtp.press(number % 10)
    far_end.rtp.press(11)
    await line.got(engine.DtmfReceived, "c", count=100)
    line.hang_up("c")
    assert (await line.got(engine.CallDisconnected, "c")).error == ""
    assert len(line.of(engine.DtmfReceived, "c")) <= 1001


async def test_a_far_end_without_telephone_event(line, far_end):
    far_end.takes_events = False
    await call(line, far_end)
    line.pool.submit(engine.SendDigits("c", "s", "1"))
    assert (await line.got(engine.DigitsSent, "c")).error == engine.NO_TELEPHONE_EVENT


async def test_info_that_is_refused(line, far_end):
    far_end.info_answer = "415 Unsupported Media Type"
    await call(line, far_end)
    line.pool.submit(engine.SendDigits("c", "s", "123", 200, 300, "info"))
    assert await line.got(engine.DigitsSent, "c") == engine.DigitsSent("c", "s", "415 Unsupported Media Type")
    assert far_end.methods("ok").count("INFO") == 1


async def test_digits_are_replaced_and_stopped(line, far_end):
    await call(line, far_end)
    line.pool.submit(engine.SendDigits("c", "first", "1" * 100, 100, 50))
    line.pool.submit(engine.SendDigits("c", "second", "22", 100, 0))
    assert await line.got(engine.DigitsSent, "c") == engine.DigitsSent("c", "first", "replaced")
    assert await line.got(engine.DigitsSent, "c", count=2) == engine.DigitsSent("c", "second")
    line.pool.submit(engine.SendDigits("c", "third", "3" * 100, 100, 50))
    line.pool.submit(engine.StopDigits("c", "second"))
    line.pool.submit(engine.StopDigits("c", "third"))
    line.pool.submit(engine.SendDigits("c", "fourth", "4", 100, 50))
    assert await line.got(engine.DigitsSent, "c", count=3) == engine.DigitsSent("c", "fourth")


async def test_more_digits_than_its_queue_holds(line, far_end):
    """PJSIP's own queue holds 32."""
    await call(line, far_end)
    line.pool.submit(engine.SendDigits("c", "s", "0123456789" * 4, 60, 0))
    assert (await line.got(engine.DigitsSent, "c", timeout_s=40)).error == ""
    assert "".join(str(event) for event, _ in pressed(far_end)) == "0123456789" * 4
