"""A web server on loopback that takes webhooks and answers as it is told."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Receiver:
    """`received` has (path, headers, body) of each request; `answer` gives the status code for the n-th one, `None` for none at all."""

    answer: Callable[[int], int | None] = lambda _: 200
    received: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    let_go: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def wait(self, count: int, timeout_s: float = 10.0) -> list[dict[str, Any]]:
        """The first `count` bodies."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.received) >= count, timeout_s), [len(self.received), count]
            return [json.loads(body) for _, _, body in self.received[:count]]

    def wait_type(self, kind: str, timeout_s: float = 10.0) -> list[dict[str, Any]]:
        """Every body, once one of this type came."""
        with self.changed:
            assert self.changed.wait_for(lambda: any(json.loads(body)["type"] == kind for _, _, body in self.received), timeout_s)
            return [json.loads(body) for _, _, body in self.received]


@contextmanager
def receiving(answer: Callable[[int], int | None] = lambda _: 200) -> Iterator[Receiver]:
    receiver = Receiver(answer)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            with receiver.changed:
                receiver.received.append((self.path, {key.lower(): value for key, value in self.headers.items()}, body))
                code = receiver.answer(len(receiver.received))
                receiver.changed.notify_all()
            if code is None:
                receiver.let_go.wait(20)
                return
            self.send_response(code)
            self.send_header("content-length", "0")
            if code in {301, 302}:
                self.send_header("location", receiver.url)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.let_go.set()
        server.shutdown()
        server.server_close()
        thread.join()
