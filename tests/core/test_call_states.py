"""The picture of the call states is the table's."""

import re
import runpy
from pathlib import Path

from sipcore.call import TRANSITIONS

DOCS = Path(__file__).parents[2] / "docs"


def test_committed_picture_is_current():
    drawn = runpy.run_path(str(DOCS / "make_call_states.py"))["draw"]()
    assert (DOCS / "call-states.svg").read_text(encoding="utf-8") == drawn, "run python docs/make_call_states.py"
    arrows = set(re.findall(r"<title>(\w+) to (\w+)</title>", drawn))
    assert arrows == {(str(status), str(to)) for status, all_to in TRANSITIONS.items() for to in all_to}
