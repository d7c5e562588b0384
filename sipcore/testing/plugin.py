"""The pytest plugin: a switch, telephones and SIPp as fixtures. See docs/testing.md.

pytest loads this module in every run of every project that has sipcore installed. So nothing is imported here that a fixture can import
when it is asked for.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sipcore.testing import report
from sipcore.testing.pictures import pictures_in

if TYPE_CHECKING:
    from sipcore import Switch
    from sipcore.testing.certificates import Certificates
    from sipcore.testing.fixtures import Trunk
    from sipcore.testing.phone import Phone
    from sipcore.testing.simulation import Simulation
    from sipcore.testing.sipp import Sipp

OpenSwitch = Callable[..., "AbstractContextManager[Switch]"]
"""`with open_switch(trunk=...) as switch`: the settings of `switch_settings`, and these."""
OpenPhones = Callable[..., "list[Phone]"]
"""`alice, bob = phones("alice", "bob")`, `phones(3)`."""
FreePorts = Callable[[int], "tuple[int, ...]"]
"""`free_ports(2)`: ports of 127.0.0.1 that are free for UDP and TCP, each another."""

_MARKERS = (
    "switch(**settings): settings of the `switch` fixture, as keywords of sipcore.Switch",
    "sip_lint(blamed): whose faults fail this test, instead of what the configuration says",
    "sip_faults(*rules): rules of SIP lint that this test breaks on purpose; none: any",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The keys of the configuration file."""
    parser.addini("sipp_scenarios", "folders of SIPp scenarios, beside the test's own and its folder `scenarios`", "paths", [])
    parser.addini("sip_lint", "whose faults in SIP fail a test: `off`, `ours` (those of sipcore), or `all`", default="off")
    parser.addini("sipp_missing", "what becomes of a test that needs SIPp where there is none: `fail` or `skip`", default="fail")


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, check the keys."""
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)
    if config.getini("sip_lint") not in ("off", "ours", "all"):
        raise pytest.UsageError(f"sip_lint is off, ours or all, not {config.getini('sip_lint')!r}")
    if config.getini("sipp_missing") not in ("fail", "skip"):
        raise pytest.UsageError(f"sipp_missing is fail or skip, not {config.getini('sipp_missing')!r}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put what the fixtures know into the report of a test that failed."""
    outcome = yield
    if outcome.failed:
        report.complete(item, outcome)
    return outcome


