"""Attended transfer between two phones that know Replaces, PJSIP with its defaults: afterwards they talk without us."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sipcore import Transfer
from sipcore.events import TransferUpdated

from .hearing import assert_ends_with

PROGRAM = Path(__file__).with_name("pjsip_phone.py")
ANN_HZ, BOB_HZ = 500.0, 900.0
WAIT_S = 15.0


@dataclass
class PjsipPhone:
    """One that runs; `states` are those of its calls, in order."""

    process: subprocess.Popen[str]
    recording: Path
    uri: str
    states: list[str] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self.changed:
                self.states += line.split()[:1]
                self.changed.notify_all()

    def wait_for(self, state: str, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.states.count(state) >= count, WAIT_S), self.states


@contextlib.contextmanager
def pjsip_phone(folder: Path, name: str, hz: float) -> Iterator[PjsipPhone]:
    recording = folder / f"{name}.wav"
    command = [sys.executable, str(PROGRAM), str(int(hz)), str(recording)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        port = next(line.split()[1] for line in process.stdout if line.startswith("port "))
        phone = PjsipPhone(process, recording, f"sip:{name}@127.0.0.1:{port}")
        reader = threading.Thread(target=phone.read)
        reader.start()
        try:
            yield phone
        finally:
            process.stdin.close()
            try:
                process.wait(WAIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
            reader.join()


def test_two_phones_go_on_without_us(tmp_path, open_switch):
    with pjsip_phone(tmp_path, "ann", ANN_HZ) as ann, pjsip_phone(tmp_path, "bob", BOB_HZ) as bob:
        with open_switch() as switch:
            call = switch.calls.create(destination=ann.uri, actions=[Transfer(bob.uri, attended=True)])
            assert call.wait(WAIT_S).hangup_reason == "normal"
            (leg,) = [switch.calls.get(leg_id) for leg_id in call.record.chained_call_ids]
            told = [event.sip_code for event in call.events() if isinstance(event, TransferUpdated)]
        assert (leg.hangup_by, told[0], told[-1]) == ("remote", 202, 200), "bob has ended our call: it was replaced"
        for phone in (ann, bob):
            phone.wait_for("CONFIRMED", 2)
            phone.wait_for("DISCONNECTED", 1)
            assert phone.states.count("DISCONNECTED") == 1, "they are still connected, and we are gone"
        threading.Event().wait(0.8)  # of audio, in real time
    assert_ends_with(ann.recording, BOB_HZ)
    assert_ends_with(bob.recording, ANN_HZ)
