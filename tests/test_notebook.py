"""The example notebook: its cells run, one after the other, and the call shows itself."""

import ast
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parent.parent / "examples" / "notebook.ipynb"


def run_cell(source: str, names: dict) -> object:
    """What a notebook does: run it all; the value of the last line, if it has one."""
    tree = ast.parse(source)
    last = ast.Expression(tree.body.pop().value) if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return None if last is None else eval(compile(last, "cell", "eval"), names)


@pytest.mark.sip
def test_it_runs_and_shows_the_call(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    notebook = json.loads(NOTEBOOK.read_text())
    assert notebook["nbformat"] == 4
    sources = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] for cell in notebook["cells"] if cell["cell_type"] == "code")
    names: dict = {}
    try:
        _, quality, call, record = [run_cell(source, names) for source in sources[:4]]
        shown = call._repr_html_()
    finally:
        run_cell(sources[-1], names)
    assert quality.codec == "PCMU/8000"
    assert quality.received > 20
    assert 4.0 < quality.mos < 4.5
    assert 4.0 < record.quality.mos < 4.5
    ET.fromstring(shown)
    assert shown.count("<svg") == 2
    assert "INVITE" in shown
    assert f"recording {names['recording'].id}" in shown
    ET.fromstring(record._repr_html_())
