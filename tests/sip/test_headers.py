"""What stands in our INVITE."""

from __future__ import annotations

import re

import pytest

from sipcore import Address, Connect

ANSWER = "uas-200-expect-bye.xml"
SOURCE, DESTINATION = "tel:+821028286521", "tel:+821021656521"


def invite_of(sipp, open_switch, ear, *, destination=DESTINATION, source=SOURCE, **settings):
    """The INVITE of a call through a trunk, and the trunk's address."""
    with sipp.uas(ANSWER, keys={"rtp_port": ear.port}) as uas, open_switch(trunk=uas.trunk, **settings) as switch:
        where = destination if isinstance(destination, str | Address) else destination(uas)
        switch.calls.create(destination=where, source=source).wait(timeout_s=10)
        result = uas.wait(timeout_s=5)
    assert result.failed == 0
    (invite,) = result.received("INVITE")
    return invite, uas.address


def test_a_number_goes_to_the_trunk(sipp, open_switch, ear):
    invite, trunk = invite_of(sipp, open_switch, ear)
    host = trunk.partition(":")[0]
    assert invite.first_line == f"INVITE sip:+821021656521@{trunk} SIP/2.0"
    assert bare(invite.header("To")) == f"<sip:+821021656521@{host}>"
    assert bare(invite.header("From")) == f"<sip:+821028286521@{host}>"
    assert re.search(r";tag=[^;]+$", invite.header("From"))
    assert invite.header("User-Agent") == "sipcore"
    assert invite.header("P-Asserted-Identity") == ""
    assert invite.header("Max-Forwards") == "70"
    assert re.fullmatch(r"<sip:[^>]*127\.0\.0\.1:\d+[^>]*>", invite.header("Contact"))
    assert invite.header("Content-Type").lower() == "application/sdp"


def test_what_is_offered(sipp, open_switch, ear, rtp_ports):
    """G.711 both ways and telephone-event; no codec that is not on."""
    invite, _ = invite_of(sipp, open_switch, ear)
    (media,) = re.findall(r"^m=audio (\d+) RTP/AVP ([\d ]+)", invite.body, re.MULTILINE)
    assert rtp_ports[0] <= int(media[0]) <= rtp_ports[1]
    assert int(media[0]) % 2 == 0
    names = re.findall(r"^a=rtpmap:\d+ ([^\s/]+)", invite.body, re.MULTILINE)
    assert names == ["PCMU", "PCMA", "telephone-event"]
    assert "c=IN IP4 127.0.0.1" in invite.body


def test_a_configured_identity(sipp, open_switch, ear):
    settings = {"p_asserted_identity": True, "from_domain": "office.example", "user_agent": "Reception/1.0"}
    invite, _ = invite_of(sipp, open_switch, ear, source=Address("tel", "+821028286521", "Front Desk"), **settings)
    assert bare(invite.header("From")) == '"Front Desk" <sip:+821028286521@office.example>'
    assert invite.headers("P-Asserted-Identity") == ["<sip:+821028286521@office.example>"]
    assert invite.header("User-Agent") == "Reception/1.0"


def test_the_caller_id_of_the_switch(sipp, open_switch, ear):
    invite, _ = invite_of(sipp, open_switch, ear, source=None, caller_id="tel:+82234567890")
    assert bare(invite.header("From")) == "<sip:+82234567890@127.0.0.1>"


def test_a_display_name_is_quoted(sipp, open_switch, ear):
    invite, _ = invite_of(sipp, open_switch, ear, source=Address("tel", "+821028286521", 'A "quoted" \\ <name>'))
    assert bare(invite.header("From")) == '"A \\"quoted\\" \\\\ <name>" <sip:+821028286521@127.0.0.1>'


def test_a_direct_target(sipp, open_switch, ear):
    invite, there = invite_of(sipp, open_switch, ear, destination=lambda uas: f"sip:alice@{uas.address}", source="sip:bob@example.org")
    assert invite.first_line == f"INVITE sip:alice@{there} SIP/2.0"
    assert bare(invite.header("From")) == "<sip:bob@example.org>"


def test_a_host_name_is_resolved(sipp, open_switch, ear):
    """The name stays in the request URI, the request goes to its address."""
    with sipp.uas(ANSWER, keys={"rtp_port": ear.port}) as uas, open_switch(trunk=f"sip:localhost:{uas.port}") as switch:
        record = switch.calls.create(destination=DESTINATION).wait(timeout_s=10)
        result = uas.wait(timeout_s=5)
    assert result.failed == 0
    assert record.sip_code == 200
    assert result.received("INVITE")[0].first_line == f"INVITE sip:+821021656521@localhost:{uas.port} SIP/2.0"


@pytest.mark.parametrize(("own", "expected"), [("tel:+827011112222", "+827011112222"), (None, "+821028286521")])
def test_the_caller_id_of_connect_legs(sipp, open_switch, ear, own, expected):
    """`source` of the connect, the call's own source without one."""
    with (
        sipp.uas("uas-refuse-expect-ack.xml", keys={"status": "SIP/2.0 486 Busy Here", "header": "X-Nothing: 1"}) as b,
        sipp.uas(ANSWER, keys={"rtp_port": ear.port}) as a,
        open_switch() as switch,
    ):
        connect = Connect([b.uri], source=own) if own else Connect([b.uri])
        call = switch.calls.create(destination=a.uri, source=SOURCE, actions=[connect])
        call.wait(timeout_s=10)
        result = b.wait(timeout_s=5)
        assert (a.wait(timeout_s=5).failed, result.failed) == (0, 0)
        leg = switch.calls.get(call.record.chained_call_ids[0])
    assert bare(result.received("INVITE")[0].header("From")) == f"<sip:{expected}@127.0.0.1>"
    assert leg.source.target == expected


def bare(value: str) -> str:
    """Without the tag, and without the port of a host that is not compared."""
    return value.partition(";tag=")[0]
