"""docs/flight.svg is what its program draws."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"

pytestmark = pytest.mark.slow


def test_the_picture_is_up_to_date(tmp_path):
    subprocess.run([sys.executable, str(DOCS / "make_flight_pictures.py"), str(tmp_path)], check=True, timeout=60)
    assert (tmp_path / "flight.svg").read_text() == (DOCS / "flight.svg").read_text()
