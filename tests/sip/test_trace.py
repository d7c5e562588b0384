"""What the front door keeps of a real call is what the far end saw, and has no secret in it."""

from __future__ import annotations

import re
import time

from sipcore.ladder import draw_ladder

ACCOUNT = {"username": "trunk-user", "password": "correct horse"}


def test_a_challenged_call(sipp, open_switch, ear):
    keys = {"rtp_port": ear.port}
    with sipp.uas("uas-digest", keys=keys) as uas, open_switch(trunk=uas.trunk, **ACCOUNT) as switch:
        call = switch.calls.create(destination="tel:+821021656521")
        call.wait(timeout_s=10)
        result = uas.wait(timeout_s=5)
        us = switch.sip_address
        end_s = time.monotonic() + 5
        while len(messages := switch.calls.trace(call.id)) < 8 and time.monotonic() < end_s:
            time.sleep(0.01)  # the last answer is on its way through the front door
    assert result.failed == 0
    _, signed = result.received("INVITE")
    traced = [message for message in messages if message.is_sent and message.text.startswith("INVITE ")][-1]
    answer = re.search(r'response="([0-9a-f]{32})"', signed.text)[1]
    assert re.sub(r" (response|cnonce)=\"[^\"]*\"", r" \1=***", signed.text).split() == traced.text.split()
    assert answer not in "".join(message.text for message in messages)
    assert {(message.local, message.remote, message.transport) for message in messages} == {(us, f"127.0.0.1:{uas.port}", "udp")}
    steps = [re.sub(r" \(.*", "", line.partition("|")[2].strip("-<> |")) for line in draw_ladder(messages).splitlines()[1:]]
    assert [step for step in steps if step] == ["INVITE", "401 Unauthorized", "ACK", "INVITE", "200 OK", "ACK", "BYE", "200 OK"]