@pytest.fixture(autouse=True)
def _watched_switches(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what switches do for the report; and SIP lint. Nothing as long as nobody has imported sipcore."""
    if "sipcore.switch" in sys.modules:
        from sipcore.testing.flights import watch

        watch(request.node, lambda: tmp_path_factory.mktemp("flights"))
    yield
    marker = request.node.get_closest_marker("sip_lint")
    blamed = marker.args[0] if marker else request.config.getini("sip_lint")
    if blamed != "off" and "sipcore.switch" in sys.modules:
        from sipcore.testing.flights import check

        check(request.node, blamed)


@pytest.fixture(autouse=True)
def _pictures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Pictures of failed audio assertions go where pytest keeps what failed."""
    with pictures_in(lambda: tmp_path_factory.mktemp("pictures")):
        yield


# --------------------------------------------------------------------------------------------------------- ports


@pytest.fixture(scope="session")
def free_ports() -> FreePorts:
    """`free_ports(2)`: for programs that cannot take port 0 themselves."""
    from sipcore.testing.ports import distinct_ports

    return distinct_ports


@pytest.fixture(scope="session")
def rtp_ports() -> Iterator[tuple[int, int]]:
    """First and last of the RTP ports that this pytest process has to itself, whatever other ones run beside it."""
    from sipcore.testing.ports import claimed_range

    with claimed_range() as ports:
        yield ports


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """For SIP over TLS: `certificates.settings` for a switch, `certificates.for_client()` for who calls it."""
    from sipcore.testing.certificates import Certificates

    return Certificates.write(tmp_path_factory.mktemp("certificates"))


# -------------------------------------------------------------------------------------------------------- switch


@pytest.fixture(scope="session")
def audio_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared audio: what one test has had spoken need not be made again for the next."""
    return tmp_path_factory.mktemp("sipcore-audio")


@pytest.fixture
def switch_settings(rtp_ports: tuple[int, int], audio_cache: Path, tmp_path: Path) -> dict[str, Any]:
    """What `switch` and `open_switch` start with; override it in a `conftest.py` to change them all."""
    return {
        "sip_address": "127.0.0.1:0",
        "rtp_ports": rtp_ports,
        "cache_dir": audio_cache,
        "recordings_dir": tmp_path / "recordings",
        "max_legs": 16,
        "stranger_share": 1.0,
        "unanswered_share": 1.0,
        "dial_timeout_s": 10.0,
        "hangup_timeout_s": 3.0,
        "grace_s": 3.0,
    }


@pytest.fixture
def open_switch(request: pytest.FixtureRequest, switch_settings: dict[str, Any], tmp_path: Path) -> OpenSwitch:
    """Switches with settings of their own, as many as the test wants."""
    from sipcore.testing.fixtures import opened_switch
    from sipcore.testing.flights import watch

    watch(request.node, lambda: tmp_path)
    return lambda **settings: opened_switch(request.node, switch_settings | settings)


@pytest.fixture
def switch(request: pytest.FixtureRequest, open_switch: OpenSwitch) -> Iterator[Switch]:
    """A fresh switch on free ports, with its records in memory, and with `trunk` when the test has that too."""
    settings: dict[str, Any] = {}
    if "trunk" in request.fixturenames:
        settings |= request.getfixturevalue("trunk").settings
    for marker in reversed(list(request.node.iter_markers("switch"))):  # the nearest one decides
        settings |= marker.kwargs
    with open_switch(**settings) as opened:
        yield opened


# ------------------------------------------------------------------------------------------------------- far ends


@pytest.fixture
def phones(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenPhones]:
    """Telephones of this test: `phones(3)`, `phones("alice", "bob", codecs=["PCMA"])`."""
    from sipcore.testing.fixtures import opened_phones

    with contextlib.ExitStack() as stack:
        yield lambda *names, **options: opened_phones(request.node, stack, tmp_path, names, options)


@pytest.fixture
def phone(phones: OpenPhones) -> Phone:
    """A telephone that rings and answers at once, and can be told to do otherwise."""
    return phones("phone")[0]


@pytest.fixture
def trunk(phones: OpenPhones) -> Trunk:
    """A provider: every `tel:` number that `switch` calls rings at `trunk.phone`."""
    from sipcore.testing.fixtures import Trunk

    return Trunk(phones("trunk")[0])


@pytest.fixture
def sipp(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sipp]:
    """SIPp, with the scenarios beside the test, in its folder `scenarios`, in those of `sipp_scenarios`, and of the library."""
    from sipcore.testing.fixtures import sipp_report
    from sipcore.testing.sipp import Sipp

    if request.config.getini("sipp_missing") == "skip" and shutil.which("sipp") is None:
        pytest.skip("SIPp is not installed: apt-get install sip-tester")
    beside = request.path.parent
    folders = [beside / "scenarios", beside, *request.config.getini("sipp_scenarios")]
    logs = tmp_path / "sipp"
    driver = Sipp(folders, logs, keeps_logs=True)
    report.on_failure(request.node, lambda: sipp_report(driver))
    yield driver
    driver.close()
    if not report.has_failed(request.node):
        shutil.rmtree(logs, ignore_errors=True)


# ----------------------------------------------------------------------------------------------------- simulation


@pytest.fixture
def simulation(request: pytest.FixtureRequest) -> Iterator[Simulation]:
    """A switch without a network on virtual time, which starts with this test's own seed, always the same."""
    from sipcore.testing.simulation import Simulation

    with Simulation() as simulation:
        report.on_failure(request.node, lambda: [("simulated calls", simulation.trace_text())])
        yield simulation
