"""The whole: text, files and tones in, ready files out, from many threads, and nothing left."""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from leftovers import children

from media import (
    Cancelled,
    EmptyText,
    EspeakSynthesizer,
    Limits,
    NotAudio,
    Speech,
    StreamError,
    SynthesisFailed,
    TextTooLong,
    UnknownGender,
    UnknownLanguage,
    UnspeakableText,
    measure,
    tones,
    wav,
)
from media.manner import PLAIN

REPOSITORY = Path(__file__).parents[2]


class Hummer:
    """A synthesizer that hums 300 Hz for each character, and counts."""

    name, version = "hummer", "1"

    def __init__(self, rate_hz: int = 22050, gate: threading.Event | None = None) -> None:
        self.rate_hz, self.gate = rate_hz, gate
        self.rendered: list[tuple[str, str, str]] = []
        self.closed = 0

    def languages(self):
        return {"en-us": "English (America)", "de": "German"}

    def render(self, text, language, gender, cancellation, manner=PLAIN):
        self.rendered.append((text, language, gender))
        while self.gate is not None and not self.gate.wait(0.01):
            cancellation.check()
        return Speech(
            tones.tone(300.0, 0.0 if text == "NOTHING" else 0.05 * len(text), self.rate_hz, level_dbfs=-200 if text == "SILENCE" else -10),
            self.rate_hz,
        )

    def close(self):
        self.closed += 1


@pytest.mark.parametrize("rate", [8000, 16000])
def test_speech_is_ready_audio(make_library, rate):
    hummer = Hummer()
    library = make_library(synthesizer=hummer, rate_hz=rate)
    ready = library.speech("0123456789", "en_US", "male")
    info = wav.read_info(ready.path)
    assert (info.rate_hz, ready.rate_hz) == (rate, rate)
    assert ready.duration_s == pytest.approx(0.5, abs=0.001) == info.duration_s
    assert measure.tone_level_db(wav.read(ready.path)[0], 300, rate) == pytest.approx(-10, abs=0.3)
    assert hummer.rendered == [("0123456789", "en-us", "male")]


def test_each_parameter_makes_a_file_of_its_own_and_the_same_ones_do_not(make_library):
    hummer = Hummer()
    library = make_library(synthesizer=hummer)
    calls = [("hello", "en-US", "female"), ("hello!", "en-US", "female"), ("hello", "de", "female"), ("hello", "en-US", "male")]
    first = [library.speech(*call).path for call in calls]
    assert len(set(first)) == 4
    assert first == [library.speech(*call).path for call in calls]
    assert library.speech("hello", "EN_us", "female").path == first[0]
    assert len(hummer.rendered) == 4
    hummer.version = "2"
    assert library.speech(*calls[0]).path not in first


def test_a_damaged_cache_file_is_made_again(make_library):
    hummer = Hummer()
    library = make_library(synthesizer=hummer)
    path = library.speech("hello").path
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    assert library.speech("hello").path.read_bytes() == whole
    assert len(hummer.rendered) == 2


def test_twenty_who_ask_for_the_same_make_it_once(make_library):
    gate = threading.Event()
    hummer = Hummer(gate=gate)
    library = make_library(synthesizer=hummer)
    with ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(library.speech, "hello") for _ in range(20)]
        gate.set()
        assert len({answer.result(10) for answer in answers}) == 1
    assert len(hummer.rendered) == 1


@pytest.mark.parametrize("text", ["SILENCE", "NOTHING"])
def test_a_text_of_which_the_engine_makes_nothing_is_an_error(make_library, tmp_path, text):
    with pytest.raises(EmptyText, match="nothing in the text can be spoken"):
        make_library(synthesizer=Hummer()).speech(text)
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize(
    ("text", "language", "gender", "error", "message"),
    [
        ("", "en-US", "female", EmptyText, "empty"),
        ("?!...", "en-US", "female", EmptyText, "nothing in the text"),
        ("x" * 100_000, "en-US", "female", TextTooLong, "100000 .*10000 "),
        ("a\0b", "en-US", "female", UnspeakableText, r"U\+0000"),
        ("a\udc00", "en-US", "female", UnspeakableText, r"U\+DC00"),
        ("a", "xx-XX", "female", UnknownLanguage, "known"),
        ("a", "german", "female", UnknownLanguage, "did you mean de"),
        ("a", "en-US", "Female", UnknownGender, "female, male, neutral"),
    ],
)
def test_bad_speech_is_refused_alike_by_check_and_by_speech(make_library, text, language, gender, error, message):
    library = make_library(synthesizer=Hummer())
    for call in (library.check_speech, library.speech):
        with pytest.raises(error, match=message):
            call(text, language, gender)


def test_good_speech_passes_the_check_without_being_made(make_library):
    hummer = Hummer()
    make_library(synthesizer=hummer).check_speech("hello \U0001f600", "de-CH", "neutral")
    assert hummer.rendered == []


