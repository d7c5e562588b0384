"""A conference of 30 legs over 8 workers: every leg hears every other leg's tone, and not its own."""

from __future__ import annotations

import asyncio
import contextlib

import numpy as np

from sipcore import AsyncSwitch, ConferenceJoin
from sipcore.testing.phone import Phone

LEGS = 30
WORKERS = 8
RATE_HZ = 8000
HEARD_DBFS, SILENT_DBFS = -50.0, -60.0
TRIES = 10


def tone_of(number):
    """Whole cycles in 20 ms: a frame that is left out on a busy machine does not break them."""
    return 350.0 + 100 * number


def levels(heard):
    """By number of a leg, how loud its tone is in one second: bins of 1 Hz, of one FFT."""
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(RATE_HZ))) / (RATE_HZ / 4) / 32768
    return [20 * np.log10(max(spectrum[round(tone_of(number))], 1e-9)) for number in range(LEGS)]


async def test_thirty_legs(tmp_path):
    options = {"sip_address": "127.0.0.1:0", "cache_dir": tmp_path / "cache", "rtp_ports": (16384, 19999), "max_legs": 4 * WORKERS}
    with contextlib.ExitStack() as stack:
        phones = [stack.enter_context(Phone(f"p{number}")) for number in range(LEGS)]
        for number, phone in enumerate(phones):
            phone.tone(tone_of(number), level_dbfs=-38.0)
        async with AsyncSwitch(**options) as switch:
            join = ConferenceJoin("all", entry_tone=False, exit_tone=False)
            calls = [switch.calls.create(destination=phone.uri, actions=[join]) for phone in phones]
            async with asyncio.timeout(60):
                while [call.record.status for call in calls] != ["progressing"] * LEGS:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            assert len([view for view in switch.engine.workers() if view.legs]) >= WORKERS
            deaf = set(range(LEGS))
            for _ in range(TRIES):
                await asyncio.sleep(2)
                deaf -= {number for number in deaf if hears_all_others(number, levels(phones[number].last_call.heard()[-RATE_HZ:]))}
                if not deaf:
                    break
            assert not deaf, {number: [round(level) for level in levels(phones[number].last_call.heard()[-RATE_HZ:])] for number in deaf}
            assert len((await switch.conferences.get("all")).members) == LEGS


def hears_all_others(number, found):
    own = found.pop(number)
    return own < SILENT_DBFS and min(found) > HEARD_DBFS
