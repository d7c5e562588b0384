"""The phone's RTP: what it says, what it heard, holds, presses and losses."""

import itertools
import shutil
import struct
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from raw_caller import EVENTS, RawCaller

from sipcore.testing import g711
from sipcore.testing.phone import CallState, Phone, Tone
from sipcore.testing.phone.audio import read_samples, write_samples

pytestmark = pytest.mark.sip

RATE_HZ = 8000


def chirp(seconds=0.6):
    t = np.arange(int(RATE_HZ * seconds)) / RATE_HZ
    return (9000 * np.sin(2 * np.pi * (300 * t + 900 * t**2))).astype(np.int16)


def listen(caller, seconds):
    """Receive so much audio; return the samples, and check numbering on the way."""
    packets = [caller.receive_rtp() for _ in range(int(seconds * 50))]
    for before, after in itertools.pairwise(packets):
        assert (after[2] - before[2]) % 65536 == 1
        assert (after[3] - before[3]) % 2**32 == 160
    return np.concatenate([g711.decode_mu_law(packet[4]) for packet in packets])


def strongest_hz(samples):
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return np.argmax(spectrum) * RATE_HZ / len(samples)


def test_sends_a_tone(phone, caller):
    phone.tone(1000, level_dbfs=-12)
    caller.establish()
    heard = listen(caller, 0.4)
    assert strongest_hz(heard) == pytest.approx(1000, abs=5)
    assert np.max(np.abs(heard)) == pytest.approx(32767 * 10 ** (-12 / 20), rel=0.05)


def test_plays_a_file_then_silence(phone, caller, tmp_path):
    path = tmp_path / "chirp.wav"
    write_samples(path, chirp(0.3))
    phone.play(path)
    caller.establish()
    heard = listen(caller, 0.5)
    assert np.array_equal(heard[:2400], g711.decode_mu_law(g711.encode_mu_law(chirp(0.3))))
    assert not heard[2400:].any()


