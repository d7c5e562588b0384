"""What holds for every test: nothing of ours is left when it is over."""

from __future__ import annotations

import gc
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")  # how long an example takes says how busy the machine is

_REAPING_S = 3.0
"""A process that was ended is waited for this long, until its parent has taken note."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that may take longest first, so that none still runs when the other processes have nothing left to do.

    Hypothesis tests are for `make test`: a hundred examples each are most of what `make check` would wait for.
    """
    for item in items:
        if is_hypothesis_test(getattr(item, "obj", None)):
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: -max((mark.args[0] for mark in item.iter_markers("timeout")), default=0))


def pytest_collection_finish() -> None:
    """Let no collection of garbage go through all that is imported by now: it holds up every thread for a quarter of a second.

    A telephone of the test kit, or a switch with its events, then sends and hears late, which is no fault of either.
    """
    gc.freeze()


def _threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if not isinstance(thread, threading._DummyThread)}


def _descendants() -> dict[int, str]:
    """Every process that descends from this one, by pid: its state and command."""
    found: dict[int, str] = {}
    unseen = _children(os.getpid())
    while unseen:
        pid = unseen.pop()
        try:
            name, _, rest = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")
        except OSError:
            continue  # it is gone
        found[pid] = f"{rest.split()[0]} {name.partition('(')[2]}"
        unseen += _children(pid)
    return found


def _children(pid: int) -> list[int]:
    """Of all its threads; needs CONFIG_PROC_CHILDREN, which Debian and Ubuntu have."""
    found: list[int] = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in children.read_text().split()]
        except OSError:
            continue
    return found


def _sockets() -> set[str]:
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        try:
            target = str(link.readlink())
        except OSError:
            continue  # the descriptor that lists this folder
        if target.startswith("socket:"):
            found.add(target)
    return found


@pytest.fixture(scope="session", autouse=True)
def temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for temporary files that nobody but these tests and their processes uses."""
    folder = tmp_path_factory.mktemp("temporary")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        patch.setattr(tempfile, "tempdir", str(folder))
        yield folder


@pytest.fixture(autouse=True)
def leaves_nothing_behind(temporary_folder: Path) -> Iterator[None]:
    """Fail a test that leaves a thread, a child process, a socket or a temporary file."""
    threads, processes, sockets, files = _threads(), _descendants(), _sockets(), set(temporary_folder.iterdir())
    yield
    deadline = time.monotonic() + _REAPING_S
    while (left := {pid: name for pid, name in _descendants().items() if pid not in processes}) and time.monotonic() < deadline:
        if not all(name.startswith(("Z", "X")) for name in left.values()):
            break
        time.sleep(0.01)
    assert not left, f"processes left: {left}"
    assert not (left_threads := _threads() - threads), f"threads left: {left_threads}"
    assert not (left_sockets := _sockets() - sockets), f"sockets left: {left_sockets}"
    assert not (left_files := set(temporary_folder.iterdir()) - files), f"temporary files left: {left_files}"
