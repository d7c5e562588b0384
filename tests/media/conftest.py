"""What every test of media stands on: a leak check, and an HTTP server with pages for each kind of trouble."""

import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from leftovers import children, descriptors
from page_server import Server

from media import AudioLibrary, Limits


@pytest.fixture(autouse=True)
def _nothing_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """After each test: no thread, child process, descriptor or temporary file of ours."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.setenv("TMPDIR", str(scratch))
    threads, processes, opened = set(threading.enumerate()), children(), descriptors()
    yield
    assert set(threading.enumerate()) <= threads
    assert children() <= processes
    assert set(descriptors().items()) <= set(opened.items())
    assert list(scratch.iterdir()) == []
    assert list(tmp_path.rglob("*.part")) == []


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def make_library(tmp_path: Path) -> Iterator[Callable[..., AudioLibrary]]:
    """Make libraries that are closed at the end; media root is ``tmp_path/"root"``."""
    made: list[AudioLibrary] = []
    (tmp_path / "root").mkdir()

    def make(**options) -> AudioLibrary:
        options.setdefault("synthesizer", None)
        library = AudioLibrary(tmp_path / "cache", tmp_path / "root", **options)
        made.append(library)
        return library

    yield make
    for library in made:
        library.close()


@pytest.fixture
def library(make_library) -> AudioLibrary:
    return make_library(limits=Limits(fetch_timeout_s=5.0, connect_timeout_s=2.0))
