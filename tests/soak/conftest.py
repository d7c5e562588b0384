"""Floods and long runs at a real switch. `make soak` runs them; minutes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sip.abuse import SETTINGS, serve
from tests.sip.conftest import no_process_is_left, switch_settings

HERE = Path(__file__).parent
__all__ = ["no_process_is_left", "switch_settings"]  # fixtures


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.soak)
            item.add_marker(pytest.mark.timeout(180))


@pytest.fixture
def switch(open_switch, tmp_path):
    """Answers the trunk, and neighbours; strangers are refused."""
    with open_switch(**SETTINGS) as switch:
        serve(switch, tmp_path)
        yield switch
