"""Speech in pieces, as it is made."""

import numpy as np
import pytest

from media import AudioLibrary, Cancellation, EspeakSynthesizer, Speech, tones
from media.manner import PLAIN
from media.synthesizer import streamed

TEXT = "Here is one sentence. And this is another one. The third is the last."


class Words:
    """A tone a sentence, and a note of what was asked for."""

    name = version = "words"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def languages(self):
        return {"en-us": "English"}

    def render(self, text, language, gender, cancellation, manner=PLAIN):
        self.asked.append(text)
        return Speech(tones.tone(440, 0.5, 16_000), 16_000)

    def close(self):
        pass


def test_the_first_piece_is_there_before_the_second_is_asked_for(tmp_path):
    words = Words()
    library = AudioLibrary(tmp_path, synthesizer=words)
    pieces = library.speech_stream("This is a sentence that is long enough to stand alone. " * 3)
    first = next(pieces)
    assert len(words.asked) == 1
    assert len(first) == 4000  # at the library's rate
    assert len(list(pieces)) == len(words.asked) - 1 >= 1
    library.close()


@pytest.mark.slow
def test_espeak_speaks_sentence_by_sentence():
    espeak = EspeakSynthesizer()
    try:
        made = list(streamed(espeak, TEXT, "en-us", "female", Cancellation()))
        assert len(made) == 3
        assert all(len(speech.samples) > speech.rate_hz / 2 for speech in made)
        assert all(np.abs(speech.samples.astype(int)).max() > 1000 for speech in made)
    finally:
        espeak.close()
