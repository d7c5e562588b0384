"""What a worker's process has, as the kernel counts it."""

from __future__ import annotations

from pathlib import Path


def descriptors(pid: int) -> int:
    """Open files and sockets."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def private_kb(pid: int) -> int:
    """Memory that is its own: written to, or swapped out since."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith(("Private_Dirty", "Swap:")))
