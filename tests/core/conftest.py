"""Fixtures of the call control tests."""

import pytest

from .stage import write_wav


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """A media root with `prompt.wav` (2 s) and `long.wav` (60 s), and the audio cache of the whole run beside it."""
    root = tmp_path_factory.mktemp("media")
    write_wav(root / "prompt.wav")
    write_wav(root / "long.wav", 60.0)
    return root
