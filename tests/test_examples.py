"""Every example runs, with the far ends it brings along."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))
EXPECTED = {
    "announcement": ["normal (200 OK)"],
    "announcement_confirm": ["sip:ann@", "has heard it", "sip:bob@", "has not confirmed it"],
    "conference": ["one has heard: leader, two", "left, ended", "left, key", "recorded: "],
    "celery_task": ["'answered': True, 'reason': 'normal'"],
    "django_view": ["waited: {'status': 'hangup', 'reason': 'normal', 'code': 200}", "placed: {'status': 'hangup'"],
    "echo_delay": ["normal, 3 s", "the far end has heard itself"],
    "find_me": ["connect: done", "office@", "dialout", "mobile@", "answered"],
    "ivr_menu": ["said: menu\npressed: 9\nsaid: again\nsaid: menu\npressed: 2\nsaid: hours\n"],
    "hunt": ["one@", "cancel", "two@", "answered"],
    "record_numpy": ["from the far end"],
    "service": ["normal", "busy"],
    "tone_measure": ["1004 Hz, -16.0 dBFS"],
    "transcription": ["at 0.5 s: 0.8 s of speech", "at 2.0 s: 0.4 s of speech"],
    "voice_bot": ["heard: you spoke for 1.0 seconds", "was interrupted", "heard: you spoke for 0.5 seconds", "the far end has hung up"],
    "voicemail": ["ended by key, loudest 0.2", "listed: ended, of call ann"],
}


@pytest.mark.sip
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_it_runs(example, tmp_path):
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path), "PYTHONWARNINGS": "error"}
    result = subprocess.run([sys.executable, example], capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert result.returncode == 0, result.stderr
    assert not result.stderr
    for text in EXPECTED[example.stem]:
        assert text in result.stdout
