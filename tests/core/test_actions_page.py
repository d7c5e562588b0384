"""docs/actions.md is what the action classes say."""

import re
import runpy
from dataclasses import fields
from pathlib import Path

import pytest

from sipcore.actions import ACTION_TYPES

DOCS = Path(__file__).parents[2] / "docs"


def test_committed_page_is_current():
    made = runpy.run_path(str(DOCS / "make_actions.py"))["page"]()
    assert (DOCS / "actions.md").read_text(encoding="utf-8") == made, "run python docs/make_actions.py"


@pytest.mark.parametrize("name", ACTION_TYPES)
def test_every_option_is_described(name):
    page = (DOCS / "actions.md").read_text(encoding="utf-8")
    section = page.partition(f"\n### {name}\n")[2].partition("\n### ")[0]
    rows = re.findall(r"^\| `(\w+)`.*\| ([^|]+) \|$", section, re.MULTILINE)
    assert [option for option, _ in rows] == [f.name for f in fields(ACTION_TYPES[name]) if f.name != "id"]
    assert all(meaning.endswith(".") for _, meaning in rows)
