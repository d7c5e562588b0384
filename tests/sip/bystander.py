"""A process that does nothing but wake every 20 ms, as who sends audio does: how late it is, this machine is.

python -m tests.sip.bystander    prints each delay of more than 20 ms, in ms, until its parent is gone
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
TICK_S: Final = 0.02


def wake() -> None:
    parent, due_s = os.getppid(), time.monotonic()
    while os.getppid() == parent:
        due_s += TICK_S
        time.sleep(max(0.0, due_s - time.monotonic()))
        late_s = time.monotonic() - due_s
        if late_s > TICK_S:
            print(late_s * 1000, flush=True)
            due_s += late_s


@contextmanager
def bystanders(count: int) -> Iterator[Callable[[], float]]:
    """So many of them; calls of the function tell the longest delay of any of them so far, in ms."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        told = [folder / str(number) for number in range(count)]
        for path in told:
            output = stack.enter_context(path.open("wb"))
            process = stack.enter_context(subprocess.Popen([sys.executable, "-m", "tests.sip.bystander"], cwd=ROOT, stdout=output))
            stack.callback(process.kill)

        def longest_ms() -> float:
            lines = [line for path in told for line in path.read_text().splitlines(keepends=True)]
            return max((float(line) for line in lines if line.endswith("\n")), default=0.0)

        yield longest_ms


if __name__ == "__main__":
    wake()
