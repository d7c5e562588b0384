"""What docs/trunks.md says to paste can be pasted."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from sipcore.config import make_config

PAGE = (Path(__file__).parents[2] / "docs" / "trunks.md").read_text()
BLOCKS = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_there_is_something_to_paste():
    assert len(BLOCKS) >= 7


@pytest.mark.parametrize("block", BLOCKS)
def test_each_block_is_a_configuration(block):
    assert make_config(tomllib.loads(block))
