"""Debian's Kamailio as a provider's registrar and proxy."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sipcore.testing.ports import free_port

from .programs import end, needs, running, wait_for_options

CONFIG = Path(__file__).with_name("kamailio.cfg")
PASSWORD = "correct-horse"
_RESULTS = {"1": "new", "2": "refreshed", "3": "taken back"}


@dataclass
class Kamailio:
    """One registrar; every user has the password `PASSWORD`, whoever is registered can be called."""

    folder: Path
    port: int
    longest_expires_s: int
    _stack: contextlib.ExitStack

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / "kamailio.log"

    def start(self) -> None:
        program = needs("kamailio", "kamailio")
        config = self.folder / "kamailio.cfg"
        text = CONFIG.read_text()
        filled_in = {"HOST": "127.0.0.1", "PORT": str(self.port), "PASSWORD": PASSWORD, "LONGEST_EXPIRES": str(self.longest_expires_s)}
        for name, value in filled_in.items():
            text = text.replace(name, value)
        config.write_text(text)
        run = self.folder / "run"
        run.mkdir(exist_ok=True)
        command = [program, "-f", str(config), "-DD", "-E", "-m", "32", "-M", "4", "-Y", str(run), "-w", str(self.folder)]
        self._process = self._stack.enter_context(running(command, self.log, self.folder))
        wait_for_options(("127.0.0.1", self.port), self._process, self.log)

    def stop(self) -> None:
        """It forgets every registration."""
        end(self._process)

    def registrations(self, user: str) -> list[tuple[str, str]]:
        """What came of each REGISTER of a user that it took: `("new", "udp")`, "refreshed", "taken back"."""
        found = re.findall(rf"REGISTER {user} over (\w+): (\d)$", self.log.read_text(errors="replace"), re.MULTILINE)
        return [(_RESULTS[result], transport) for transport, result in found]


@contextlib.contextmanager
def kamailio(folder: Path, longest_expires_s: int = 600) -> Iterator[Kamailio]:
    """Running until the end of the block; it grants no registration for longer than that."""
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        registrar = Kamailio(folder, free_port(in_a_row=2), longest_expires_s, stack)
        registrar.start()
        yield registrar
