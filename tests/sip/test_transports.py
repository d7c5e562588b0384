"""Calls out over UDP, TCP and TLS, and large requests, which leave UDP (RFC 3261 §18.1.1)."""

from __future__ import annotations

import contextlib

import pytest

from sipcore import Play
from sipcore.testing.tls_tunnel import TlsTunnel

from .listening import assert_ended, assert_heard, write_burst
from .outside import assert_followed, assert_no_worker_shows

BIG = {"X-Filler": "a" * 400, "X-Filling": "b" * 400, "X-Filled": "c" * 400}
"""Three headers that make an INVITE larger than 1,300 bytes."""


def test_a_call_out_over_each_transport(outside, open_switch, ear, tmp_path):
    """No worker shows. Behind TLS this SIPp names its TCP port in its Contact, and BYE goes there."""
    prompt = write_burst(tmp_path / "prompt.wav", 0.5)
    scheme = "udp" if outside.transport == "udp" else "tcp"
    with contextlib.ExitStack() as stack:
        uas = stack.enter_context(outside.sipp.uas("uas-200-expect-bye.xml", keys={"rtp_port": ear.port}, transport=scheme))
        address = uas.address
        if outside.transport == "tls":
            tunnel = stack.enter_context(TlsTunnel(("127.0.0.1", uas.port), tls_from_clients=outside.certificates.for_server()))
            address = f"127.0.0.1:{tunnel.port}"
        trunk = {"name": "carrier", "addresses": [address], "transport": outside.transport}
        switch = stack.enter_context(open_switch(trunks=[trunk], **outside.settings))
        call = switch.calls.create(destination="tel:+821021656521", actions=[Play(["prompt.wav"])])
        record = call.wait(10)
        result = uas.wait(5)
        sent = {(message.remote, message.transport) for message in switch.calls.trace(call.id)}
        assert_no_worker_shows(result, switch, uas.port, int(address.rpartition(":")[2]))
    assert_followed(result)
    assert_ended(record, "local", "normal", 200, "OK")
    assert_heard(ear, prompt)
    (invite,) = result.received("INVITE")
    assert invite.header("Via").startswith(f"SIP/2.0/{outside.transport.upper()} ")
    assert (address, outside.transport) in sent


@pytest.mark.parametrize(("transport", "arrives"), [("auto", "TCP"), ("udp", "UDP")])
def test_a_large_request(sipp, open_switch, ear, transport, arrives):
    """Over TCP where the trunk lets us choose, with UDP's port; over UDP where it does not."""
    with (
        sipp.uas("uas-200-expect-bye.xml", keys={"rtp_port": ear.port}, transport=arrives.lower()) as uas,
        open_switch(trunks=[{"name": "carrier", "addresses": [uas.address], "transport": transport, "headers": BIG}]) as switch,
    ):
        record = switch.calls.create(destination="tel:+821021656521").wait(10)
        result = uas.wait(5)
        assert_no_worker_shows(result, switch, uas.port)
    assert_followed(result)
    (invite,) = result.received("INVITE")
    assert len(invite.text) > 1300
    assert invite.header("Via").startswith(f"SIP/2.0/{arrives} ")
    assert_ended(record, "local", "normal", 200, "OK")


def test_a_small_request_stays_with_udp(sipp, open_switch, ear):
    with (
        sipp.uas("uas-200-expect-bye.xml", keys={"rtp_port": ear.port}) as uas,
        open_switch(trunks=[{"name": "carrier", "addresses": [uas.address]}]) as switch,
    ):
        switch.calls.create(destination="tel:+821021656521").wait(10)
        (invite,) = uas.wait(5).received("INVITE")
    assert invite.header("Via").startswith("SIP/2.0/UDP ")
