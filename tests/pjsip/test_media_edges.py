"""RTP that stops, moves, comes in odd frames or encrypted."""

from __future__ import annotations

import asyncio
import re
import struct

import pytest
from scripted_far_end import RtpPort
from scripted_peer import media_port
from test_inbound import answered

from sipcore import engine, wire

KEY = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj"


class Speaker:
    """Sends G.711 in real time until it is stopped."""

    def __init__(self, rtp: RtpPort, port: int, ptime_ms: int = 20, payload_type: int = 0) -> None:
        self._task = asyncio.create_task(self._send(rtp, port, ptime_ms, payload_type))

    @staticmethod
    async def _send(rtp: RtpPort, port: int, ptime_ms: int, payload_type: int) -> None:
        for sequence in range(10_000):
            head = struct.pack("!BBHII", 0x80, payload_type, sequence, sequence * ptime_ms * 8, 7)
            rtp.transport.sendto(head + b"\xd5" * (ptime_ms * 8), ("127.0.0.1", port))
            await asyncio.sleep(ptime_ms / 1000)

    def stop(self) -> None:
        self._task.cancel()


async def test_silence_is_told_once(open_bench, peer):
    bench = await open_bench(rtp_timeout_s=1.0)
    ok = await answered(bench, peer)
    speaker = Speaker(peer.rtp, media_port(ok))
    await peer.rtp.arrived(120)  # 2.4 s
    assert not bench.of(engine.RtpSilent)
    speaker.stop()
    event = await bench.got(engine.RtpSilent)
    assert 1.0 <= event.silent_s < 3.5
    await peer.rtp.arrived(120)
    assert len(bench.of(engine.RtpSilent)) == 1
    assert not bench.of(engine.RtpSourceChanged)


async def test_no_rtp_at_all_is_silence_too(open_bench, peer):
    bench = await open_bench(rtp_timeout_s=1.0)
    await answered(bench, peer)
    assert (await bench.got(engine.RtpSilent)).silent_s >= 1.0


async def test_nobody_need_speak_on_hold(open_bench, peer):
    bench = await open_bench(rtp_timeout_s=1.0)
    await answered(bench, peer, peer.sdp("0", "a=sendonly"))
    await bench.until(lambda: bool(bench.of(engine.HoldChanged)))
    with pytest.raises(TimeoutError):
        await bench.got(engine.RtpSilent, timeout_s=3.5)


async def test_another_source_is_told_within_a_second(bench, peer, other_rtp):
    ok = await answered(bench, peer)
    speaker = Speaker(peer.rtp, media_port(ok))
    await peer.rtp.arrived(60)
    assert not bench.of(engine.RtpSourceChanged)
    speaker.stop()
    speaker = Speaker(other_rtp, media_port(ok))
    event = await bench.got(engine.RtpSourceChanged, timeout_s=4)
    assert (event.expected, event.actual) == (f"127.0.0.1:{peer.rtp.port}", f"127.0.0.1:{other_rtp.port}")
    speaker.stop()


async def test_a_first_packet_from_elsewhere_is_told(bench, peer, other_rtp):
    ok = await answered(bench, peer)
    speaker = Speaker(other_rtp, media_port(ok))
    event = await bench.got(engine.RtpSourceChanged)
    assert (event.expected, event.actual) == (f"127.0.0.1:{peer.rtp.port}", f"127.0.0.1:{other_rtp.port}")
    speaker.stop()


async def test_a_private_address_in_sdp_is_nat(bench, peer, other_rtp):
    ok = await answered(bench, peer, peer.sdp(host="10.255.255.1"))
    speaker = Speaker(other_rtp, media_port(ok))
    await other_rtp.arrived(60)  # symmetric RTP: we send to where it comes from
    assert not bench.of(engine.RtpSourceChanged)
    speaker.stop()


@pytest.mark.parametrize("ptime_ms", [10, 20, 30, 40])
async def test_frames_of_the_far_end(bench, peer, tone, ptime_ms):
    ok = await answered(bench, peer, peer.sdp("0 13", f"a=ptime:{ptime_ms}"))
    speaker = Speaker(peer.rtp, media_port(ok), ptime_ms)
    bench.send(engine.Play("c", "p", tone(0.5)))
    await bench.got(engine.PlaybackFinished)
    await peer.rtp.arrived(3)
    sizes = {len(payload) for payload in peer.rtp.payloads}
    assert sizes == {ptime_ms * 8}
    speaker.stop()
    bench.send(engine.Hangup("c"))
    over = await bench.got(engine.CallDisconnected)
    assert over.statistics.rx_packets > 5
    assert over.statistics.rx_lost == 0


