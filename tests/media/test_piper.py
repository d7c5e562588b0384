"""Piper as the engine of one language. The voice is a tiny model made here, which hums: no speech, but all the way through Piper."""

import importlib.util
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_library import REPOSITORY, Hummer

from media import Cancelled, PiperSynthesizer, SynthesisFailed, VoiceRefused, measure, wav
from media.cancel import Cancellation
from media.manner import Manner

HUM_HZ = 500.0
RATE_HZ = 16000
SAMPLES_PER_PHONEME = 800
SETTINGS = {
    "audio": {"sample_rate": RATE_HZ},
    "espeak": {"voice": "en-us"},
    "language": {"code": "en_US", "name_english": "English"},
    "inference": {"noise_scale": 0.0, "length_scale": 1.0, "noise_w": 0.0},
    "phoneme_type": "text",
    "phoneme_id_map": {"_": [0], "^": [1], "$": [2], " ": [3]} | {chr(code): [code] for code in range(33, 127) if chr(code) not in "_^$"},
    "num_symbols": 128,
    "num_speakers": 1,
}
missing = [name for name in ("piper", "onnx") if importlib.util.find_spec(name) is None]
needs_piper = pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)} (pip install piper-tts onnx)")


def write_voice(folder: Path, **changes) -> Path:
    """A model that hums 50 ms for each phoneme, at the length it is told."""
    from onnx import TensorProto, helper, save

    def constant(name: str, kind: int, value: float) -> object:
        return helper.make_node("Constant", [], [name], value=helper.make_tensor(name, kind, [], [value]))

    nodes = [
        constant("at", TensorProto.INT64, 1),
        constant("zero", TensorProto.FLOAT, 0.0),
        constant("one", TensorProto.FLOAT, 1.0),
        constant("each", TensorProto.FLOAT, float(SAMPLES_PER_PHONEME)),
        constant("step", TensorProto.FLOAT, 2 * math.pi * HUM_HZ / RATE_HZ),
        helper.make_node("Shape", ["input"], ["shape"]),
        helper.make_node("Gather", ["shape", "at"], ["phonemes"]),
        helper.make_node("Cast", ["phonemes"], ["phonemes_f"], to=TensorProto.FLOAT),
        helper.make_node("Gather", ["scales", "at"], ["length_scale"]),
        helper.make_node("Mul", ["phonemes_f", "each"], ["samples"]),
        helper.make_node("Mul", ["samples", "length_scale"], ["scaled"]),
        helper.make_node("Range", ["zero", "scaled", "one"], ["time"]),
        helper.make_node("Mul", ["time", "step"], ["angle"]),
        helper.make_node("Sin", ["angle"], ["output"]),
    ]
    inputs = [
        helper.make_tensor_value_info("input", TensorProto.INT64, [1, None]),
        helper.make_tensor_value_info("input_lengths", TensorProto.INT64, [1]),
        helper.make_tensor_value_info("scales", TensorProto.FLOAT, [3]),
    ]
    graph = helper.make_graph(nodes, "hum", inputs, [helper.make_tensor_value_info("output", TensorProto.FLOAT, [None])])
    path = folder / "hum.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    path.with_name("hum.onnx.json").write_text(json.dumps(SETTINGS | changes))
    return path


