"""Every example runs, with the far ends it brings along."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))
EXPECTED = {
    "announcement": ["normal (200 OK)"],
    "find_me": ["connect: done", "office@", "dialout", "mobile@", "answered"],
    "hunt": ["one@", "cancel", "two@", "answered"],
    "service": ["normal", "busy"],
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
