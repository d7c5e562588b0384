"""RTP out of network captures."""

import io
import struct

import numpy as np
import pytest
import soundfile
from G722 import G722
from speech import sentences, to_int16

from sipcore.testing import assert_digits, assert_heard, assert_no_gaps, assert_tone, capture_of, g711, quality
from sipcore.testing.phone.rtp import format_packet

SDP = b"INVITE sip:a SIP/2.0\r\n\r\nv=0\r\na=rtpmap:101 telephone-event/8000\r\na=rtpmap:96 GSM/8000\r\na=rtpmap:97 opus/48000/2\r\n"


def udp4(payload, source=5000, target=6000):
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + len(payload), 0, 0, 64, 17, 0, b"\x7f\0\0\1", b"\x7f\0\0\2")
    return header + struct.pack("!HHHH", source, target, 8 + len(payload), 0) + payload


def udp6(payload):
    return struct.pack("!IHBB16s16s", 6 << 28, 8 + len(payload), 17, 64, bytes(16), bytes(16)) + udp4(payload)[20:]


def stream(payloads, payload_type=0, ssrc=1, **more):
    """Time and datagram of each packet; what is `None` was lost."""
    packets = [None if p is None else format_packet(payload_type, n, n * 160, ssrc, p, marker=False) for n, p in enumerate(payloads)]
    return [(n * 0.02, packet) for n, packet in enumerate(packets) if packet is not None]


def mu_law_frames(wave):
    data = g711.encode_mu_law(to_int16(wave))
    return [data[at : at + 160] for at in range(0, len(data) - 159, 160)]


def pcap(path, frames, link=101, order="<", nanoseconds=False):
    magic, ticks = (0xA1B23C4D, 10**9) if nanoseconds else (0xA1B2C3D4, 10**6)
    data = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link)
    for at_s, frame in frames:
        data += struct.pack(order + "IIII", int(at_s), round(at_s % 1 * ticks), len(frame), len(frame)) + frame
    path.write_bytes(data)
    return path


def block(kind, body):
    body += bytes(-len(body) % 4)
    return struct.pack("<II", kind, 12 + len(body)) + body + struct.pack("<I", 12 + len(body))


def pcapng(path, frames, link=1):
    data = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)) + block(1, struct.pack("<HHIHHB3x", link, 0, 0, 9, 1, 9))
    for at_s, frame in frames:
        ticks = round(at_s * 10**9)
        data += block(6, struct.pack("<IIIII", 0, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame)) + frame)
    path.write_bytes(data)
    return path


@pytest.fixture
def wave():
    return sentences()[0, "male"]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("wrap", [udp4, udp6])
def test_hears_a_pcap(tmp_path, wave, order, wrap):
    frames = [(at_s, wrap(packet)) for at_s, packet in stream(mu_law_frames(wave))]
    heard = capture_of(pcap(tmp_path / "call.pcap", frames, order=order, nanoseconds=order == ">"))
    assert_heard(heard, wave, min_correlation=0.99)
    assert_no_gaps(heard)
    assert quality(heard).mos > 4.2


def test_hears_a_pcapng_of_ethernet_with_a_gap(tmp_path, wave):
    payloads = [None if 60 <= n < 70 else frame for n, frame in enumerate(mu_law_frames(wave))]
    tagged = bytes(12) + b"\x81\x00\x00\x05\x08\x00"
    path = pcapng(tmp_path / "call.pcapng", [(at_s, tagged + udp4(packet)) for at_s, packet in stream(payloads)])
    with pytest.raises(AssertionError, match=r"a gap of 220 ms at 1\.18 s"):
        assert_no_gaps(path)
    assert quality(path).lost == 10


