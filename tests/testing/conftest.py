import threading

import pytest
from raw_caller import RawCaller

from sipcore.testing.phone import Phone


@pytest.fixture
def phone():
    before = threading.active_count()
    with Phone("bob", goodbye_s=0.02) as phone:
        yield phone
    assert threading.active_count() == before


@pytest.fixture
def caller(phone):
    with RawCaller(phone) as caller:
        yield caller


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    """Tests that want an assertion to fail do not draw it."""
    monkeypatch.setenv("SIPCORE_PICTURES", "off")
