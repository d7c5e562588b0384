"""What this process holds: children and open files."""

import contextlib
from pathlib import Path


def children() -> set[int]:
    """Process ids of this process's children."""
    pids: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that ended meanwhile
            pids |= {int(pid) for pid in (task / "children").read_text().split()}
    return pids


def descriptors() -> dict[str, str]:
    """What the open file descriptors lead to."""
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found[entry.name] = str(entry.readlink())
    return {number: target for number, target in found.items() if not target.startswith(("/proc/", "anon_inode:"))}
