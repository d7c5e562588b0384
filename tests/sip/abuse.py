"""A switch with calls that play, to be abused: are they still heard, what do our processes take, does it still serve?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from media.measure import rms_dbfs
from media.wav import write
from sipcore import Answer, Call, Play, Switch
from sipcore.testing.phone import Phone
from sipcore.testing.phone.call import CallState, PhoneCall

from .bystander import bystanders

ROOT: Final = Path(__file__).resolve().parents[2]
RATE_HZ: Final = 8000
FRAME_SAMPLES: Final = 160
TONE_HZ: Final = 440
LIVE_CALLS: Final = 8
BYSTANDERS: Final = 2
"""As many as there are workers that play."""
MAX_GAP_MS: Final = 100.0
"""Between two packets; a telephone's jitter buffer bridges it. What holds up a bystander comes on top. `make soak` checks it."""
MAX_GAP_IN_COMPANY_MS: Final = 250.0
"""The same where other tests run beside."""
TRUNK_SOURCE: Final = "127.0.0.9"
STRANGER: Final = "127.0.0.66"
"""No trunk's, and in no network that may call."""
NEIGHBOUR: Final = "127.0.0.5"
"""In a network that may call, but no trunk's."""
SETTINGS: Final[dict[str, Any]] = {
    "trunks": [{"name": "carrier", "addresses": [TRUNK_SOURCE], "sources": [TRUNK_SOURCE]}],
    "accept_from": ["127.0.0.1", NEIGHBOUR],
    "min_workers": 4,
    "max_legs": 64,
}


def write_tone(path: Path, seconds: float) -> Path:
    """A sine that is heard from its first sample to its last."""
    times = np.arange(round(seconds * RATE_HZ))
    write(path, np.rint(8000 * np.cos(2 * np.pi * TONE_HZ * times / RATE_HZ)).astype(np.int16), RATE_HZ)
    return path


@dataclass(frozen=True)
class Live:
    """Calls that play a tone to a phone."""

    calls: list[Call]
    heard: list[PhoneCall]
    held_up_ms: Callable[[], float]
    """The longest that this machine let processes wait that have nothing to do with it."""

    def assert_steady(self, max_gap_ms: float = MAX_GAP_IN_COMPANY_MS) -> None:
        """Every call is up, lost no packet, had no gap, and the tone never stopped."""
        for call in self.heard:
            assert call.state is CallState.ANSWERED, call.flow()
            assert call.lost_packets == 0
            gap_ms, held_up_ms = call.max_gap_ms, self.held_up_ms()
            assert gap_ms < max_gap_ms + held_up_ms, f"a gap of {gap_ms:.0f} ms; bystanders were held up for {held_up_ms:.0f} ms"
            assert not (quiet := quiet_frames(call)), f"quiet at {[f'{index * 0.02:.2f} s' for index in quiet[:10]]}"

    def wait_packets(self, more: int, timeout_s: float = 10.0) -> None:
        """Returns when each call has heard so many more packets."""
        for call, wanted in [(call, len(call.packets) + more) for call in self.heard]:
            call.wait_packets(wanted, timeout_s)


def quiet_frames(call: PhoneCall) -> list[int]:
    """The 20 ms frames of what was heard, from the first sound on, that have no tone in them."""
    heard = call.heard()
    frames = heard[: len(heard) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    is_loud = [rms_dbfs(frame) > -30 for frame in frames]
    assert any(is_loud), f"{call} heard no tone"
    first = is_loud.index(True)
    return [index for index, loud in enumerate(is_loud) if index > first and not loud]


@contextmanager
def talking(switch: Switch, media_root: Path, seconds: float, count: int = LIVE_CALLS) -> Iterator[Live]:
    """So many calls to one phone, each with a tone of `seconds`."""
    tone = write_tone(media_root / f"tone-{seconds:g}.wav", seconds)
    with bystanders(BYSTANDERS) as held_up_ms, Phone("listener") as phone:
        calls = [switch.calls.create(destination=phone.uri, actions=[Play([tone.name])]) for _ in range(count)]
        heard = [phone.wait_call(10) for _ in calls]
        for call in heard:
            call.wait_packets(25, 10)
        yield Live(calls, heard, held_up_ms)
        for call in calls:
            switch.calls.hangup(call.id)
        for call in calls:
            call.wait(timeout_s=10)


def serve(switch: Switch, media_root: Path, to: str = "*") -> None:
    """Calls from outside are answered and hear two minutes of tone."""
    switch.on_call(to=to, actions=[Answer(), Play([write_tone(media_root / "welcome.wav", 120).name])])


def assert_serves(switch: Switch, within_s: float = 10.0, host: str = TRUNK_SOURCE) -> float:
    """A call of the trunk is answered, and ends; returns the seconds to the answer.

    A second is the promise, which `make soak` checks; other tests run beside this one.
    """
    with Phone("probe", host=host) as phone:
        started_s = time.monotonic()
        call = phone.call(f"sip:service@{switch.sip_address}")
        call.wait_answered(20)
        assert call.answered_at is not None
        answered_after_s = call.answered_at - started_s
        assert answered_after_s < within_s, f"answered after {answered_after_s:.2f} s"
        hang_up(call)
        return answered_after_s


def hang_up(call: PhoneCall) -> None:
    """The phone's BYE is answered."""
    call.hang_up()
    call.wait_ended(5)
    assert "< 200" in call.flow().partition("> BYE")[2], call.flow()


@contextmanager
def flood(address: str, **options: object) -> Iterator[dict[str, Any]]:
    """Runs `tests.sip.flooder` beside the body; when that is over, waits for its end and fills in what it has told."""
    arguments = [text for name, value in options.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    command = [sys.executable, "-m", "tests.sip.flooder", address, *arguments]
    result: dict[str, Any] = {}
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield result
            output, _ = process.communicate(timeout=60)
        except BaseException:
            process.kill()
            raise
    result |= json.loads(output)


def worker_pids(switch: Switch) -> set[int]:
    """The processes that hold PJSIP."""
    return {worker.pid for worker in engine_of(switch).workers()}


def engine_of(switch: Switch) -> Any:
    """The pool below a switch."""
    return switch._switch.engine


def rss_mb(switch: Switch) -> float:
    """Resident memory of this process, the front door and the workers together; shared pages count in each."""
    pool = engine_of(switch)
    return sum(_rss_kb(pid) for pid in {os.getpid(), pool.door_pid, pool.server_pid, *worker_pids(switch)}) / 1024


def door_rss_mb(switch: Switch) -> float:
    """Resident memory of the front door."""
    return _rss_kb(engine_of(switch).door_pid) / 1024


def _rss_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS")), 0)


def until(is_so: Any, timeout_s: float = 10.0) -> None:
    """Returns when `is_so()`; asks a hundred times a second.

    Raises:
        TimeoutError: it never was.
    """
    end_s = time.monotonic() + timeout_s
    while not is_so():
        if time.monotonic() > end_s:
            raise TimeoutError("it did not come about")
        time.sleep(0.01)
