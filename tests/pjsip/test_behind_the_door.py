"""A worker whose only neighbour is a front door on loopback; the peer plays the front door."""

from __future__ import annotations

import pytest
from scripted_far_end import headers

from sipcore import engine, wire


def dial(uri: str, account: engine.Account | None = None, **more: object) -> engine.Dial:
    return engine.Dial("c", "c", uri, "<sip:me@example.org>", account or engine.Account(), **more)  # type: ignore[arg-type]


async def test_every_request_goes_to_the_door(open_bench, peer):
    bench = await open_bench(door_port=peer.port, public_address="203.0.113.9")
    bench.send(dial("sip:bob@provider.example;transport=tls"))
    invite = await peer.got("INVITE sip:bob@provider.example;transport=tls SIP/2.0")
    assert headers(invite, "Route") == [f"Route: <sip:127.0.0.1:{peer.port};lr>"]
    assert headers(invite, wire.CALL_HEADER) == [f"{wire.CALL_HEADER}: c"]
    assert headers(invite, "Contact")[0].startswith(f"Contact: <sip:sipcore@127.0.0.1:{bench.sip_port}")
    assert "Via: SIP/2.0/UDP 127.0.0.1:" in invite
    assert "c=IN IP4 203.0.113.9" in invite
    peer.answer(invite, "486 Busy")
    await peer.got("ACK")
    assert (await bench.got(engine.CallDisconnected)).sip_code == 486


async def test_a_large_request_stays_on_udp(open_bench, peer):
    bench = await open_bench(door_port=peer.port)
    account = engine.Account(route_uri=f"sip:127.0.0.1:{peer.port};lr;hop=tcp-192.0.2.1-5060")
    bench.send(dial("sip:bob@provider.example", account, headers=tuple((f"X-Large-{n}", "x" * 200) for n in range(10))))
    invite = await peer.got("INVITE")
    assert len(invite) > 2500
    assert "SIP/2.0/UDP" in headers(invite, "Via")[0]
    assert headers(invite, "Route") == [f"Route: <sip:127.0.0.1:{peer.port};lr;hop=tcp-192.0.2.1-5060>"]
    peer.answer(invite, "180 Ringing")
    await bench.got(engine.CallProvisional)


async def test_media_on_every_interface_names_the_one_towards_the_hop(open_bench, peer):
    bench = await open_bench(door_port=peer.port, media_host="0.0.0.0")
    account = engine.Account(route_uri=f"sip:127.0.0.1:{peer.port};lr;hop=udp-127.0.0.1-5060")
    bench.send(dial("sip:bob@provider.example", account))
    invite = await peer.got("INVITE")
    assert "c=IN IP4 127.0.0.1" in invite
    peer.answer(invite, "200 OK", peer.sdp())
    await peer.got("ACK")
    await peer.rtp.arrived(3)


async def test_media_address_towards_a_caller(open_bench, peer):
    bench = await open_bench(media_host="0.0.0.0")
    bench.send(wire.ExpectCall("c", "c"), engine.Answer("c"))
    peer.invite(bench.sip_port, "c", peer.sdp())
    ok = await peer.got("SIP/2.0 200")
    assert "c=IN IP4 127.0.0.1" in ok
    peer.ack(ok)
    await peer.rtp.arrived(3)


@pytest.mark.parametrize("contact", ["<sip:other@192.0.2.7:5070;transport=tcp>;q=0.5, <sip:more@192.0.2.8>", "sip:other@192.0.2.7:5070"])
async def test_a_redirection_is_told_not_followed(bench, peer, contact):
    bench.send(dial(peer.uri()))
    invite = await peer.got("INVITE")
    peer.answer(invite, "302 Moved", "", f"Contact: {contact}")
    await peer.got("ACK")
    over = await bench.got(engine.CallDisconnected)
    assert (over.sip_code, over.remote) == (302, True)
    assert over.redirect_uri in ("sip:other@192.0.2.7:5070;transport=tcp", "sip:other@192.0.2.7:5070")


async def test_codecs_of_one_call(open_bench, peer):
    bench = await open_bench(codecs=("PCMU/8000", "PCMA/8000", "G722/8000", "GSM/8000", "speex/8000"))
    bench.send(dial(peer.uri(), codecs=("G722/8000", "PCMA/8000")))
    invite = await peer.got("INVITE")
    assert "RTP/AVP 9 8 " in invite
    peer.answer(invite, "200 OK", peer.sdp("9"))
    await peer.got("ACK")
    assert (await bench.got(engine.MediaStarted)).codec == "G722/8000"
    await peer.rtp.arrived(3)


async def test_our_order_decides_for_a_caller(open_bench, peer):
    bench = await open_bench(codecs=("PCMU/8000", "PCMA/8000", "GSM/8000"))
    bench.send(wire.ExpectCall("c", "c", codecs=("GSM/8000", "PCMA/8000")), engine.Answer("c"))
    peer.invite(bench.sip_port, "c", peer.sdp("0 8 3 101", "a=rtpmap:101 telephone-event/8000"))
    ok = await peer.got("SIP/2.0 200")
    assert "RTP/AVP 3 101" in ok
    peer.ack(ok)
    assert (await bench.got(engine.MediaStarted)).codec == "GSM/8000"


async def test_a_caller_without_a_codec_of_the_call_gets_488(bench, peer):
    bench.send(wire.ExpectCall("c", "c", codecs=("PCMA/8000",)), engine.Answer("c"))
    peer.invite(bench.sip_port, "c", peer.sdp("0"))
    peer.ack(await peer.got("SIP/2.0 488"))
    over = await bench.got(engine.CallDisconnected)
    assert (over.sip_code, over.remote) == (488, True)


async def test_all_codecs_at_once_are_offered_in_our_order(open_bench, peer):
    bench = await open_bench(codecs=("speex/8000", "GSM/8000", "G722/8000", "PCMA/8000", "PCMU/8000"))
    bench.send(dial(peer.uri()))
    invite = await peer.got("INVITE")
    media = next(line for line in invite.splitlines() if line.startswith("m=audio"))
    assert media.split()[4:8] == ["3", "9", "8", "0"], media  # speex has a dynamic number
    assert "iLBC" not in invite
