"""Everything that can go wrong while audio is prepared, as one tree.

::

    MediaError
    +-- Cancelled                 the caller's cancel event was set, or the library was closed
    +-- SpeechError               talk
    |   +-- EmptyText             nothing in the text can be spoken
    |   +-- TextTooLong           more characters than the limit
    |   +-- UnspeakableText       control characters, NUL or lone surrogates
    |   +-- BadSsml               the text begins with <speak, but is not what is understood of SSML
    |   +-- UnknownLanguage       the synthesizer has no such language
    |   +-- UnknownGender         not female, male or neutral
    |   +-- VoiceRefused          the file of a voice cannot be used
    |   +-- SynthesisFailed       the engine hung, died or answered nonsense
    +-- StreamError               play; carries ``source``, the URL (secrets removed) or path
        +-- UrlRefused            scheme, host or address that may not be read
        +-- PathRefused           outside the media root, a device, a directory, unreadable
        +-- FileMissing           no such file
        +-- FetchFailed           network or HTTP failure; carries ``status_code`` when there was one
        +-- NotAudio              read, but it is not audio
        +-- TooLarge              more bytes than the limit
        +-- TooLong               plays longer than the limit

Errors carry data and the text is made from it. Nothing else leaves the public surface of :mod:`media` on bad input.
"""

from __future__ import annotations

from collections.abc import Sequence


class MediaError(Exception):
    """Any failure to prepare audio."""


class Cancelled(MediaError):
    """The work was given up because the caller's event was set or the library was closed."""

    def __init__(self) -> None:
        super().__init__("cancelled")


class SpeechError(MediaError):
    """A text cannot be made into speech."""


class EmptyText(SpeechError):
    """Nothing in the text can be spoken: it is empty, or punctuation only, or the engine made silence of it."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__("the text is empty" if not text.strip() else f"nothing in the text can be spoken: {_shorten(text)!r}")


class TextTooLong(SpeechError):
    """The text has ``characters`` characters, ``limit_characters`` are allowed."""

    def __init__(self, characters: int, limit_characters: int) -> None:
        self.characters = characters
        self.limit_characters = limit_characters
        super().__init__(f"the text has {characters} characters; at most {limit_characters} are allowed")


class UnspeakableText(SpeechError):
    """The text contains ``character`` at ``position`` (from 0), which is no text."""

    def __init__(self, character: str, position: int) -> None:
        self.character = character
        self.position = position
        super().__init__(
            f"the text contains U+{ord(character):04X} at position {position}: control characters and surrogates cannot be spoken"
        )


class BadSsml(SpeechError):
    """The markup cannot be understood; ``reason`` says why, and ``position`` where in the text it is (from 0)."""

    field = "text"

    def __init__(self, reason: str, position: int) -> None:
        self.reason = reason
        self.position = position
        super().__init__(f"SSML at position {position}: {reason}")


class UnknownLanguage(SpeechError):
    """``language`` is not among the ``known`` ones; ``suggestions`` are close to it, best first."""

    def __init__(self, language: str, known: Sequence[str], suggestions: Sequence[str] = ()) -> None:
        self.language = language
        self.known = tuple(known)
        self.suggestions = tuple(suggestions)
        hint = f"; did you mean {' or '.join(suggestions)}?" if suggestions else ""
        super().__init__(f"unknown language {_shorten(language)!r}{hint} ({len(self.known)} are known)")


class UnknownGender(SpeechError):
    """``gender`` is not one of ``known``."""

    def __init__(self, gender: str, known: Sequence[str]) -> None:
        self.gender = gender
        self.known = tuple(known)
        super().__init__(f"unknown gender {_shorten(gender)!r}; known are {', '.join(self.known)}")


class VoiceRefused(SpeechError):
    """The voice in the file ``source`` cannot be used; ``reason`` says why."""

    def __init__(self, source: str, reason: str) -> None:
        self.source = source
        self.reason = reason
        super().__init__(f"{source}: {reason}")


class SynthesisFailed(SpeechError):
    """The engine ``engine`` did not deliver; ``reason`` says what happened."""

    def __init__(self, engine: str, reason: str) -> None:
        self.engine = engine
        self.reason = reason
        super().__init__(f"{engine} failed: {reason}")


class StreamError(MediaError):
    """A file or URL cannot be played. ``source`` names it without secrets, ``reason`` says why."""

    def __init__(self, source: str, reason: str) -> None:
        self.source = source
        self.reason = reason
        super().__init__(f"{source}: {reason}")


class UrlRefused(StreamError):
    """The URL has a scheme, host or address that may not be read."""


class PathRefused(StreamError):
    """The path leads outside the media root, to something that is no regular file, or may not be read."""


class FileMissing(StreamError):
    """There is no such file."""

    def __init__(self, source: str) -> None:
        super().__init__(source, "no such file")


class FetchFailed(StreamError):
    """The server or the network failed. ``status_code`` is the HTTP status, None when none arrived."""

    def __init__(self, source: str, reason: str, status_code: int | None = None) -> None:
        self.status_code = status_code
        super().__init__(source, reason)


class NotAudio(StreamError):
    """The bytes were read, but they are not audio that can be played."""


class TooLarge(StreamError):
    """More than ``limit_bytes`` bytes."""

    def __init__(self, source: str, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        super().__init__(source, f"larger than the limit of {limit_bytes} bytes")


class TooLong(StreamError):
    """Plays longer than ``limit_s`` seconds."""

    def __init__(self, source: str, limit_s: float) -> None:
        self.limit_s = limit_s
        super().__init__(source, f"longer than the limit of {limit_s:g} s")


def _shorten(text: str, length: int = 60) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."
