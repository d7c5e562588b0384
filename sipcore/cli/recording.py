"""`sipcore call --record FILE`."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich.console import Console

_FORMATS: Final = (".wav", ".flac", ".ogg", ".mp3")


def recording_path(text: str) -> Path:
    """For argparse: a file that a recording can become."""
    path = Path(text).absolute()
    if path.suffix not in _FORMATS:
        raise argparse.ArgumentTypeError(f"{text!r} must end with {', '.join(_FORMATS)}")
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} cannot be written: it is a folder, or has none")
    return path


@contextmanager
def recording_to(target: Path | None, console: Console) -> Iterator[Path | None]:
    """A folder for the recordings of a switch, beside the file that the recording is to become; nothing without a file."""
    if target is None:
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix=".sipcore-", dir=target.parent))
    try:
        yield folder
        made = list(folder.glob(f"*{target.suffix}"))
        if made:
            made[0].replace(target)
            console.print(f"recorded in {target}")
        else:
            console.print("nothing was recorded")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
