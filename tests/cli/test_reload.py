"""SIGHUP to `sipcore serve`."""

from __future__ import annotations

import asyncio
import os
import signal

from sipcore.cli.serve import _Signals
from sipcore.switch import AsyncSwitch
from sipcore.testing.fake_engine import FakeEngine


async def test_sighup_reads_the_tls_files_again_and_stops_nothing() -> None:
    reloaded = asyncio.Event()
    signals = _Signals(reloaded.set)
    signals.take()
    try:
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.wait_for(reloaded.wait(), 5)
        assert not signals.stop.is_set()
    finally:
        signals.give_back()


async def test_the_switch_tells_its_engine() -> None:
    engine, count = FakeEngine(), [0]
    engine.reload_tls = lambda: count.__setitem__(0, count[0] + 1)
    switch = AsyncSwitch(engine=engine, store=":memory:")
    switch.reload_tls()  # not open: nothing to reload
    async with switch:
        switch.reload_tls()
    assert count == [1]


async def test_an_engine_without_tls_has_nothing_to_reload() -> None:
    async with AsyncSwitch(engine=FakeEngine(), store=":memory:") as switch:
        switch.reload_tls()
