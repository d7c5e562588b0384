"""Where the picture of a failed audio assertion goes. Apart from what draws it: the pytest plugin says where, in every run."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

VARIABLE: Final = "SIPCORE_PICTURES"
"""Environment variable: the folder for pictures, or `off`. It has the last word."""

_chosen: list[Callable[[], Path | None]] = [lambda: Path(tempfile.gettempdir()) / "sipcore-pictures"]


@contextmanager
def pictures_in(folder: Path | Callable[[], Path] | None) -> Iterator[None]:
    """Leave pictures in `folder`, which a function may make when there is one; `None`: draw none. Inner ones go before outer ones."""
    choice: Callable[[], Path | None] = folder if callable(folder) else lambda: folder
    _chosen.append(choice)
    try:
        yield
    finally:
        _chosen.remove(choice)


def picture_folder() -> Path | None:
    """Return the folder for pictures, `None` when none are wanted."""
    named = os.environ.get(VARIABLE)
    if named is not None:
        return None if named in ("", "off") else Path(named)
    return _chosen[-1]()