def test_ringback_is_made_once(library):
    ready = library.ringback()
    assert ready.duration_s == 6.0
    assert np.array_equal(wav.read(ready.path)[0], tones.ringback(8000))
    assert library.ringback() == ready


def test_the_same_bytes_share_a_file_whatever_their_name(library, tmp_path):
    wav.write(tmp_path / "root" / "a.wav", tones.tone(440.0, 1.0, 16000), 16000)
    (tmp_path / "root" / "b.wav").write_bytes((tmp_path / "root" / "a.wav").read_bytes())
    first = library.stream("a.wav")
    assert library.stream("b.wav") == first
    wav.write(tmp_path / "root" / "a.wav", tones.tone(441.0, 1.0, 16000), 16000)
    assert library.stream("a.wav") != first


def test_a_file_changed_while_it_is_read_is_refused(library, tmp_path, monkeypatch):
    import media.library

    path = tmp_path / "root" / "a.wav"
    wav.write(path, tones.tone(440.0, 1.0, 8000), 8000)

    def meddling(*arguments):
        os.truncate(path, 44 + 8000)
        yield tones.silence(1.0, 8000)

    monkeypatch.setattr(media.library, "decode", meddling)
    with pytest.raises(NotAudio, match="changed"):
        library.stream("a.wav")
    assert list((tmp_path / "cache").iterdir()) == []


def test_cancel_and_close(make_library):
    hummer = Hummer(gate=threading.Event())
    library = make_library(synthesizer=hummer)
    cancel = threading.Event()
    with ThreadPoolExecutor(3) as pool:
        one = pool.submit(library.speech, "hello", "de", "male", cancel)
        cancel.set()
        with pytest.raises(Cancelled):
            one.result(5)
        others = [pool.submit(library.speech, "hello") for _ in range(2)]
        library.close()
        for other in others:
            with pytest.raises(Cancelled):
                other.result(5)
    library.close()
    for call in (
        lambda: library.speech("a"),
        lambda: library.stream("a"),
        library.ringback,
        lambda: library.check_speech("a"),
        lambda: library.check_stream("a"),
    ):
        with pytest.raises(Cancelled):
            call()
    assert hummer.closed >= 1


def test_an_engine_that_fails_is_no_stream_error(make_library):
    library = make_library(synthesizer=EspeakSynthesizer(command=["/bin/false"]))
    with pytest.raises(SynthesisFailed, match="status 1") as caught:
        library.check_speech("hello")
    assert not isinstance(caught.value, StreamError)


def test_a_hundred_thousand_characters_when_they_are_allowed(make_library):
    """Spoken in 200 chunks; pyttsx3 alone would take minutes. Only a part is made here: the rest is cancelled."""
    library = make_library(limits=Limits(text_max_chars=100_000))
    text = "This is a sentence. " * 5000
    library.check_speech(text)
    cancel = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(library.speech, text, "en-US", "female", cancel)
        cancel.set()
        with pytest.raises(Cancelled):
            answer.result(5)


def test_real_speech_by_twenty_threads_at_once(make_library):
    library = make_library()
    before = children()
    with ThreadPoolExecutor(20) as pool:
        ready = list(pool.map(lambda n: library.speech(f"This is announcement number {n % 10}."), range(20)))
    assert len({audio.path for audio in ready}) == 10
    assert len(children() - before) <= 2
    for audio in ready:
        samples, rate = wav.read(audio.path)
        assert rate == 8000
        assert 1.0 < audio.duration_s < 4.0
        assert measure.rms_dbfs(samples) > -30
    again = library.speech("This is announcement number 3.")
    assert again == ready[3]


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    ["hello", "\U0001f600", "\U0001f389\U0001f389", "a", "\uc548\ub155\ud558\uc138\uc694", "caf\u00e9 < b > & c", "|", "*", "\u2019\u00b0"],
)
def test_odd_texts_become_audio_or_a_clear_error(make_library, text):
    try:
        ready = make_library().speech(text)
    except EmptyText:
        assert text == "|"
    else:
        assert ready.duration_s >= 0.1
        assert measure.rms_dbfs(wav.read(ready.path)[0]) > -40


@pytest.mark.slow
def test_a_killed_process_leaves_no_child_behind(tmp_path):
    """kill -9 of whoever uses the library: its children see the end of their pipe and go."""
    code = (
        "import sys, pathlib, signal; from media import AudioLibrary;"
        "library = AudioLibrary(pathlib.Path(sys.argv[1])); library.speech('hello');"
        "print(*library._synthesizer._pool.pids(), flush=True); signal.pause()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "cache")], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    ) as process:
        (pid,) = map(int, process.stdout.readline().split())
        handle = os.pidfd_open(pid)
        process.send_signal(signal.SIGKILL)
    try:
        import select

        assert select.select([handle], [], [], 5)[0]
    finally:
        os.close(handle)
