"""Keys that are in the audio only, out of the live audio of a call."""

from __future__ import annotations

from collections.abc import Callable

from media.dtmf_detector import DtmfDetector
from sipcore.liveaudio.audiowire import TICKS_PER_S
from sipcore.liveaudio.line import AudioFrame


class InbandKeys:
    """Finds the keys in the frames of one line; `on_press` gets each once."""

    def __init__(self, on_press: Callable[[str], None]) -> None:
        self._on_press = on_press
        self._detector: DtmfDetector | None = None

    def take(self, frame: AudioFrame) -> None:
        """The next 20 ms."""
        if self._detector is None or frame.lost:  # what was lost may have been the end of a tone
            self._detector = DtmfDetector(TICKS_PER_S * len(frame.samples))
        for press in self._detector.feed(frame.samples):
            self._on_press(press.digit)