def test_plays_other_formats_at_8_khz(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    t = np.arange(48000) / 48000
    stereo = np.stack([np.sin(2 * np.pi * 700 * t)] * 2, axis=1) * 0.5
    soundfile.write(tmp_path / "tone.flac", stereo, 48000)
    samples = read_samples(tmp_path / "tone.flac")
    assert len(samples) == pytest.approx(8000, abs=2)
    assert strongest_hz(samples) == pytest.approx(700, abs=2)
    (tmp_path / "no.wav").write_bytes(b"RIFF")
    with pytest.raises(ValueError, match="not a sound file"):
        read_samples(tmp_path / "no.wav")


def test_packets_do_not_drift(phone, caller):
    caller.establish()
    caller.receive_rtp()
    started = time.monotonic()
    listen(caller, 1.0)
    assert time.monotonic() - started == pytest.approx(1.0, abs=0.1)


def test_early_media_before_the_answer(phone, caller):
    phone.early_media(425)
    phone.tone(1000)
    phone.answer_after(0.5)
    caller.invite()
    progress = caller.expect(183)
    assert "m=audio" in progress.body
    assert strongest_hz(listen(caller, 0.3)) == pytest.approx(425, abs=5)
    assert phone.last_call.state is CallState.EARLY
    caller.expect(200)
    caller.ack()
    listen(caller, 0.3)  # what was still in flight
    assert strongest_hz(listen(caller, 0.3)) == pytest.approx(1000, abs=5)


def test_hears_what_was_sent(phone, caller, tmp_path):
    pytest.importorskip("media.measure")
    ok = caller.establish()
    caller.send_samples(ok, np.concatenate([np.zeros(800, np.int16), chirp()]), start=2**32 - 1000)
    call = phone.last_call
    call.wait_packets(35, timeout_s=15)
    assert len(call.heard()) == 5600
    phone.assert_heard(chirp())
    call.write_wav(tmp_path / "heard.wav")
    phone.assert_heard(tmp_path / "heard.wav", min_correlation=0.999)
    with pytest.raises(AssertionError, match="did not hear"):
        phone.assert_heard(Tone(2500).frame(0))
    with pytest.raises(AssertionError, match="did not hear"):
        phone.assert_heard(chirp(1.2))  # only the first half was sent
    with pytest.raises(AssertionError, match="heard something"):
        phone.assert_silence()
    assert call.first_rtp_at is not None
    assert call.first_audible_at >= call.first_rtp_at
    assert [packet.sequence for packet in call.packets] == list(range(1, 36))


def test_tone_and_silence(phone, caller):
    pytest.importorskip("media.measure")
    ok = caller.establish()
    with pytest.raises(AssertionError, match="no audio"):
        phone.assert_tone(1000)
    caller.send_samples(ok, np.zeros(800, np.int16))
    phone.last_call.wait_packets(5, 5)
    phone.assert_silence()
    assert phone.last_call.first_audible_at is None
    tone = np.concatenate([Tone(1000).frame(start) for start in range(0, 8000, 160)])
    caller.send_samples(ok, tone, start=800)
    phone.last_call.wait_packets(55, 5)
    phone.assert_tone(1000)
    with pytest.raises(AssertionError, match=r"440 Hz but 1000\.0 Hz"):
        phone.assert_tone(440)


def test_waits_for_a_tone(phone, caller):
    ok = caller.establish()
    call = phone.last_call
    tone = np.concatenate([Tone(1000).frame(start) for start in range(0, 6400, 160)])
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(call.wait_tone, 1000, 15, min_s=0.7)
        caller.send_samples(ok, np.zeros(800, np.int16))
        for part in range(0, 3200, 160):
            caller.send_samples(ok, tone[part : part + 160], start=800 + part)
        call.wait_packets(25, 5)
        with pytest.raises(TimeoutError, match=r"waited 0\.5 s for 1000 Hz for 0\.7 s"):
            call.wait_tone(1000, 0.5, min_s=0.7)
        assert not waiting.done()
        caller.send_samples(ok, tone[3200:], start=800 + 3200)
        waiting.result()
    call.wait_tone(1000, 5)  # which is over
    caller.finish()
    with pytest.raises(AssertionError, match=r"ended without 440 Hz for 0\.3 s"):
        call.wait_tone(440, 600)


def test_losses_and_reordering(phone, caller):
    ok = caller.establish()
    loud = g711.encode_mu_law(np.full(160, 8031, np.int16))
    for sequence in (65534, 65535, 1, 0, 1, 4):  # 1 twice and before 0; 2 and 3 lost
        caller.send_rtp(ok, loud, timestamp=(sequence + 2) % 65536 * 160, sequence=sequence)
    call = phone.last_call
    call.wait_packets(6, 5)
    assert call.lost_packets == 2
    frames = call.heard().reshape(-1, 160)
    assert [bool(frame.any()) for frame in frames] == [True, True, True, True, False, False, True]


def test_a_new_stream_follows_the_old_one(phone, caller):
    ok = caller.establish()
    caller.send_samples(ok, chirp(0.1))
    caller.send_rtp(ok, g711.encode_mu_law(chirp(0.02)), timestamp=5, ssrc=99, sequence=700)
    phone.last_call.wait_packets(6, 5)
    assert phone.last_call.lost_packets == 0
    assert len(phone.last_call.heard()) >= 960


def test_a_wait_for_audio_ends_with_the_call(phone, caller):
    caller.establish()
    call = phone.last_call
    caller.finish()
    with pytest.raises(AssertionError, match="ended with 0 of 5 RTP packets"):
        call.wait_packets(5, 30)
    with pytest.raises(AssertionError, match="ended with 0 of 1 digits"):
        call.wait_digits(1, 30)


def test_gaps(phone, caller):
    ok = caller.establish()
    call = phone.last_call
    with pytest.raises(AssertionError, match="no audio"):
        call.assert_no_gaps()
    caller.send_samples(ok, chirp(0.1))
    call.wait_packets(5, 5)
    assert call.max_gap_ms < 1000
    call.assert_no_gaps(max_ms=1000)
    with pytest.raises(AssertionError, match="had a gap"):
        call.assert_no_gaps(max_ms=0)


def test_says_when_it_was_held_up_itself(phone, caller):
    caller.establish()
    listen(caller, 0.1)
    with phone._loop.changed:  # what holds up its process holds up its thread
        time.sleep(0.12)
    listen(caller, 0.1)
    assert phone.last_call.sent_late_ms > 75
    (held_up, *_) = phone.last_call.capture().held_up
    assert held_up.end_s - held_up.start_s > 0.075
    caller.finish()


def test_hears_presses_once(phone, caller):
    ok = caller.establish()
    for index, code in enumerate((1, 2, 2, 11)):
        for duration, flags in ((160, 0), (320, 0), (480, 0x80), (480, 0x80), (480, 0x80)):
            caller.send_rtp(ok, struct.pack("!BBH", code, 10 | flags, duration), 96, timestamp=1000 * index)
    phone.last_call.wait_packets(20, 5)
    phone.assert_digits("122#")
    with pytest.raises(AssertionError, match="'122#', not '12#'"):
        phone.assert_digits("12#")


def test_presses_keys(phone, caller):
    caller.establish()
    phone.send_digits("11d")
    events = []
    while len(events) < 21:
        payload_type, marker, _, timestamp, payload = caller.receive_rtp()
        if payload_type == 96:
            events.append((marker, timestamp, *struct.unpack("!BBH", payload)))
    presses = [list(group) for _, group in itertools.groupby(events, key=lambda event: event[1])]
    assert [press[0][2] for press in presses] == [1, 1, 15]
    for press in presses:
        assert [event[0] for event in press] == [True] + [False] * 6
        assert [event[3] >> 7 for event in press] == [0, 0, 0, 0, 1, 1, 1]
        assert [event[4] for event in press] == [160, 320, 480, 640, 800, 800, 800]


def test_presses_keys_by_script(phone, caller):
    phone.send_digits_after(0.02, "7")
    caller.establish()
    while True:
        payload_type, _, _, _, payload = caller.receive_rtp()
        if payload_type == 96:
            break
    assert payload[0] == 7


def test_no_keys_without_telephone_event(phone, caller):
    ok = caller.establish(body=caller.sdp(formats="0", attributes=""))
    assert "telephone-event" not in ok.body
    with pytest.raises(RuntimeError, match="did not offer"):
        phone.send_digits("1")
    with pytest.raises(ValueError, match="x"):
        phone.send_digits("x")
    caller.finish()
    phone.last_call.wait_ended(5)
    with pytest.raises(RuntimeError, match="over"):
        phone.send_digits("1")


@pytest.mark.parametrize(
    ("codecs", "formats", "chosen"),
    [(("PCMU", "PCMA"), "8 0 96", 8), (("PCMU", "PCMA"), "3 0 8 96", 0), (("PCMA",), "0 8 96", 8), (("PCMU",), "110 96", 110)],
)
def test_codec_by_the_order_of_the_offer(codecs, formats, chosen):
    with Phone("bob", codecs=codecs, goodbye_s=0.02) as phone, RawCaller(phone) as caller:
        ok = caller.establish(body=caller.sdp(formats=formats, attributes=EVENTS + "a=rtpmap:110 PCMU/8000\r\n"))
        assert f"RTP/AVP {chosen} 96\r\n" in ok.body
        assert "a=ptime:20" in ok.body
        assert "a=rtpmap:96 telephone-event/8000" in ok.body
        assert caller.receive_rtp()[0] == chosen


@pytest.mark.parametrize(
    "body", ["v=0\r\n", "m=audio 5000 RTP/AVP x 18\r\nc=IN IP4 127.0.0.1\r\n", "m=audio 99999 RTP/AVP 0\r\nc=IN IP4 1.1.1.1\r\n"]
)
def test_nothing_in_common(phone, caller, body):
    caller.invite(body=body)
    caller.expect(488)
    caller.ack_refusal()
    phone.last_call.wait_ended(5)
    assert phone.last_call.sip_code == 488


def test_other_streams_are_refused_in_their_place(phone, caller):
    ok = caller.establish(body=caller.sdp().replace("m=audio", "m=video 5002 RTP/AVP 31\r\nm=audio"))
    assert "m=video 0 RTP/AVP 31\r\nm=audio " in ok.body


def test_offer_in_the_200_answer_in_the_ack(phone, caller):
    phone.tone(600)
    caller.invite(body="")
    assert "RTP/AVP 0 101" in caller.expect(180, 200).body
    caller.ack(body=caller.sdp(formats="0", attributes=""))
    assert strongest_hz(listen(caller, 0.3)) == pytest.approx(600, abs=5)


@pytest.mark.parametrize(
    ("direction", "host", "answer"),
    [("sendonly", "127.0.0.1", "recvonly"), ("inactive", "127.0.0.1", "inactive"), ("sendrecv", "0.0.0.0", "recvonly")],
)
def test_hold_and_resume(phone, caller, direction, host, answer):
    phone.tone(600)
    caller.establish()
    listen(caller, 0.1)
    caller.invite(body=caller.sdp(direction=direction, host=host))
    assert f"a={answer}\r\n" in caller.expect(200).body
    caller.ack()
    caller.rtp.settimeout(0.1)
    assert caller.count_rtp() < 10  # what was in flight
    caller.rtp.settimeout(5)
    caller.invite()
    assert "a=sendrecv\r\n" in caller.expect(200).body
    caller.ack()
    assert caller.receive_rtp()[1]  # the marker of a new talk spurt
    assert strongest_hz(listen(caller, 0.2)) == pytest.approx(600, abs=5)
    assert phone.last_call.methods_received() == ["INVITE", "ACK", "INVITE", "ACK", "INVITE", "ACK"]


def test_a_refused_reinvite_leaves_the_call_as_it_was(phone, caller):
    caller.establish()
    caller.invite(body=caller.sdp(formats="18"))
    caller.expect(488)
    caller.ack_refusal()
    listen(caller, 0.1)
    caller.finish()
    phone.last_call.wait_ended(5)


def test_never_sends_beyond_loopback(phone, caller):
    caller.establish(body=caller.sdp(host="192.0.2.1"))
    caller.rtp.settimeout(0.1)
    with pytest.raises(TimeoutError):
        caller.receive_rtp()
    caller.finish()


@pytest.mark.sipp
@pytest.mark.skipif(shutil.which("sipp") is None, reason="needs Debian's sip-tester")
def test_calls_from_sipp(phone, tmp_path):
    """SIPp's own caller: 100 calls at 100 a second."""
    command = ["sipp", "-sn", "uac", f"127.0.0.1:{phone.sip_port}", "-i", "127.0.0.1", "-m", "100", "-r", "100", "-d", "100", "-nostdin"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=30)
    assert done.returncode == 0, done.stdout[-2000:]
    assert len(phone.calls) == 100
    for call in phone.calls:
        call.wait_ended(5)
        assert list(dict.fromkeys(call.methods_received())) == ["INVITE", "ACK", "BYE"]  # a busy SIPp sends some of them again