async def test_comfort_noise_is_survived(bench, peer):
    ok = await answered(bench, peer, peer.sdp("0 13"))
    for sequence in range(5):
        packet = struct.pack("!BBHII", 0x80, 13, sequence, sequence * 160, 7) + b"\x40"
        peer.rtp.transport.sendto(packet, ("127.0.0.1", media_port(ok)))
    await peer.rtp.arrived(10)
    bench.send(engine.Hangup("c"))
    await bench.got(engine.CallDisconnected)


# ------------------------------------------------------------------------------------------------------------ SRTP


@pytest.mark.parametrize(("srtp", "profile"), [("off", "RTP/AVP"), ("optional", "RTP/AVP"), ("required", "RTP/SAVP")])
async def test_what_we_offer(open_bench, peer, srtp, profile):
    bench = await open_bench(srtp=True)
    bench.send(engine.Dial("c", "c", peer.uri(), "<sip:me@example.org>", engine.Account(srtp=srtp)))
    invite = await peer.got("INVITE")
    assert f" {profile} " in invite
    assert ("a=crypto:" in invite) is (srtp != "off")
    answer = peer.sdp("0", *([KEY] if srtp != "off" else []), profile=profile)
    peer.answer(invite, "200 OK", answer)
    await peer.got("ACK")
    await bench.got(engine.MediaStarted)
    await peer.rtp.arrived(5)
    sizes = {len(payload) for payload in peer.rtp.payloads}
    assert sizes == {160 if srtp == "off" else 170}  # 80 bits of authentication


async def test_a_plain_answer_to_required_keys_ends_the_call(open_bench, peer):
    bench = await open_bench(srtp=True)
    bench.send(engine.Dial("c", "c", peer.uri(), "<sip:me@example.org>", engine.Account(srtp="required")))
    invite = await peer.got("INVITE")
    peer.answer(invite, "200 OK", peer.sdp("0"))
    await peer.got("ACK")
    peer.answer(await peer.got("BYE"), "200 OK")
    await bench.got(engine.CallDisconnected)
    assert not peer.rtp.payloads


@pytest.mark.parametrize(
    ("srtp", "profile", "keys", "code"),
    [
        ("off", "RTP/AVP", False, 200),
        ("off", "RTP/SAVP", True, 488),
        ("optional", "RTP/AVP", False, 200),
        ("optional", "RTP/SAVP", True, 200),
        ("required", "RTP/SAVP", True, 200),
        ("required", "RTP/AVP", False, 488),
    ],
)
async def test_what_a_caller_offers(open_bench, peer, srtp, profile, keys, code):
    bench = await open_bench(srtp=True)
    bench.send(wire.ExpectCall("c", "c", srtp=srtp), engine.Answer("c"))
    peer.invite(bench.sip_port, "c", peer.sdp("0", *([KEY] if keys else []), profile=profile))
    response = await peer.got(f"SIP/2.0 {code}")
    peer.ack(response)
    if code == 488:
        await bench.got(engine.CallDisconnected)
        return
    assert bool(re.search(r"(?m)^a=crypto:1 AES_CM_128", response)) is keys
    await bench.got(engine.CallConfirmed)
    await peer.rtp.arrived(5)
    assert {len(payload) for payload in peer.rtp.payloads} == {170 if keys else 160}


async def test_keys_stay_through_a_hold(open_bench, peer):
    bench = await open_bench(srtp=True)
    bench.send(wire.ExpectCall("c", "c", srtp="required"), engine.Answer("c"))
    peer.invite(bench.sip_port, "c", peer.sdp("0", KEY, profile="RTP/SAVP"))
    peer.ack(await peer.got("SIP/2.0 200"))
    await bench.got(engine.CallConfirmed)
    bench.send(engine.Hold("c"))
    invite = await peer.got("INVITE")
    assert " RTP/SAVP " in invite
    assert "a=crypto:1 AES_CM_128_HMAC_SHA1_80" in invite
    peer.answer(invite, "200 OK", peer.sdp("0", KEY, "a=recvonly", profile="RTP/SAVP", version=2))
    await peer.got("ACK")
    peer.rtp.payloads.clear()
    await peer.rtp.arrived(3)
    assert {len(payload) for payload in peer.rtp.payloads} == {170}
