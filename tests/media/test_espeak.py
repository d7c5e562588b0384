"""The synthesizer: voices, languages, and children that hang, die or talk nonsense."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from media import Cancellation, Cancelled, EspeakSynthesizer, SynthesisFailed, espeak_child
from media.cancel import Deadline

pytestmark = pytest.mark.slow

FAKE = Path(__file__).with_name("fake_child.py")
REPOSITORY = Path(__file__).parents[2]
FREE = Cancellation()


def has_system_espeak() -> bool:
    try:
        ctypes.CDLL("libespeak-ng.so.1")
    except OSError:
        return False
    return True


@pytest.fixture
def espeak() -> Iterator[EspeakSynthesizer]:
    engine = EspeakSynthesizer()
    yield engine
    engine.close()


@pytest.fixture
def fake(tmp_path):
    made = []

    def make(fault: str, **options) -> EspeakSynthesizer:
        options = {"processes": 1, "timeout_s": 5.0, **options}
        made.append(EspeakSynthesizer(command=[sys.executable, str(FAKE), fault, str(tmp_path)], **options))
        return made[-1]

    yield make
    for engine in made:
        engine.close()


def say(engine: EspeakSynthesizer, text: str = "hello", cancellation: Cancellation = FREE):
    return engine.render(text, "en-us", "female", cancellation)


def eventually(condition) -> None:
    deadline, pause = Deadline(10), threading.Event()
    while not condition():
        assert not deadline.is_over
        pause.wait(0.002)


def log(tmp_path: Path) -> list[list[str]]:
    return [line.split() for line in (tmp_path / "log").read_text().splitlines()]


def pitch_hz(samples, rate_hz: int) -> float:
    """Median fundamental of the voiced 40 ms blocks, by autocorrelation."""
    wave = samples.astype(float)
    size = rate_hz // 25
    found = []
    for start in range(0, len(wave) - size, size):
        block = wave[start : start + size] - wave[start : start + size].mean()
        if np.sqrt(np.mean(block**2)) < 1000:
            continue
        likeness = np.correlate(block, block, "full")[size - 1 :]
        low, high = rate_hz // 400, rate_hz // 60
        lag = low + int(np.argmax(likeness[low:high]))
        if likeness[lag] > 0.5 * likeness[0]:
            found.append(rate_hz / lag)
    assert found
    return float(np.median(found))


def test_a_female_voice_is_clearly_higher_than_a_male_one(espeak):
    sentence = "Hello, this is a test of the voice, and it goes on for a while."
    pitches = {
        gender: pitch_hz(*(lambda s: (s.samples, s.rate_hz))(espeak.render(sentence, "en-us", gender, FREE)))
        for gender in ("female", "male", "neutral")
    }
    assert 160 < pitches["female"] < 300
    assert 70 < pitches["male"] < 140
    assert pitches["female"] > 1.5 * pitches["male"]
    assert pitches["female"] > 1.3 * pitches["neutral"]


def test_languages_sound_different_and_are_many(espeak):
    assert {"en-us", "en", "en-gb", "de", "ko", "pt-br", "fr-fr", "fr"} <= set(espeak.languages())
    assert len(espeak.languages()) > 100
    english, german = (espeak.render("Guten Tag, eins zwei drei", tag, "male", FREE).samples for tag in ("en-us", "de"))
    assert len(english) != len(german)


def test_every_call_gives_whole_audio_of_the_same_length(espeak):
    lengths = {len(say(espeak, "one two three").samples) for _ in range(30)}
    assert min(lengths) > 15_000
    assert max(lengths) - min(lengths) < 200  # espeak-ng itself is not quite repeatable


def test_markup_and_phonemes_are_read_out_not_interpreted(espeak):
    plain = len(say(espeak, "hello").samples)
    assert len(say(espeak, '<prosody volume="silent">hello</prosody>').samples) > 2 * plain
    assert len(say(espeak, "[[h@l@U]] hello").samples) > 1.5 * plain


def test_children_have_a_session_of_their_own_and_go_when_the_pipe_ends(espeak):
    say(espeak)
    (pid,) = espeak._pool.pids()
    assert os.getsid(pid) == pid
    (child,) = espeak._pool._idle
    child._stdin.close()
    assert child._process.wait(5) == 0


def test_a_child_killed_in_the_middle_is_replaced_and_asked_again(espeak):
    say(espeak)
    (pid,) = espeak._pool.pids()
    os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(say, espeak, "after the accident")
        eventually(lambda: espeak._pool._busy)
        os.kill(pid, signal.SIGKILL)
        assert len(answer.result(10).samples) > 8000
    assert espeak._pool.pids() != [pid]


def test_a_child_that_hangs_is_killed_and_the_next_request_works(fake, tmp_path):
    engine = fake("hang-once", timeout_s=0.5)
    with pytest.raises(SynthesisFailed, match="no answer in time"):
        say(engine)
    assert engine._pool.pids() == []
    assert len(say(engine).samples)
    pids = [pid for pid, *_ in log(tmp_path)]
    assert len(set(pids)) == 2


def test_a_child_that_dies_is_asked_again_unseen(fake, tmp_path):
    assert len(say(fake("die-once")).samples)
    assert len(log(tmp_path)) == 2


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("always-die", "ended with status 3"),
        ("garbage", "nonsense"),
        ("huge", "impossible frame"),
        ("error", "unknown voice"),
        ("odd", "nonsense"),
        ("no-start", "no espeak here"),
        ("no-voices", "no voices"),
    ],
)
def test_each_failure_is_a_clear_error(fake, fault, message):
    with pytest.raises(SynthesisFailed, match=message):
        say(fake(fault))


def test_a_command_that_does_not_exist_is_a_clear_error():
    engine = EspeakSynthesizer(command=["/nonexistent/program"])
    with pytest.raises(SynthesisFailed, match="cannot be started"):
        say(engine)
    engine.close()


def test_children_are_replaced_after_so_many_requests(fake, tmp_path):
    engine = fake("none", recycle_after=3)
    for _ in range(7):
        say(engine)
    assert len({pid for pid, *_ in log(tmp_path)}) == 3


def test_long_text_goes_in_chunks_and_no_more_children_than_allowed(fake, tmp_path):
    engine = fake("none", processes=2)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: say(engine, "A sentence of some length. " * 60), range(8)))
    lines = log(tmp_path)
    assert max(int(size) for _, _, size in lines) <= 500
    assert len({pid for pid, *_ in lines}) <= 2
    assert {voice for _, voice, _ in lines} == {"gmw/en-us+f3"}


def test_cancel_frees_the_caller_and_the_child_is_not_used_again(fake, tmp_path):
    engine = fake("deaf")
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(say, engine, "hello", Cancellation(stop))
        eventually((tmp_path / "log").exists)
        stop.set()
        with pytest.raises(Cancelled):
            answer.result(5)
    assert engine._pool.pids() == []


def test_close_ends_work_under_way_and_refuses_more(fake, tmp_path):
    engine = fake("deaf")
    with ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(say, engine) for _ in range(3)]
        eventually((tmp_path / "log").exists)
        engine.close()
        for answer in answers:
            with pytest.raises(Cancelled):
                answer.result(5)
    with pytest.raises(Cancelled):
        say(engine)
    engine.close()


def test_unknown_library_is_refused():
    with pytest.raises(ValueError, match="auto, system, packaged"):
        EspeakSynthesizer(library="mine")


@pytest.mark.parametrize(
    "library", ["packaged", pytest.param("system", marks=pytest.mark.skipif(not has_system_espeak(), reason="no Debian espeak-ng"))]
)
def test_either_library_speaks(library):
    engine = EspeakSynthesizer(library=library)
    assert len(say(engine).samples) > 4000
    engine.close()


@pytest.mark.skipif(has_system_espeak(), reason="Debian's espeak-ng is installed")
def test_a_missing_system_library_is_a_clear_error():
    engine = EspeakSynthesizer(library="system")
    with pytest.raises(SynthesisFailed, match=r"libespeak-ng\.so\.1"):
        say(engine)
    engine.close()


def test_a_long_data_path_is_shortened(tmp_path):
    """espeak-ng cuts the path at 160 characters and ends the process; the packaged data may well lie deeper."""
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    import espeakng_loader

    (deep / "espeak-ng-data").symlink_to(espeakng_loader.get_data_path())
    code = (
        "import espeakng_loader, sys; espeakng_loader.get_data_path = lambda: sys.argv[2];"
        "from media.espeak_child import main; sys.argv[1] = 'packaged'; main()"
    )
    process = subprocess.run(
        [sys.executable, "-c", code, "packaged", str(deep / "espeak-ng-data")],
        cwd=REPOSITORY,
        input=b"",
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert b"gmw/en-us" in process.stdout


def test_frames_of_impossible_size_are_refused():
    with pytest.raises(ValueError, match="impossible"):
        espeak_child.unpack_lengths(b"Audio sa")


def test_a_hanging_child_ends_by_itself_when_nobody_is_left_to_kill_it(tmp_path):
    """The parent is gone and espeak-ng hangs: the alarm ends the process even when its parent blocked that signal."""
    code = (
        "import signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM});"
        "from media import espeak_child as child; child.Speaker.speak = lambda *_: signal.pause(); child.main()"
    )
    with subprocess.Popen([sys.executable, "-c", code, "auto"], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdin.write(espeak_child.pack({"text": "a", "voice": "b", "timeout_s": -0.45}))
        process.stdin.close()
        assert process.wait(20) == -signal.SIGALRM
