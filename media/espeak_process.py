"""One speaking child process and the conversation with it."""

from __future__ import annotations

import json
import os
import select
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .cancel import SLICE_S, Cancellation, Deadline
from .errors import SynthesisFailed
from .espeak_child import LENGTHS, pack, unpack_lengths

_STOP_S = 2.0


class ChildDied(SynthesisFailed):
    """The child ended, or closed its pipe, in the middle of a request."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One frame from the child."""

    message: dict[str, Any]
    payload: bytes


class EspeakProcess:
    """A child in a session of its own: Ctrl-C does not reach it. For one thread at a time, but ``kill`` for any."""

    def __init__(self, command: Sequence[str]) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the child; unlinked from the start
        try:
            self._process = subprocess.Popen(
                list(command), bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, start_new_session=True
            )
        except OSError as error:
            self._errors.close()
            raise SynthesisFailed("espeak-ng", f"the child process cannot be started: {error}") from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        os.set_blocking(self._stdin.fileno(), False)
        os.set_blocking(self._stdout.fileno(), False)
        self.requests = 0

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def receive(self, timeout_s: float, cancellation: Cancellation) -> Answer:
        """Wait for the next frame.

        Raises:
            ChildDied: the child is gone.
            SynthesisFailed: no frame in time, nonsense, or an error told by the child, which is of no use any more.
            Cancelled: likewise, its answer would be taken for the next one.
        """
        deadline = Deadline(timeout_s)
        try:
            message_bytes, payload_bytes = unpack_lengths(self._read(LENGTHS.size, deadline, cancellation))
            message = json.loads(self._read(message_bytes, deadline, cancellation))
        except ValueError as error:
            raise SynthesisFailed("espeak-ng", f"the child answered nonsense: {error}") from error
        if not isinstance(message, dict) or "error" in message:
            raise SynthesisFailed("espeak-ng", str(message.get("error") if isinstance(message, dict) else message))
        return Answer(message, self._read(payload_bytes, deadline, cancellation))

    def ask(self, message: dict[str, Any], timeout_s: float, cancellation: Cancellation) -> Answer:
        """Send one request and wait for its answer. Raises like :meth:`receive`."""
        self.requests += 1
        deadline = Deadline(timeout_s)
        view = memoryview(pack(message))
        while view:
            self._wait([], [self._stdin.fileno()], deadline, cancellation)
            try:
                view = view[os.write(self._stdin.fileno(), view) :]
            except BrokenPipeError:
                raise self._died() from None
        return self.receive(deadline.left_s, cancellation)

    def stop(self) -> None:
        """End the child: end of file on its stdin, then SIGKILL. It is waited for, and nothing stays open."""
        self._stdin.close()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._reap()

    def kill(self) -> None:
        """End the child at once."""
        self._process.kill()
        self._reap()

    def signal_end(self) -> None:
        """Kill the child without waiting; whoever is talking to it finds it dead."""
        self._process.kill()

    def _reap(self) -> None:
        self._process.wait()
        for file in (self._stdin, self._stdout, self._errors):
            file.close()

    def _read(self, size: int, deadline: Deadline, cancellation: Cancellation) -> bytes:
        data = bytearray()
        while len(data) < size:
            self._wait([self._stdout.fileno()], [], deadline, cancellation)
            if not (part := os.read(self._stdout.fileno(), min(size - len(data), 1 << 20))):
                raise self._died()
            data += part
        return bytes(data)

    def _wait(self, readers: list[int], writers: list[int], deadline: Deadline, cancellation: Cancellation) -> None:
        poll = select.poll()
        for descriptor in readers:
            poll.register(descriptor, select.POLLIN)
        for descriptor in writers:
            poll.register(descriptor, select.POLLOUT)
        while True:
            cancellation.check()
            if poll.poll(min(SLICE_S, deadline.left_s) * 1000):
                return
            if deadline.is_over:
                raise SynthesisFailed("espeak-ng", "no answer in time")

    def _died(self) -> ChildDied:
        try:
            status: object = self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            status = "unknown"
        self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - 500))
        said = self._errors.read().decode(errors="replace").strip()
        return ChildDied("espeak-ng", f"the child process ended with status {status}" + (f": {said}" if said else ""))
