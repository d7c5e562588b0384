"""The capture file: read back byte by byte, and by tshark where it is installed."""

import ipaddress
import json
import shutil
import struct
import subprocess

import pytest

from sipcore.pcap import checksum, make_pcap
from sipcore.wire import TracedMessage

pytestmark = pytest.mark.slow

INVITE = (
    "INVITE sip:bob@192.0.2.10 SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n"
    "From: <sip:a@x>;tag=1\r\n"
    "To: <sip:bob@192.0.2.10>\r\nCall-ID: abc@x\r\nCSeq: 1 INVITE\r\n"
    "Content-Type: application/sdp\r\nContent-Length: 94\r\n\r\n"
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=x\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\na=sendonly\r\n"
)
OK = (
    "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bK1\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:bob@192.0.2.10>;tag=2\r\n"
    "Call-ID: abc@x\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
)


def message(text=INVITE, *, at=1_700_000_000.25, is_sent=True, local="198.51.100.1:5060", remote="192.0.2.10:5070", transport="udp"):
    return TracedMessage(at, is_sent, transport, local, remote, text)


def packets(data):
    """`(seconds, microseconds, source, source port, target, target port, payload)` of each; every length and checksum is checked."""
    magic, major, minor, zone, _, snapshot, link = struct.unpack_from("<IHHiIII", data)
    assert (magic, major, minor, zone, link) == (0xA1B2C3D4, 2, 4, 0, 101)
    at, found = 24, []
    while at < len(data):
        seconds, microseconds, kept, size = struct.unpack_from("<IIII", data, at)
        assert kept == size <= snapshot
        found.append((seconds, microseconds, *unpacked(data[at + 16 : at + 16 + kept])))
        at += 16 + kept
    assert at == len(data)
    return found


def unpacked(packet):
    if packet[0] >> 4 == 4:
        assert (packet[0], packet[9]) == (0x45, 17)
        assert struct.unpack_from("!H", packet, 2)[0] == len(packet)
        assert checksum(packet[:20]) == 0
        source, target, udp = packet[12:16], packet[16:20], packet[20:]
    else:
        assert packet[6] == 17
        assert struct.unpack_from("!H", packet, 4)[0] == len(packet) - 40
        source, target, udp = packet[8:24], packet[24:40], packet[40:]
    source_port, target_port, size, udp_sum = struct.unpack_from("!HHHH", udp)
    assert size == len(udp)
    assert udp_sum != 0
    assert checksum(source + target + struct.pack("!HH", 17, size) + udp) == 0
    return str(ipaddress.ip_address(source)), source_port, str(ipaddress.ip_address(target)), target_port, udp[8:]


def test_the_checksum_is_that_of_the_rfc():
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF - 0xDDF2  # RFC 1071 §3
    assert checksum(b"\1") == 0xFFFF - 0x0100


def test_addresses_ports_times_and_bytes():
    ours, theirs = ("198.51.100.1", 5060), ("192.0.2.10", 5070)
    found = packets(make_pcap([message(), message(OK, at=1_700_000_001.000001, is_sent=False)]))
    assert found == [
        (1_700_000_000, 250_000, *ours, *theirs, INVITE.encode()),
        (1_700_000_001, 1, *theirs, *ours, OK.encode()),
    ]


def test_ipv6_and_mixed_families():
    assert packets(make_pcap([message(local="[2001:db8::1]:5060", remote="[fe80::2%eth0]:5061")]))[0][2:6] == (
        "2001:db8::1",
        5060,
        "fe80::2",
        5061,
    )
    assert packets(make_pcap([message(local="[::1]:5060", remote="192.0.2.10:5070")]))[0][2:6] == ("::1", 5060, "::ffff:c000:20a", 5070)


@pytest.mark.parametrize("address", ["", "nonsense", "trunk.example:5060", "192.0.2.1:99999", "192.0.2.1:x", "192.0.2.1", ":", "[::]:²"])
def test_what_is_no_address_spoils_nothing(address):
    (found,) = packets(make_pcap([message(remote=address)]))
    assert found[-1] == INVITE.encode()


@pytest.mark.parametrize("text", ["", "x", "é\ud800\0", "y" * 70_000, "😀" * 30_000])
def test_any_text_makes_a_whole_packet(text):
    for local in ("192.0.2.1:1", "[::1]:1"):
        (found,) = packets(make_pcap([message(text, local=local, remote=local)]))
        assert text.encode("utf-8", "replace").startswith(found[-1])
        assert len(found[-1]) == min(65_507, len(text.encode("utf-8", "replace")))


@pytest.mark.parametrize(("at", "expected"), [(-5.0, (0, 0)), (0.9999999, (1, 0)), (2.0**33, (0, 0))])
def test_odd_times(at, expected):
    assert packets(make_pcap([message(at=at)]))[0][:2] == expected


def test_no_messages_is_a_file_without_packets():
    assert packets(make_pcap([])) == []


@pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed: apt-get install tshark")
@pytest.mark.parametrize(
    ("local", "remote", "transport"),
    [
        ("198.51.100.1:5060", "192.0.2.10:5070", "udp"),
        ("198.51.100.1:41001", "192.0.2.10:41002", "udp"),
        ("198.51.100.1:41001", "192.0.2.10:5061", "tls"),
        ("[2001:db8::1]:5060", "[2001:db8::2]:41002", "tcp"),
    ],
)
def test_tshark_reads_it_as_sip(tmp_path, local, remote, transport):
    ends = {"local": local, "remote": remote, "transport": transport}
    (tmp_path / "call.pcap").write_bytes(make_pcap([message(**ends), message(OK, is_sent=False, at=1_700_000_000.5, **ends)]))
    read = ["tshark", "-r", str(tmp_path / "call.pcap"), "-T", "json", "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"]
    result = subprocess.run(read, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    invite, ok = (packet["_source"]["layers"] for packet in json.loads(result.stdout))
    assert invite["sip"]["sip.Request-Line"] == "INVITE sip:bob@192.0.2.10 SIP/2.0"
    assert ok["sip"]["sip.Status-Line"] == "SIP/2.0 200 OK"
    assert invite["udp"]["udp.srcport"] == ok["udp"]["udp.dstport"] == local.rpartition(":")[2]
    assert "sdp" in json.dumps(invite["sip"])
    assert [layer["udp"]["udp.checksum.status"] for layer in (invite, ok)] == ["1", "1"]
    if "ip" in invite:
        assert [layer["ip"]["ip.checksum.status"] for layer in (invite, ok)] == ["1", "1"]
    assert "_ws.malformed" not in result.stdout
