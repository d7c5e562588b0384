"""A text as what is to be said one after the other, each part ready to be played before the next one is made. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from .errors import EmptyText
from .sentences import sentences
from .ssml import PAUSES_MAX_S, Pause, SentenceEnd, Spoken, is_ssml, parse
from .text import is_speakable

PART_MIN_CHARS = 40
"""Shorter sentences are said together with what follows: each part costs a file and a moment in the player."""


_KEPT = 256
"""Texts that were taken apart lately: a text is asked for when its call is placed, when it is prepared and when it is said."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """What is said without interruption."""

    parts: tuple[Spoken | Pause, ...]
    language: str
    is_alone: bool = True
    """Nothing else of its text is said: it must not be silence."""


@lru_cache(maxsize=_KEPT)
def script(text: str, language: str, pauses_max_s: float = PAUSES_MAX_S) -> tuple[Utterance, ...]:
    """What a text, plain or SSML, says: a sentence each, or a few short ones.

    Raises:
        BadSsml: SSML that is not understood.
        EmptyText: nothing in it can be spoken.
    """
    if is_ssml(text):
        document = parse(text, language, pauses_max_s)
        language = document.language or language
        atoms = _marked(document.segments)
    else:
        atoms = _ended(Spoken(sentence) for sentence in sentences(text))
    found = tuple(Utterance(parts, language) for parts in _grouped(atoms))
    if not any(isinstance(part, Spoken) for utterance in found for part in utterance.parts):
        raise EmptyText(text)
    return found if len(found) == 1 else tuple(replace(utterance, is_alone=False) for utterance in found)


@lru_cache(maxsize=_KEPT)
def whole(text: str, language: str, pauses_max_s: float = PAUSES_MAX_S) -> Utterance:
    """The same in one piece. Raises like :func:`script`."""
    if not is_ssml(text):
        return Utterance((Spoken(text),), language)
    utterances = script(text, language, pauses_max_s)
    return Utterance(tuple(itertools.chain.from_iterable(utterance.parts for utterance in utterances)), utterances[0].language)


def _ended(spoken: Iterable[Spoken]) -> Iterator[Spoken | Pause | SentenceEnd]:
    for sentence in spoken:
        yield sentence
        yield SentenceEnd()


def _marked(segments: Iterable[Spoken | Pause | SentenceEnd]) -> Iterator[Spoken | Pause | SentenceEnd]:
    """The segments, with the ends of the sentences in them; what stands between marks and cannot be spoken is left out."""
    for segment in segments:
        if isinstance(segment, Spoken):
            found = sentences(" ".join(segment.text.split()))
            said = [replace(segment, text=sentence) for sentence in found if is_speakable(sentence)]
            yield from list(_ended(said))[:-1]  # the last one may go on after the mark
        else:
            yield segment
            if isinstance(segment, Pause):
                yield SentenceEnd()


def _grouped(atoms: Iterable[Spoken | Pause | SentenceEnd]) -> Iterator[tuple[Spoken | Pause, ...]]:
    """Parts between ends of sentences, so many together that they are long enough."""
    parts: list[Spoken | Pause] = []
    chars = 0
    is_joined = True
    for atom in atoms:
        match atom:
            case SentenceEnd() if chars >= PART_MIN_CHARS:
                yield tuple(parts)
                parts, chars = [], 0
            case SentenceEnd():
                is_joined = False
            case Spoken():
                chars += len(atom.text)
                _append(parts, atom, is_joined=is_joined)
                is_joined = True
            case Pause():
                parts.append(atom)
    if parts:
        yield tuple(parts)


def _append(parts: list[Spoken | Pause], spoken: Spoken, *, is_joined: bool) -> None:
    """Say it in one breath with what was said in the same manner; not when that was a sentence that no engine takes for one."""
    match parts:
        case [*_, Spoken(before, same)] if same == spoken.manner and (is_joined or not before[-1].isalnum()):
            parts[-1] = Spoken(f"{before} {spoken.text}", same)
        case _:
            parts.append(spoken)
