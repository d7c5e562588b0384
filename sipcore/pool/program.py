"""Start a process of ours as a program of its own, so that nothing of the user's `__main__` is in it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import sipcore


def start_program(module: str, channel: socket.socket, output_fd: int, *arguments: str) -> subprocess.Popen[bytes]:
    """`python -m module --fd <channel> ...`; what it prints goes to `output_fd`.

    Raises:
        OSError: it cannot be started.
    """
    root = str(Path(sipcore.__file__).resolve().parent.parent)
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (environment.get("PYTHONPATH"), root)))
    return subprocess.Popen(
        [sys.executable, "-P", "-m", module, "--fd", str(channel.fileno()), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=output_fd,
        stderr=output_fd,
        pass_fds=(channel.fileno(),),
        start_new_session=True,  # Ctrl-C reaches the user's process only
        env=environment,
    )