@needs_piper
def test_the_voice_speaks_its_language_and_the_other_engine_all_others(make_library, tmp_path):
    others = Hummer()
    library = make_library(synthesizer=PiperSynthesizer(write_voice(tmp_path), others))
    samples, rate_hz = wav.read(library.speech("hello world", "en-US").path)
    assert measure.tone_level_db(samples[: rate_hz // 2], HUM_HZ, rate_hz) > -6
    assert others.rendered == []
    library.speech("hello world", "en-GB")  # a tag that neither has: English
    assert others.rendered == []
    samples, _ = wav.read(library.speech("hallo", "de").path)
    assert others.rendered == [("hallo", "de", "female")]
    assert measure.tone_level_db(samples, 300, rate_hz) == pytest.approx(-10, abs=0.5)


@needs_piper
def test_nobody_is_told_what_is_spoken(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    voice = write_voice(tmp_path)
    program = f"""
import pathlib
from media import EspeakSynthesizer, PiperSynthesizer
from media.cancel import Cancellation
piper = PiperSynthesizer(pathlib.Path({str(voice)!r}), EspeakSynthesizer())
print(len(piper.render("hello", "en-us", "female", Cancellation()).samples))
piper.close()
"""
    environment = {key: value for key, value in os.environ.items() if key not in {"ORT_DISABLE_TELEMETRY", "CI"}} | {"HOME": str(home)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    assert (done.returncode, int(done.stdout) > 0) == (0, True), done.stderr
    assert list(home.rglob("*")) == []


@needs_piper
def test_pace_and_pitch_are_apart(tmp_path):
    with_piper = PiperSynthesizer(write_voice(tmp_path), Hummer())

    def spoken(**manner: float) -> tuple[float, float]:
        speech = with_piper.render("abcdefghij", "en-us", "female", Cancellation(), Manner(**manner))
        hums = speech.samples[: len(speech.samples) // 2]
        best = max(range(200, 1200, 10), key=lambda hz: measure.tone_level_db(hums, hz, speech.rate_hz))
        return len(speech.samples) / speech.rate_hz, best

    plain_s, plain_hz = spoken()
    assert plain_hz == HUM_HZ
    assert spoken(rate=2.0)[0] == pytest.approx(plain_s / 2, abs=0.1)
    assert spoken(rate=2.0)[1] == HUM_HZ
    assert spoken(pitch=1.5) == (pytest.approx(plain_s, abs=0.1), pytest.approx(1.5 * HUM_HZ))
    with_piper.close()


@needs_piper
def test_another_voice_makes_other_files(tmp_path):
    others = Hummer()
    (tmp_path / "second").mkdir()
    first = PiperSynthesizer(write_voice(tmp_path), others)
    path = write_voice(tmp_path / "second")
    path.write_bytes(path.read_bytes() + b"\x00")
    assert first.version != PiperSynthesizer(path, others).version


@needs_piper
def test_a_broken_model_is_told_and_a_closed_voice_says_nothing(tmp_path):
    path = write_voice(tmp_path)
    path.write_bytes(b"no model")
    broken = PiperSynthesizer(path, others := Hummer())
    with pytest.raises(SynthesisFailed, match=r"hum\.onnx"):
        broken.render("hello", "en", "female", Cancellation())
    broken.close()
    broken.close()
    assert others.closed == 2
    with pytest.raises(Cancelled):
        broken.render("hello", "en", "female", Cancellation())


@needs_piper
@pytest.mark.parametrize("settings", ["", "[]", "{}", '{"espeak": {"voice": 5}}', '{"language": {"code": "en"}}'])
def test_a_file_that_describes_no_voice_is_refused(tmp_path, settings):
    path = tmp_path / "x.onnx"
    path.write_bytes(b"")
    path.with_name("x.onnx.json").write_text(settings)
    with pytest.raises(VoiceRefused, match="does not describe a Piper voice"):
        PiperSynthesizer(path, Hummer())


@needs_piper
def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(VoiceRefused, match=r"none\.onnx: No such file"):
        PiperSynthesizer(tmp_path / "none.onnx", Hummer())
    (tmp_path / "none.onnx").write_bytes(b"x")
    with pytest.raises(VoiceRefused, match=r"none\.onnx\.json: No such file"):
        PiperSynthesizer(tmp_path / "none.onnx", Hummer())


@pytest.mark.skipif(importlib.util.find_spec("piper") is not None, reason="Piper is installed")
def test_without_piper_it_is_told_what_to_install(tmp_path):
    with pytest.raises(VoiceRefused, match=r"pip install .*sipcore\[piper\]"):
        PiperSynthesizer(tmp_path / "x.onnx", Hummer())
