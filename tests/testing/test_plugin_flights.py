"""The plugin with the flight recorder and SIP lint: what a test shows that fails, and which one fails for its SIP."""

from __future__ import annotations

import textwrap

import pytest

import sipcore.testing.fixtures
import sipcore.testing.rtp_sink  # noqa: F401 - pytester forgets what its tests imported, and numpy cannot be imported twice

pytest_plugins = ["pytester"]
pytestmark = [pytest.mark.slow, pytest.mark.sip_faults]  # the switches within are watched by this run of pytest too

STAGE = """
    import time
    import pytest
    from sipcore import Switch
    from sipcore.testing.fake_engine import FakeEngine, FarEnd
    from sipcore.wire import TracedMessage

    HEAD = "Via: SIP/2.0/UDP h;branch=z9hG4bK1\\r\\nFrom: <sip:a@x>;tag=1\\r\\nTo: <sip:b@y>\\r\\nCall-ID: c\\r\\nCSeq: 1 INVITE\\r\\n"

    async def trace(call_id):
        text = f"INVITE sip:b@y SIP/2.0\\r\\n{HEAD}Contact: <sip:a@h>\\r\\nContent-Length: 9\\r\\n\\r\\n"
        return (TracedMessage(time.time(), IS_OURS, "udp", "192.0.2.1:5060", "192.0.2.9:5060", text),)

    def call(tmp_path):
        engine = FakeEngine()
        engine.far_end("bob", FarEnd())
        engine.trace = trace
        with Switch(engine=engine, cache_dir=tmp_path, recordings_dir=tmp_path, media_root=tmp_path) as switch:
            switch.calls.create(destination="sip:bob@192.0.2.9").wait(10)
"""


def run(pytester: pytest.Pytester, test: str, *, blamed: str = "off", is_ours: bool = True) -> pytest.RunResult:
    pytester.makeini(f"[pytest]\naddopts = -p no:cacheprovider -p no:schemathesis -p no:asyncio -p no:timeout\nsip_lint = {blamed}\n")
    stage = textwrap.dedent(STAGE).replace("IS_OURS", str(is_ours))
    pytester.makepyfile(test_it=stage + textwrap.dedent(test))
    return pytester.runpytest_inprocess("-p", "no:randomly")


PASSES = "def test_it(tmp_path): call(tmp_path)"
FOUND = "*content-length: INVITE says 9 bytes of body and has 0 (RFC 3261 §20.14, by *"


def test_a_failed_test_shows_its_calls(pytester):
    result = run(pytester, "def test_it(tmp_path):\n    call(tmp_path)\n    assert False")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*SIP of call *", "*over: normal, by local*", "*INVITE*-->*", f"lint: {FOUND}", "page: *call-1.html"])
    (page,) = [line.removeprefix("page: ") for line in result.outlines if line.startswith("page: ")]
    with open(page) as file:  # noqa: PTH123
        assert file.read().startswith("<!doctype html>")


def test_a_test_that_passes_shows_nothing(pytester):
    result = run(pytester, PASSES)
    result.assert_outcomes(passed=1)
    assert "SIP of call" not in result.stdout.str()


@pytest.mark.parametrize(("blamed", "is_ours", "errors"), [("ours", True, 1), ("ours", False, 0), ("all", False, 1)])
def test_whose_faults_fail_a_test(pytester, blamed, is_ours, errors):
    result = run(pytester, PASSES, blamed=blamed, is_ours=is_ours)
    result.assert_outcomes(passed=1, errors=errors)
    if errors:
        result.stdout.fnmatch_lines(["*SIP lint has found 1 faults:*", FOUND])


def test_faults_that_are_planted_are_named(pytester):
    planted = f'@pytest.mark.sip_faults("content-length")\n{PASSES}'
    run(pytester, planted, blamed="all").assert_outcomes(passed=1)
    run(pytester, planted.replace("content-length", "bye-once"), blamed="all").assert_outcomes(passed=1, errors=1)
    wrong = run(pytester, planted.replace("content-length", "content-lenght"), blamed="all")
    wrong.assert_outcomes(passed=1, errors=1)
    wrong.stdout.fnmatch_lines(["*sip_faults names rules that are none: content-lenght; there are ack-missing, *"])


def test_a_wrong_setting_is_told(pytester):
    result = run(pytester, PASSES, blamed="theirs")
    result.stderr.fnmatch_lines(["*sip_lint is off, ours or all, not 'theirs'*"])
