"""Open a file under the media root, and nothing else."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import BinaryIO

from .cancel import Cancellation
from .errors import FileMissing, NotAudio, PathRefused, TooLarge
from .limits import Limits
from .url import shown

_BLOCK_BYTES = 1 << 20


def open_file(name: str, root: Path, limits: Limits) -> BinaryIO:
    """Open ``name``, relative to ``root`` or absolute inside it. Links are followed; where they end counts.

    Raises:
        FileMissing: nothing there.
        PathRefused: outside ``root`` (which is a resolved path), a device, FIFO, socket or directory, or not readable.
        NotAudio: the file is empty.
        TooLarge: more than ``limits.file_max_bytes``.
    """
    title = shown(name)
    try:
        path = (root / name).resolve(strict=True)
        _check_inside(path, root, title)
        _check_regular(path.stat(), title)  # before opening: opening alone can set a device in motion
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        _check_inside(Path(os.path.normpath(root / name)), root, title)
        raise FileMissing(title) from None
    except (OSError, ValueError, RuntimeError) as error:  # ValueError: NUL or surrogates; RuntimeError: links in a circle
        raise PathRefused(title, getattr(error, "strerror", None) or str(error)) from error
    file = os.fdopen(descriptor, "rb")
    try:
        _check_opened(descriptor, root, title, limits)
    except BaseException:
        file.close()
        raise
    return file


def hash_file(file: BinaryIO, cancellation: Cancellation) -> str:
    """Return the SHA-256 of the whole file, in hex. Moves the position to the end."""
    digest = hashlib.sha256()
    file.seek(0)
    while block := file.read(_BLOCK_BYTES):
        cancellation.check()
        digest.update(block)
    return digest.hexdigest()


def _check_opened(descriptor: int, root: Path, title: str, limits: Limits) -> None:
    """Check once more, on what was really opened: a link may have been put in place meanwhile."""
    status = os.fstat(descriptor)
    _check_regular(status, title)
    _check_inside(Path(f"/proc/self/fd/{descriptor}").readlink(), root, title)
    if status.st_size > limits.file_max_bytes:
        raise TooLarge(title, limits.file_max_bytes)
    if status.st_size == 0:
        raise NotAudio(title, "the file is empty")


def _check_inside(path: Path, root: Path, title: str) -> None:
    if not path.is_relative_to(root):
        raise PathRefused(title, "outside the media root")


def _check_regular(status: os.stat_result, title: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = "a directory" if stat.S_ISDIR(status.st_mode) else "a device, FIFO or socket"
        raise PathRefused(title, f"{kind}, not a regular file")
