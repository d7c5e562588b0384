"""The names a user imports, and what importing them costs."""

import importlib
import subprocess
import sys

import pytest

import sipcore


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60).stdout.strip()


@pytest.mark.parametrize("name", sipcore.__all__)
def test_every_name_is_there(name):
    value = getattr(sipcore, name)
    if name != "__version__":
        assert value is getattr(importlib.import_module(sipcore._HOME_OF[name]), name)
        assert f"{value.__module__}.".startswith(f"{sipcore._HOME_OF[name]}.")


def test_names_agree():
    assert set(sipcore.__all__) == {"__version__", *sipcore._HOME_OF}
    assert len(sipcore.__all__) == len(set(sipcore.__all__))
    assert set(dir(sipcore)) == set(sipcore.__all__)
    events = importlib.import_module("sipcore.events")
    errors = importlib.import_module("sipcore.errors")
    for module in (events, errors):
        public = {name for name, value in vars(module).items() if isinstance(value, type) and value.__module__ == module.__name__}
        assert {name for name in public if not name.startswith("_")} <= set(sipcore.__all__)


def test_unknown_name():
    with pytest.raises(AttributeError, match="no attribute 'Swich'"):
        _ = sipcore.Swich


@pytest.mark.slow
def test_works_without_pjsua2():
    code = """
import sys
sys.modules["pjsua2"] = sys.modules["_pjsua2"] = None
import sipcore
for name in sipcore.__all__:
    getattr(sipcore, name)
from sipcore.testing.fake_engine import FakeEngine
with sipcore.Switch(engine=FakeEngine()) as switch:
    print(switch.sip_address)
"""
    assert python(code) == "192.0.2.1:5060"


@pytest.mark.slow
def test_what_workers_import_stays_small():
    code = """
import sys
import sipcore, sipcore.engine, sipcore.errors, sipcore.wire
print(sorted(name for name in ("pydantic", "numpy", "sqlalchemy", "asyncio", "soundfile", "pjsua2", "media") if name in sys.modules))
"""
    assert python(code) == "[]"


def test_import_of_the_package_alone_loads_nothing():
    assert python("import sys, sipcore; print([m for m in sys.modules if m.startswith('sipcore.')])") == "[]"
