from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from pool_stage import FakeDoor, FakeServer, Stage

from sipcore.pool import crew
from sipcore.pool import pool as pool_module
from sipcore.pool import worker as worker_module


@pytest_asyncio.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    staged = Stage()

    class Watch:
        def __init__(self, pid: int, on_exit: Callable[[], None]) -> None:
            self.pid, self._worker = pid, staged.workers[pid - 900_000]
            self._worker.exit = on_exit

        def kill(self) -> None:
            asyncio.get_running_loop().call_soon(self._worker.die)

        def close(self) -> None:
            pass

    def open_door(*options: Any, **more: Any) -> FakeDoor:
        staged.door = FakeDoor(*options, **more)
        return staged.door

    monkeypatch.setattr(FakeServer, "stage", staged, raising=False)
    monkeypatch.setattr(crew, "ServerProcess", FakeServer)
    monkeypatch.setattr(worker_module, "ProcessWatch", Watch)
    monkeypatch.setattr(pool_module, "DoorHandle", open_door)
    yield staged
    with contextlib.suppress(AttributeError):
        await staged.pool.close(1.0)
    for worker in staged.workers.values():
        worker.die()
