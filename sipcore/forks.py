"""What a switch is in a fork of its process: nothing. Its threads are not there, and the pipes to its workers are its parent's."""

from __future__ import annotations

import os

from sipcore.errors import SwitchClosed


class HomeProcess:
    """The process that this was made in."""

    __slots__ = ("_pid",)

    def __init__(self) -> None:
        self._pid = os.getpid()

    @property
    def is_here(self) -> bool:
        """False in a fork of it."""
        return os.getpid() == self._pid

    def check(self) -> None:
        """Nothing may be ordered from a fork.

        Raises:
            SwitchClosed: this is one.
        """
        if not self.is_here:
            raise SwitchClosed(
                f"the switch belongs to process {self._pid}, of which this one is a fork: open a switch of its own here, after the fork"
            )
