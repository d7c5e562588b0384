"""What every test of media stands on: a leak check, and an HTTP server with pages for each kind of trouble."""

import contextlib
import tempfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from media import AudioLibrary, Limits

Page = Callable[[BaseHTTPRequestHandler], None]


def children() -> set[int]:
    """Process ids of this process's children."""
    pids: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that ended meanwhile
            pids |= {int(pid) for pid in (task / "children").read_text().split()}
    return pids


def descriptors() -> dict[str, str]:
    """What the open file descriptors lead to."""
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found[entry.name] = str(entry.readlink())
    return {number: target for number, target in found.items() if not target.startswith(("/proc/", "anon_inode:"))}


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


class Server:
    """Pages by path; ``stopping`` is set when the server ends, ``requests`` are the headers of what was asked."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.stopping = threading.Event()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                owner.requests.append((self.path, dict(self.headers)))
                self.close_connection = True
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    owner.pages.get(self.path.partition("?")[0], missing)(self)

            def log_message(self, *args) -> None:
                pass

        self.httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.httpd.daemon_threads = False
        self.port = self.httpd.server_address[1]
        self._thread = threading.Thread(target=self.httpd.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def close(self) -> None:
        self.stopping.set()
        self.httpd.shutdown()
        self.httpd.server_close()
        self._thread.join()


def reply(body: bytes, status: int = 200, content_type: str = "audio/wav", **headers: str) -> Page:
    """A page with this body."""

    def page(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", content_type)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return page


def redirect(target: str, status: int = 302) -> Page:
    """A page that points elsewhere."""
    return reply(b"", status, "text/html", Location=target)


def missing(handler: BaseHTTPRequestHandler) -> None:
    reply(b"nothing here", 404, "text/plain")(handler)


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
