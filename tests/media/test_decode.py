"""Every format in, 16-bit mono out; everything else a clear error."""

import struct
import tracemalloc

import numpy as np
import pytest
import soundfile

from media import Cancellation, Limits, NotAudio, TooLong, measure, tones, wav
from media.decode import decode

RATE = 8000
FREE = Cancellation()
FORMATS = [
    ("WAV", "PCM_U8"),
    ("WAV", "PCM_16"),
    ("WAV", "PCM_24"),
    ("WAV", "PCM_32"),
    ("WAV", "FLOAT"),
    ("WAV", "DOUBLE"),
    ("WAV", "ULAW"),
    ("WAV", "ALAW"),
    ("WAV", "IMA_ADPCM"),
    ("WAV", "GSM610"),
    ("WAVEX", "PCM_16"),
    ("W64", "PCM_16"),
    ("RF64", "PCM_16"),
    ("FLAC", "PCM_16"),
    ("FLAC", "PCM_24"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"),
    ("AIFF", "PCM_16"),
    ("AU", "ULAW"),
    ("CAF", "PCM_16"),
]


def decoded(path, limits=None, rate_hz=RATE, cancellation=FREE):
    with path.open("rb") as file:
        return np.concatenate(list(decode(file, "song", rate_hz, limits or Limits(), cancellation)))


@pytest.mark.parametrize(("container", "subtype"), FORMATS)
def test_each_format_is_heard(tmp_path, container, subtype):
    rate = 48000 if subtype == "OPUS" else 16000
    soundfile.write(tmp_path / "a", tones.tone(440.0, 1.0, rate, level_dbfs=-10) / 32768, rate, format=container, subtype=subtype)
    heard = decoded(tmp_path / "a")
    assert len(heard) == pytest.approx(RATE, rel=0.15)
    middle = heard[1000:7000]
    assert measure.dominant_hz(middle, RATE) == pytest.approx(440, abs=1)
    assert measure.rms_dbfs(middle) == pytest.approx(-10, abs=1)
    assert measure.tone_to_rest_db(middle, 440, RATE) > 18


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000, 96000])
@pytest.mark.parametrize("target", [8000, 16000])
def test_each_rate_keeps_pitch_level_and_length(tmp_path, rate, target):
    wav.write(tmp_path / "a", tones.tone(1000.0, 2.0, rate, level_dbfs=-6), rate)
    heard = decoded(tmp_path / "a", rate_hz=target)
    assert abs(len(heard) - 2 * target) <= 2
    assert measure.tone_level_db(heard, 1000.0, target) == pytest.approx(-6, abs=0.2)
    assert measure.tone_to_rest_db(heard[400:-400], 1000.0, target) > 60


def test_the_same_rate_is_bit_exact(tmp_path):
    samples = np.arange(-32768, 32767, 3, dtype=np.int16)
    wav.write(tmp_path / "a", samples, RATE)
    assert np.array_equal(decoded(tmp_path / "a"), samples)


def test_what_is_above_the_band_is_filtered_not_folded(tmp_path):
    wav.write(tmp_path / "a", tones.tone(6000.0, 1.0, 48000, level_dbfs=-6), 48000)
    assert measure.rms_dbfs(decoded(tmp_path / "a")[400:-400]) < -70


def test_stereo_is_mixed_by_mean(tmp_path):
    left, right = tones.tone(440.0, 1.0, RATE, level_dbfs=-6), tones.tone(1000.0, 1.0, RATE, level_dbfs=-6)
    soundfile.write(tmp_path / "a", np.stack([left, right], axis=1), RATE, format="WAV")
    heard = decoded(tmp_path / "a")
    for hz in (440.0, 1000.0):
        assert measure.tone_level_db(heard, hz, RATE) == pytest.approx(-12, abs=0.1)


