"""Text before it is spoken: what is refused, and how long text is cut."""

from __future__ import annotations

import re
import unicodedata

from .errors import EmptyText, TextTooLong, UnspeakableText

CHUNK_MAX_CHARS = 500
"""pyttsx3 takes quadratic time: 5,200 characters at once take ten times as long as 1,300."""

_ALLOWED_CONTROLS = "\t\n\r"
_SPOKEN_PUNCTUATION = "#%&*@\u00a7"
"""Punctuation to Unicode, words to everybody: "number", "percent", "and"."""
_SENTENCE_END = re.compile(r"(?<=[.!?;:\u3002\uff01\uff1f])\s+|\n+|(?<=[\u3002\uff01\uff1f])")
_PHRASE_END = re.compile(r"(?<=[,\u3001\uff0c])\s*|\s+")


def check_text(text: str, max_chars: int) -> None:
    """Refuse what no engine can speak.

    Raises:
        EmptyText: no letter, digit or symbol (``%`` is one). Emoji are symbols; ``...`` and ``?!`` are not.
        TextTooLong: more than ``max_chars`` characters.
        UnspeakableText: NUL and other control characters but tab and line ends, or a lone surrogate.
    """
    if len(text) > max_chars:
        raise TextTooLong(len(text), max_chars)
    for position, character in enumerate(text):
        if unicodedata.category(character) in {"Cc", "Cs"} and character not in _ALLOWED_CONTROLS:
            raise UnspeakableText(character, position)
    if not is_speakable(text):
        raise EmptyText(text)


def is_speakable(text: str) -> bool:
    """Whether there is a letter, digit or symbol in it."""
    return any(unicodedata.category(character)[0] in "LNS" or character in _SPOKEN_PUNCTUATION for character in text)


def chunks(text: str, max_chars: int = CHUNK_MAX_CHARS) -> list[str]:
    """Cut ``text`` at sentence ends into pieces of at most ``max_chars`` characters, white space at the ends removed.

    A sentence that is too long is cut at commas and spaces, and where there are none, anywhere.
    """
    pieces: list[str] = []
    for sentence in _SENTENCE_END.split(text):
        pieces.extend([sentence] if len(sentence) <= max_chars else _cut(sentence, max_chars))
    return _joined(pieces, max_chars)


def _cut(sentence: str, max_chars: int) -> list[str]:
    pieces: list[str] = []
    for phrase in _PHRASE_END.split(sentence):
        pieces.extend(phrase[start : start + max_chars] for start in range(0, len(phrase), max_chars))
    return _joined(pieces, max_chars)


def _joined(pieces: list[str], max_chars: int) -> list[str]:
    """Put neighbours together as long as they fit: fewer joints are heard."""
    result: list[str] = []
    for piece in filter(None, (piece.strip() for piece in pieces)):
        if result and len(result[-1]) + 1 + len(piece) <= max_chars:
            result[-1] = f"{result[-1]} {piece}"
        else:
            result.append(piece)
    return result