def test_keys_and_codecs_of_the_sdp(tmp_path, wave):
    gsm = io.BytesIO()
    soundfile.write(gsm, wave, 8000, format="RAW", subtype="GSM610")
    data = gsm.getvalue()
    audio = stream([data[at : at + 33] for at in range(0, len(data) - 32, 33)], 96)
    keys = [
        (1.0 + n / 50, format_packet(101, 5000 + n, 8000 * (1 + n // 4), 1, struct.pack("!BBH", 4 + n // 4, 10, 160), marker=False))
        for n in range(8)
    ]
    frames = sorted([(0.0, udp4(SDP, 5060, 5060)), *((at_s, udp4(packet)) for at_s, packet in audio + keys)])
    path = pcap(tmp_path / "call.pcap", frames)
    assert_digits(path, "45")
    assert assert_heard(path, wave, min_correlation=0.85).delay_s == pytest.approx(0, abs=0.005)


@pytest.mark.parametrize("lost", [0, 5])
def test_hears_g722_with_all_its_band(tmp_path, lost):
    second = np.arange(16000) / 16000  # RFC 3551 §4.5.2: 16 kHz of sound, timestamps of 8 kHz
    tones = 0.3 * np.sin(2 * np.pi * 1000 * second) + 0.2 * np.sin(2 * np.pi * 6000 * second)
    data = G722(16000, 64000).encode(to_int16(tones).tolist())
    payloads = [None if 20 <= n < 20 + lost else data[at : at + 160] for n, at in enumerate(range(0, len(data) - 159, 160))]
    heard = capture_of(pcap(tmp_path / "call.pcap", [(at_s, udp4(packet)) for at_s, packet in stream(payloads, 9)]))
    assert (heard.codec, heard.rate_hz, heard.duration_s) == ("G722", 16000, 1.0)
    assert_tone(heard, 6000, min_s=0.38 if lost else 0.9)
    assert_tone(heard, 1000, min_s=0.38 if lost else 0.9)
    if lost:
        with pytest.raises(AssertionError, match=r"a gap of 120 ms at 0\.38 s"):
            assert_no_gaps(heard)


def test_g722_and_g711_in_one_call(tmp_path, wave):
    wide = G722(8000, 64000).encode(to_int16(wave[:8000]).tolist())
    packets = stream([wide[at : at + 160] for at in range(0, len(wide), 160)], 9)
    rest = stream([None] * 50 + mu_law_frames(wave[8000:]))
    heard = capture_of(pcap(tmp_path / "call.pcap", [(at_s, udp4(packet)) for at_s, packet in packets + rest]))
    assert heard.rate_hz == 8000
    assert_heard(heard, wave, min_correlation=0.95)


def test_which_stream(tmp_path, wave):
    one, other = stream(mu_law_frames(wave)), stream(mu_law_frames(np.zeros(8000)), ssrc=2)
    path = pcap(tmp_path / "call.pcap", [(at_s, udp4(packet)) for at_s, packet in sorted(one + other)])
    with pytest.raises(ValueError, match=r"has 2 RTP streams: say which(.|\n)*stream 1: 127.0.0.1:5000 -> 127.0.0.2:6000 SSRC 00000002"):
        capture_of(path)
    assert_heard(capture_of(path, stream=0), wave)
    with pytest.raises(ValueError, match="no RTP stream 2"):
        capture_of(path, stream=2)


def test_files_that_are_none(tmp_path):
    broken = pcap(tmp_path / "broken.pcap", [(0.0, udp4(b"x"))])
    broken.write_bytes(broken.read_bytes()[:24] + struct.pack("<IIII", 0, 0, 1 << 30, 0))
    for name, data, message in (
        ("text.pcap", b"hello" * 10, "neither pcap nor pcapng"),
        ("broken.pcap", broken.read_bytes(), "broken at byte 24"),
        ("empty.pcap", pcap(tmp_path / "x.pcap", []).read_bytes(), "has no RTP stream"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match=message):
            capture_of(tmp_path / name)
    opus = pcap(tmp_path / "opus.pcap", [(0.0, udp4(SDP)), *((at_s, udp4(packet)) for at_s, packet in stream([b"x" * 80] * 9, 97))])
    with pytest.raises(ValueError, match="the codec OPUS cannot be decoded here"):
        capture_of(opus)
