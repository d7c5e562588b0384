"""Audio: text or file or URL -> ready 16-bit PCM mono WAV in a content-addressed cache.

:class:`AudioLibrary` is the door. The rest can be used by itself: :mod:`media.tones` makes tones, :mod:`media.measure`
listens with numbers, :mod:`media.wav` reads and writes. Everything blocks, is safe to call from any thread, and knows nothing of SIP.
"""

from .cache import PreparedAudio
from .cancel import Cancellation
from .errors import (
    BadSsml,
    Cancelled,
    EmptyText,
    FetchFailed,
    FileMissing,
    MediaError,
    NotAudio,
    PathRefused,
    SpeechError,
    StreamError,
    SynthesisFailed,
    TextTooLong,
    TooLarge,
    TooLong,
    UnknownGender,
    UnknownLanguage,
    UnspeakableText,
    UrlRefused,
    VoiceRefused,
)
from .espeak import EspeakSynthesizer
from .library import AudioLibrary
from .limits import Limits
from .manner import Manner
from .piper import PiperSynthesizer
from .script import Utterance
from .synthesizer import Speech, Synthesizer

__all__ = [
    "AudioLibrary",
    "BadSsml",
    "Cancellation",
    "Cancelled",
    "EmptyText",
    "EspeakSynthesizer",
    "FetchFailed",
    "FileMissing",
    "Limits",
    "Manner",
    "MediaError",
    "NotAudio",
    "PathRefused",
    "PiperSynthesizer",
    "PreparedAudio",
    "Speech",
    "SpeechError",
    "StreamError",
    "SynthesisFailed",
    "Synthesizer",
    "TextTooLong",
    "TooLarge",
    "TooLong",
    "UnknownGender",
    "UnknownLanguage",
    "UnspeakableText",
    "UrlRefused",
    "Utterance",
    "VoiceRefused",
]
