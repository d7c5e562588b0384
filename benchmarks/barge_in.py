"""Barge-in: from the first packet of a key (RFC 4733) to the first silent packet that comes back.

The far end is a telephone of the test tools. It hears a tone that ends at any key, presses one at a random moment, and takes the kernel's
time of arrival of what it hears. The next prompt begins half a second after each key.

    python benchmarks/barge_in.py --calls 4 --presses 25
"""

from __future__ import annotations

import argparse
import random
import time
from typing import TYPE_CHECKING, Any

import harness
from harness import in_ms

if TYPE_CHECKING:
    from sipcore.testing.phone.call import PhoneCall

TONE_S = 30
_PAUSE_MS = 500
_AUDIBLE = 500
"""Of 32,768; the tone peaks at 8,000."""


def note_departures(sent: dict[int, float]) -> None:
    """Have every telephone note when the first packet of its last press went out, by its media session."""
    from sipcore.testing.phone.media_session import MediaSession

    plain = MediaSession._event_packet

    def noted(self: MediaSession, payload_type: int, event: bytes) -> bytes:
        if self._event_start is None:
            sent[id(self._listener)] = time.monotonic()
        return plain(self, payload_type, event)

    MediaSession._event_packet = noted  # type: ignore[method-assign]


def is_audible(call: PhoneCall) -> bool:
    """Whether the last packet had the tone in it."""
    with call._changed:
        audio = call._record.listener.audio()[-1:]
    return bool(audio) and int(abs(audio[0][1].astype(int)).max()) > _AUDIBLE


def wait_until(call: PhoneCall, *, audible: bool, timeout_s: float = 10.0) -> None:
    """Look at each packet as it comes.

    Raises:
        TimeoutError: it did not get so.
    """
    end_s = time.monotonic() + timeout_s
    while is_audible(call) != audible:
        if time.monotonic() > end_s:
            raise TimeoutError("the prompt did not start" if audible else "the prompt did not stop")
        call.wait_packets(len(call.packets) + 1, 2.0)


def silence_after(call: PhoneCall, sent_s: float) -> float:
    """Seconds from the press to the first packet without the tone."""
    with call._changed:
        audio = call._record.listener.audio()
    quiet = (packet.arrival_s for packet, samples in audio if packet.arrival_s > sent_s and abs(samples.astype(int)).max() <= _AUDIBLE)
    return next(quiet) - sent_s


def press_all(calls: list[PhoneCall], presses: int, sent: dict[int, float]) -> list[float]:
    """Press keys on all the calls in turn; the delays in milliseconds."""
    delays_ms = []
    for _ in range(presses):
        for call in calls:
            wait_until(call, audible=True)
            time.sleep(random.uniform(0.1, 0.2))  # anywhere in the rasters of 20 ms
            before_s = time.monotonic()
            call.send_digits("5")
            wait_until(call, audible=False)
            press_s = sent[id(call._record.listener)]
            assert press_s >= before_s
            delays_ms.append(silence_after(call, press_s) * 1000)
    return delays_ms


def measure(settings: argparse.Namespace) -> dict[str, Any]:
    """All calls up, then one key at a time."""
    from sipcore import DigitsReceive, Play, Sleep, Switch
    from sipcore.testing.phone import Phone

    sent: dict[int, float] = {}
    note_departures(sent)
    prompt = Play([harness.tone_wav(TONE_S).name], barge_in="any", loop=0)
    actions = [prompt, DigitsReceive(), Sleep(_PAUSE_MS)] * settings.presses
    with Phone("bench") as phone, Switch(**harness.switch_settings(max_legs=max(16, settings.calls))) as switch:
        stolen, begun_s = harness.Stolen(), time.monotonic()
        placed = [switch.calls.create(destination=phone.uri, actions=actions) for _ in range(settings.calls)]
        calls = [phone.wait_call(10.0) for _ in placed]
        delays_ms = sorted(press_all(calls, settings.presses, sent))
        cpu_s = sum(process.cpu_s for process in harness.descendants(memory=False))
        lasted_s = time.monotonic() - begun_s
        steal_share = stolen.share
        for call in placed:
            call.hangup()
            call.wait(10.0)
    figures = {
        name: delays_ms[min(len(delays_ms) - 1, int(part * len(delays_ms)))] for name, part in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))
    }
    figures["max"] = delays_ms[-1]
    return {
        "presses": len(delays_ms),
        "digit_to_silence_ms": figures,
        "server_cores": cpu_s / lasted_s,
        "steal_share": steal_share,
        "steal_over_3_percent": steal_share > 0.03,
    }


def main() -> None:
    """One or more rounds."""
    parser = harness.arguments(__doc__)
    parser.add_argument("--calls", type=int, default=4)
    parser.add_argument("--presses", type=int, default=25, help="of each call, at most 33")
    settings = parser.parse_args()
    for number in range(settings.rounds):
        result = measure(settings)
        harness.save("barge_in", settings, result)
        rows = [
            ("digit to silence", in_ms(result["digit_to_silence_ms"], "p50", "p90", "p99", "max")),
            ("presses", str(result["presses"])),
            ("CPU of the processes below", f"{result['server_cores']:.3f} cores"),
            ("steal", f"{result['steal_share']:.1%}" + (", over 3 %: do not quote this run" if result["steal_over_3_percent"] else "")),
        ]
        harness.print_table(rows, f"round {number + 1}: {settings.calls} calls")


if __name__ == "__main__":
    main()
