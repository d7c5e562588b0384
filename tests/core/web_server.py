"""A web server on loopback that answers what it is told to, and keeps what it was asked."""

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any


@dataclass
class WebServer:
    """`pages` has, for each path, the JSON value to answer, or (status, content type, body), or a function that makes one of these."""

    pages: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, str, bytes]] = field(default_factory=list)
    """Method, path and body of each request."""
    headers: list[dict[str, str]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    let_go: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def wait(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.asked) >= count, 10)


@contextmanager
def web_server(**pages: Any) -> Iterator[WebServer]:
    site = WebServer({f"/{name}": page for name, page in pages.items()})

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            with site.changed:
                site.asked.append((self.command, self.path, body))
                site.headers.append({key.lower(): value for key, value in self.headers.items()})
                site.changed.notify_all()
            page = site.pages.get(self.path.partition("?")[0], (404, "text/plain", b""))
            if isinstance(page, Callable):
                page = page(site)
            status, kind, content = page if isinstance(page, tuple) else (200, "application/json; charset=utf-8", json.dumps(page).encode())
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(content)))
            if status in {301, 302}:
                self.send_header("location", site.url)
            self.end_headers()
            with suppress(OSError):  # who asked has had enough
                self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - names of http.server

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield site
    finally:
        site.let_go.set()
        server.shutdown()
        server.server_close()
        thread.join()
