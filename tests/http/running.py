"""A served switch on the fake engine, in a thread of this process, and a client for it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx

from media import Cancellation, Speech, tones
from media.manner import PLAIN, Manner
from sipcore.config import make_config
from sipcore.http.addresses import bind, url_of
from sipcore.http.server import HttpServer
from sipcore.switch import AsyncSwitch
from sipcore.testing.fake_engine import FakeEngine, FarEnd
from tests.core.stage import Beeps

Result = TypeVar("Result")

TOKEN = "a-token-of-user-one"
OTHER = "a-token-of-user-two"
JWT_SECRET = "a secret of more than thirty-two bytes"
WEBHOOK_SECRET = "a secret for webhooks"
HTTP = {
    "tokens": [TOKEN],
    "users": [{"id": 2, "tokens": [OTHER]}],
    "jwt_secret": JWT_SECRET,
    "webhook_secret": WEBHOOK_SECRET,
}
SOURCE = {"type": "tel", "target": "+821028286521"}
WAIT_S = 10.0


def body(user: str = "bob", **more: Any) -> dict[str, Any]:
    """A request for a call to one scripted far end: `bob` answers, `stay` rings for ever."""
    return {"source": SOURCE, "destination": f"sip:{user}@192.0.2.9"} | more


class Clicks(Beeps):
    """Says any text in 50 ms: time is real here."""

    def render(self, text: str, language: str, gender: str, cancellation: Cancellation, manner: Manner = PLAIN) -> Speech:
        return Speech(tones.tone(440.0, 0.05, 8000), 8000)


class Running:
    """The server; `client` has the token of user 1."""

    def __init__(
        self, root: Path, *, http: dict[str, Any] | None = None, backoff_s: tuple[float, ...] = (0.01, 0.01), **settings: Any
    ) -> None:
        self.engine = FakeEngine(max_legs=settings.get("max_legs", 64))
        self.engine.far_end("stay", FarEnd(answer_after_s=None))
        self.engine.far_end("talker", FarEnd())
        settings = {"recordings_dir": root / "recordings"} | settings
        given = {"cache_dir": root / "cache", "media_root": root, "trunk": "sip:192.0.2.8", "grace_s": 2.0, "http": HTTP | (http or {})}
        self._config = make_config(given | settings)
        self._backoff_s = backoff_s
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="served")
        self._clients: list[httpx.Client] = []

    def open(self) -> None:
        self._thread.start()
        self.server = self.run(self._open())
        self.client = self.client_of(TOKEN)

    async def _open(self) -> HttpServer:
        sock = bind("127.0.0.1", 0)
        self.url = url_of(sock)
        switch = AsyncSwitch(engine=self.engine, synthesizer=Clicks(), config=self._config)
        server = HttpServer(switch, sock, webhook_timeout_s=0.5, webhook_backoff_s=self._backoff_s)
        await server.open()
        return server

    def close(self) -> None:
        for client in self._clients:
            client.close()
        if hasattr(self, "server"):
            self.run(self.server.close())
        self.run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def switch(self) -> AsyncSwitch:
        return self.server.switch

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine on the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def do(self, work: Callable[[], Result]) -> Result:
        """Call a function on the server's loop."""

        async def doing() -> Result:
            return work()

        return self.run(doing())

    def client_of(self, token: str = "") -> httpx.Client:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        client = httpx.Client(base_url=self.url, headers=headers, timeout=WAIT_S, trust_env=False, verify=False)
        self._clients.append(client)
        return client

    def create(self, user: str = "bob", **more: Any) -> dict[str, Any]:
        """Place a call, which must work."""
        answer = self.client.post("/v1.0/calls", json=body(user, **more))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def wait(self, call_id: str) -> None:
        """Until the call is over."""

        async def waiting() -> None:
            if call := self.switch.calls.live(call_id):
                await call.wait(WAIT_S)

        self.run(waiting())

    def get(self, call_id: str) -> dict[str, Any]:
        answer = self.client.get(f"/v1.0/calls/{call_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def raw(self, data: bytes) -> bytes:
        """Send bytes, and read until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=WAIT_S) as sock:
            sock.sendall(data)
            return read_all(sock)

    def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for something on the server's loop, each turn of the loop."""

        async def waiting() -> None:
            async with asyncio.timeout(WAIT_S):
                while not is_so():  # noqa: ASYNC110 - of what has no event
                    await asyncio.sleep(0.002)

        self.run(waiting())

    @contextlib.contextmanager
    def follow(self, token: str = TOKEN, **options: Any) -> Iterator[Iterator[dict[str, Any]]]:
        """The events of `GET /v1.0/events`."""
        headers = {"authorization": f"Bearer {token}"} | options.pop("headers", {})
        before = self.server.streams.open_streams
        with httpx.stream(
            "GET", f"{self.url}/v1.0/events", headers=headers, timeout=WAIT_S, trust_env=False, verify=False, **options
        ) as response:
            assert response.status_code == 200
            assert response.headers["content-type"].startswith("text/event-stream")
            lines = response.iter_lines()
            assert next(lines).startswith("retry:")
            yield _events(lines)
        self.until(lambda: self.server.streams.open_streams <= before)


def _events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def read_all(sock: socket.socket) -> bytes:
    data = b""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        try:
            block = sock.recv(65536)
        except ConnectionResetError:
            break
        if not block:
            break
        data += block
    return data


def assert_error(answer: httpx.Response, code: int, reason: str, *fields: str) -> dict[str, Any]:
    """The documented shape, with these fields named."""
    assert answer.status_code == code, answer.text
    assert answer.headers["content-type"] == "application/json"
    told = answer.json()
    assert list(told) == ["error"]
    error = told["error"]
    assert list(error) == ["status", "reason", "message", "details"]
    assert error["reason"] == reason
    assert error["status"]
    assert error["message"]
    for detail in error["details"]:
        assert list(detail) == ["field", "message"]
    assert [detail["field"] for detail in error["details"]] == list(fields)
    return error
