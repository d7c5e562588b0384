"""Fixtures of the HTTP tests."""

from collections.abc import Callable, Iterator

import pytest

from tests.core.stage import write_wav

from .running import Running


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "serve" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def serve(tmp_path) -> Iterator[Callable[..., Running]]:
    """`serve(http={...}, max_legs=...)`: a running server; closed after the test."""
    servers: list[Running] = []

    def serving(**settings) -> Running:
        server = Running(tmp_path, **settings)
        servers.append(server)
        server.open()
        return server

    write_wav(tmp_path / "prompt.wav", 0.1)
    yield serving
    for server in servers:
        server.close()


@pytest.fixture
def served(serve) -> Running:
    """A server with the usual settings."""
    return serve()
