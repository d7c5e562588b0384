"""An HTTP server with pages for each kind of trouble."""

import contextlib
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Page = Callable[[BaseHTTPRequestHandler], None]


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
