"""`sipcore demo`, as `make demo` runs it: what it leaves, listened to."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from media import AudioLibrary, measure, tones, wav
from sipcore.cli import demo
from tests.core.test_record import KEYS

pytestmark = pytest.mark.sip


@pytest.fixture(scope="module")
def left(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "sipcore", "demo", "--output", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False, env=os.environ | {"COLUMNS": "200"})
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


def test_the_records_tell_the_truth(left):
    call = json.loads((left / "call.json").read_text())
    page = json.loads((left / "calls.json").read_text())
    assert list(call) == KEYS
    assert (call["status"], call["hangup_by"], call["hangup_reason"]) == ("hangup", "local", "normal")
    b_leg, a_leg = page["result"]
    assert a_leg == call
    assert b_leg["master_call_id"] == call["id"]
    assert call["chained_call_ids"] == [b_leg["id"]]
    assert (b_leg["hangup_by"], b_leg["hangup_reason"]) == ("remote", "normal")


def test_a_hears_the_speech_then_the_file_then_b(left, tmp_path):
    heard, rate_hz = wav.read(left / "heard-a.wav")
    library = AudioLibrary(tmp_path)
    sentences = [wav.read(library.utter(utterance).path)[0] for utterance in library.utterances(demo.TEXT)]
    library.close()
    melody = np.concatenate([tones.tone(hz, 0.35, rate_hz, level_dbfs=-9.0) for hz in demo.MELODY_HZ])
    # Only the first sentence is the same each time: espeak-ng's wave goes on from what the process said before.
    of_speech, of_melody = (measure.best_match(heard, reference, rate_hz) for reference in (sentences[0], melody))
    assert min(of_speech.correlation, of_melody.correlation) > 0.95
    assert 0 <= of_speech.delay_s < 0.2
    said_s = sum(map(len, sentences)) / rate_hz
    assert said_s - 0.1 <= of_melody.delay_s - of_speech.delay_s < said_s + 0.5
    bridged = heard[-2 * rate_hz : -rate_hz // 4]
    assert measure.dominant_hz(bridged, rate_hz) == pytest.approx(demo.B_HZ, abs=2)
    assert measure.tone_to_rest_db(bridged, demo.B_HZ, rate_hz) > 20


def test_b_hears_a_and_nothing_else(left):
    heard, rate_hz = wav.read(left / "heard-b.wav")
    middle = heard[rate_hz // 2 : -rate_hz // 4]
    assert measure.dominant_hz(middle, rate_hz) == pytest.approx(demo.A_HZ, abs=2)
    assert measure.tone_to_rest_db(middle, demo.A_HZ, rate_hz) > 20


def test_the_picture_is_a_picture_of_this_call(left):
    picture = ET.fromstring((left / "call.svg").read_text())
    texts = [element.text or "" for element in picture.iter("{http://www.w3.org/2000/svg}text")]
    for word in ("talk", "play", "connect", "A heard", "B heard", "ringing", "answered", "hangup"):
        assert any(word in text for text in texts), word
