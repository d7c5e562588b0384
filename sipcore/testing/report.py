"""What a failed test shows besides its traceback: sections in pytest's report, and the files that stay behind.

The plugin calls this; so may a fixture of yours, with `request.node` as the item:

    report.attach(request.node, "PBX log", tmp_path / "pbx.log")             # a file: its path is named
    report.on_failure(request.node, lambda: [("calls", render(switch))])     # asked only when the test has failed
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

Content = str | Path
"""Text to show, or a file to name."""
Provider = Callable[[], Iterable[tuple[str, Content]]]
"""Called when a test has failed, before its fixtures are taken down: titles and contents."""

_ATTACHED = pytest.StashKey[list[tuple[str, Content]]]()
_PROVIDERS = pytest.StashKey[list[Provider]]()
_HAS_FAILED = pytest.StashKey[bool]()


def attach(item: pytest.Item, title: str, content: Content) -> None:
    """Show this when the test fails, in setup, call or teardown; nothing is shown of a test that passes."""
    item.stash.setdefault(_ATTACHED, []).append((title, content))


def on_failure(item: pytest.Item, provider: Provider) -> None:
    """Ask this, once, when the test fails. What it raises is shown instead, and hides nothing else."""
    item.stash.setdefault(_PROVIDERS, []).append(provider)


def has_failed(item: pytest.Item) -> bool:
    """Whether the test has failed by now; for a fixture that decides at its end what it leaves behind."""
    return item.stash.get(_HAS_FAILED, False)


def complete(item: pytest.Item, failure: pytest.TestReport) -> None:
    """Put everything of a failed phase into its report; what was shown is not shown again with a later phase."""
    item.stash[_HAS_FAILED] = True
    for provider in item.stash.get(_PROVIDERS, []):
        for title, content in _asked(provider):
            attach(item, title, content)
    item.stash[_PROVIDERS] = []
    failure.sections += _sections(item.stash.get(_ATTACHED, []))
    item.stash[_ATTACHED] = []


def _asked(provider: Provider) -> list[tuple[str, Content]]:
    try:
        return list(provider())
    except Exception as error:  # noqa: BLE001 - the test's own failure must be seen
        return [("report", f"{getattr(provider, '__qualname__', provider)} raised {type(error).__name__}: {error}")]


def _sections(attached: list[tuple[str, Content]]) -> list[tuple[str, str]]:
    """One section for each title, in the order of the first."""
    by_title: dict[str, list[str]] = {}
    for title, content in attached:
        by_title.setdefault(title, []).append(str(content))
    return [(title, "\n".join(contents)) for title, contents in by_title.items()]