def test_float_beyond_full_scale_is_clipped_and_nan_is_silent(tmp_path):
    wave = np.sin(np.arange(RATE) * 0.05) * 3
    wave[100:200] = np.nan
    soundfile.write(tmp_path / "a", wave, RATE, format="WAV", subtype="FLOAT")
    heard = decoded(tmp_path / "a")
    assert heard.max() == 32767
    assert heard.min() == -32768
    assert not heard[100:200].any()
    assert np.array_equal(np.sign(heard[300:400]), np.sign(np.rint(wave[300:400] * 32768)))


def whole_wav(frames: int = 4000) -> bytes:
    return wav.header(frames, RATE) + tones.tone(440.0, frames / RATE, RATE).tobytes()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (whole_wav()[:-1000], "truncated: 1000 bytes"),
        (whole_wav()[:30], "not audio"),
        (whole_wav()[:44], "truncated"),
        (whole_wav(0), "no audio frames"),
        (b"RIFX" + whole_wav()[4:], "not audio"),
        (b"just some text, nothing else " * 50, "not audio"),
        (b"\0" * 5000, "not audio"),
        (bytes(range(256)) * 20, "not audio"),
        (b"  \n<!DOCTYPE html><p>hello</p>", "HTML"),
        (b"\xef\xbb\xbf<HTML><body>", "HTML"),
        (whole_wav()[:24] + struct.pack("<I", 0xFFFFFFFF) + whole_wav()[28:], "not audio|sampling rate"),
        (whole_wav()[:24] + struct.pack("<I", 10) + whole_wav()[28:], "sampling rate"),
        (whole_wav()[:22] + struct.pack("<H", 0) + whole_wav()[24:], "not audio"),
        (whole_wav()[:22] + struct.pack("<H", 64) + whole_wav()[24:32] + struct.pack("<H", 128) + whole_wav()[34:], "channels"),
        (b"\xff\xfb\x90\x00" + b"\0" * 100, "not audio|no audio"),
    ],
)
def test_what_is_no_audio_says_so(tmp_path, data, message):
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(NotAudio, match=message) as caught:
        decoded(tmp_path / "a")
    assert str(caught.value).startswith("song: ")


def test_a_truncated_flac(tmp_path):
    soundfile.write(tmp_path / "a", np.random.default_rng(1).integers(-9999, 9999, 80_000).astype(np.int16), RATE, format="FLAC")
    data = (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(data[: len(data) // 2])
    with pytest.raises(NotAudio):
        decoded(tmp_path / "a")


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_wav_from_a_pipe_with_unknown_length_plays(tmp_path, size):
    data = whole_wav()
    (tmp_path / "a").write_bytes(data[:4] + struct.pack("<I", 0xFFFFFFFF) + data[8:40] + struct.pack("<I", size) + data[44:])
    if size == 0:
        with pytest.raises(NotAudio, match="no audio frames"):
            decoded(tmp_path / "a")
    else:
        assert len(decoded(tmp_path / "a")) == 4000


@pytest.mark.parametrize("container", ["WAV", "FLAC", "OGG", "MP3"])
def test_too_long_is_refused(tmp_path, container):
    soundfile.write(tmp_path / "a", np.zeros(RATE * 12, np.int16), RATE, format=container)
    with pytest.raises(TooLong, match="limit of 5 s"):
        decoded(tmp_path / "a", Limits(audio_max_s=5))


@pytest.mark.slow
def test_an_hour_takes_little_memory(tmp_path):
    """A bomb of silence: 1.4 MB of FLAC, 57 MB decoded, handed on block by block."""
    with soundfile.SoundFile(tmp_path / "a", "w", 8000, 1, format="FLAC") as file:
        for _ in range(60):
            file.write(np.zeros(8000 * 60, np.int16))
    tracemalloc.start()
    with (tmp_path / "a").open("rb") as file:
        frames = sum(len(block) for block in decode(file, "song", 8000, Limits(), FREE))
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert frames == 3600 * 8000
    assert peak < 12_000_000
