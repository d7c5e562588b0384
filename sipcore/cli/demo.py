"""`sipcore demo`: the tutorial's call, placed over loopback to two real far ends, and what they really heard.

A switch calls A, speaks, plays a file served over HTTP, and connects A to B. Nothing outside this machine is needed.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from rich.console import Console

from media import AudioLibrary, measure, tones, wav
from sipcore.actions import Connect, Play, Talk
from sipcore.cli.picture import Lane, Span, draw_call
from sipcore.cli.progress import Progress
from sipcore.events import ActionFinished, ActionStarted, CallAnswered, CallEvent, CallHangup, CallRinging
from sipcore.sync import Switch
from sipcore.testing.phone import Phone, PhoneCall

TEXT = "hello. welcome to sipcore. This is a test message. You will hear a short melody, and then somebody else."
CALLER_ID, CALLEE = "tel:+821028286521", "tel:+821021656521"
A_HZ, B_HZ = 440.0, 1000.0
MELODY_HZ = (523.25, 659.26, 783.99, 1046.5)
RATE_HZ = 8000
B_TALKS_S = 3.0
MIN_CORRELATION = 0.9
MIN_TONE_DB = 15.0


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("demo", help="place the tutorial's call over loopback and look at what arrives")
    parser.add_argument("--output", type=Path, default=Path("build/demo"), metavar="FOLDER", help="default %(default)s")
    parser.add_argument("-v", "--verbose", action="count", default=0, help="log; twice for everything")
    parser.set_defaults(run=run)


@dataclass(slots=True)
class _Seen:
    """The events of the call, and when they came on the monotonic clock of the far ends."""

    events: list[tuple[float, CallEvent]] = field(default_factory=list)

    def take(self, event: CallEvent) -> None:
        """Note an event."""
        self.events.append((time.monotonic(), event))


def run(options: argparse.Namespace) -> int:
    """Run the demo; returns 0 when both far ends heard what they should."""
    console = Console(highlight=False)
    output: Path = options.output
    output.mkdir(parents=True, exist_ok=True)
    seen = _Seen()
    with TemporaryDirectory(prefix="sipcore-demo-") as folder, Phone(name="a") as a, Phone(name="b") as b, _served(Path(folder)) as url:
        a.ring_for(0.5)
        a.tone(A_HZ)
        b.ring_for(1.5)
        b.tone(B_HZ)
        b.hang_up_after(B_TALKS_S)
        console.print(f"far end A at {a.uri} sends {A_HZ:.0f} Hz, far end B at {b.uri} sends {B_HZ:.0f} Hz; a melody at {url}")
        cache = Path(folder) / "cache"
        with Switch(trunk=f"sip:127.0.0.1:{a.sip_port}", caller_id=CALLER_ID, sip_address="127.0.0.1:0", cache_dir=cache) as switch:
            console.print(f"switch at {switch.sip_address}; the trunk is A")
            progress = Progress(console)
            call = switch.calls.create(destination=CALLEE, actions=[Talk(TEXT), Play([url]), Connect([b.uri], timeout_s=20)])
            for event in call.events():
                seen.take(event)
                progress.show(event)
            record = call.wait()
            page = switch.calls.list()
        heard_a, heard_b = a.calls[0], b.calls[0]
        sentences = _speech(cache)
        verdicts = _listen(heard_a, heard_b, sentences, wav.read(Path(folder) / "melody.wav")[0])
    (output / "call.json").write_text(json.dumps(record.to_json(), indent=4) + "\n")
    (output / "calls.json").write_text(json.dumps(page.to_json(), indent=4) + "\n")
    heard_a.write_wav(output / "heard-a.wav")
    heard_b.write_wav(output / "heard-b.wav")
    (output / "call.svg").write_text(_picture(seen, heard_a, heard_b))
    for good, text in verdicts:
        console.print(f"[{'green' if good else 'bold red'}]{'yes' if good else 'NO '}[/]  {text}")
    console.print(f"records, sound and picture: {output}/")
    return 0 if all(good for good, _ in verdicts) else 1


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    """A web server on loopback with a melody; gives its URL."""
    notes = [tones.tone(hz, 0.35, RATE_HZ, level_dbfs=-9.0) for hz in MELODY_HZ]
    wav.write(folder / "melody.wav", np.concatenate(notes), RATE_HZ)
    handler = functools.partial(_QuietHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, name="sipcore-demo-http")
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/melody.wav"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's name
        """Say nothing."""


def _speech(cache: Path) -> list[np.ndarray[Any, np.dtype[np.int16]]]:
    """What is said, sentence by sentence, as the call has it from the cache."""
    library = AudioLibrary(cache)
    try:
        return [wav.read(library.utter(utterance).path)[0] for utterance in library.utterances(TEXT)]
    finally:
        library.close()


def _listen(heard_a: PhoneCall, heard_b: PhoneCall, sentences: list[Any], melody: Any) -> list[tuple[bool, str]]:
    """What arrived, as (is it right, in words)."""
    a, b = heard_a.heard(), heard_b.heard()
    verdicts = []
    said = [(f"sentence {number}", samples) for number, samples in enumerate(sentences, 1)]
    for name, reference in (*said, ("the melody", melody)):
        match = measure.best_match(a, reference, RATE_HZ)
        verdicts.append(
            (match.correlation >= MIN_CORRELATION, f"A heard {name}: correlation {match.correlation:.3f}, at {match.delay_s:.2f} s")
        )
    # The last two seconds of each far end are inside the bridge: B hangs up, and A's list ends there.
    for name, samples, hz, own_hz in (("A heard B's tone", a, B_HZ, A_HZ), ("B heard A's tone", b, A_HZ, B_HZ)):
        tail = samples[-2 * RATE_HZ : -RATE_HZ // 4]
        good = measure.tone_to_rest_db(tail, hz, RATE_HZ) >= MIN_TONE_DB
        level, own = measure.tone_level_db(tail, hz, RATE_HZ), measure.tone_level_db(tail, own_hz, RATE_HZ)
        verdicts.append((good, f"{name}: {hz:.0f} Hz at {level:.1f} dBFS, its own {own_hz:.0f} Hz at {own:.1f} dBFS"))
    return verdicts


def _picture(seen: _Seen, heard_a: PhoneCall, heard_b: PhoneCall) -> str:
    start_s = seen.events[0][0]
    marks = [(at_s - start_s, name) for at_s, event in seen.events if (name := _mark(event))]
    spans, begun = [], {}
    for at_s, event in seen.events:
        match event:
            case ActionStarted():
                begun[event.index] = at_s - start_s
            case ActionFinished():
                spans.append(Span(begun[event.index], at_s - start_s, f"{event.type}: {event.outcome}"))
    lanes = [
        Lane(name, call.heard(), RATE_HZ, (call.first_rtp_at or start_s) - start_s)
        for name, call in (("A heard", heard_a), ("B heard", heard_b))
    ]
    return draw_call(f"A call to {CALLEE}: speech, file, connect", marks, spans, lanes)


def _mark(event: CallEvent) -> str:
    match event:
        case CallRinging():
            return "ringing"
        case CallAnswered():
            return "answered"
        case CallHangup():
            return "hangup"
        case _:
            return ""
