"""`async with switch.dial(...)` with real workers: what the far end sees of the ways into and out of the block."""

from __future__ import annotations

import asyncio

import pytest

from sipcore import AsyncSwitch, CallFailed
from sipcore.testing.phone import Phone


async def test_ways_in_and_out(switch_settings):
    with Phone(name="bob") as phone:
        async with AsyncSwitch(**switch_settings) as switch:
            async with switch.dial(phone.uri, ring_timeout_s=10) as call:
                answered = phone.last_call
                await call.beep(duration_ms=100)
            await asyncio.to_thread(answered.wait_ended, 5)
            assert answered.methods_received()[-1] == "BYE"
            assert str(call.record.hangup_reason) == "normal"

            phone.reject(486)
            with pytest.raises(CallFailed) as failed:
                async with switch.dial(phone.uri):
                    pytest.fail("entered")
            assert (failed.value.reason, failed.value.sip_code) == ("busy", 486)

            phone.reset()
            phone.ring_forever()
            with pytest.raises(CallFailed) as failed:
                async with switch.dial(phone.uri, ring_timeout_s=0.3):
                    pytest.fail("entered")
            assert failed.value.reason == "dialout"

            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5), switch.dial(phone.uri):
                    pytest.fail("entered")
            await asyncio.to_thread(phone.last_call.wait_ended, 5)
            assert "CANCEL" in phone.last_call.methods_received()
            assert phone.last_call.codes_sent()[-1] == 487
