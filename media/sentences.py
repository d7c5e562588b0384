"""Where sentences end, so that a long text can be spoken from its first one on. Pure.

When in doubt a sentence goes on: two that are spoken as one lose nothing, one that is torn apart is heard.
"""

from __future__ import annotations

import re

from .text import CHUNK_MAX_CHARS, chunks, is_speakable

_CLOSING = "\"'\u2019\u201d\u00bb\u203a)\\]\u300d\u300f\u3009\u300b\uff09"
_MARKS = ".!?\u2026\u203d\u061f\u06d4\u0964\u0965\u0589\u1362\u104b\u17d4"
# Each run of marks is looked at once, from its first one, and nothing is given back: 10,000 full stops take no longer than a text.
_END = re.compile(
    rf"(?<![{_MARKS}])(?P<mark>[{_MARKS}]++)[{_CLOSING}]*+\s++"  # a space follows these
    rf"|[\u3002\uff01\uff1f\uff0e\uff61]++[{_CLOSING}]*+\s*+"  # East Asian full stops need none
    r"|\n[^\S\n]*+\n\s*+"
)
_WORD_MAX_CHARS = 24
_LAST_WORD = re.compile(r"[^\s(\"'\u2018\u201c\u00ab]+$")
_ABBREVIATIONS = frozenset({
    # English
    "mr", "mrs", "ms", "dr", "prof", "st", "sr", "jr", "gen", "col", "sgt", "capt", "rev", "hon", "vs", "etc", "inc", "ltd", "co", "corp",
    "dept", "est", "approx", "ext", "fig", "vol", "pp", "ave", "blvd", "rd", "ph.d", "e.g", "i.e", "a.m", "p.m", "cf",
    "jan", "feb", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec", "tue", "tues", "thu", "thurs", "fri",
    # German
    "hr", "fr", "frl", "bzw", "ca", "d.h", "z.b", "u.a", "usw", "evtl", "ggf", "inkl", "exkl", "mind", "str", "tel", "bspw", "sog",
    # French, Spanish, Italian, Portuguese, Dutch
    "mme", "mlle", "sra", "srta", "ud", "uds", "p.ej", "avda", "sig", "dott", "ing", "exmo", "bijv", "mevr", "dhr",
})  # fmt: skip
_BEFORE_NUMBERS = frozenset({"no", "nos", "nr", "n", "art", "p", "pp", "p\u00e1g"})
"""Abbreviations only when a number follows."""


def sentences(text: str, max_chars: int = CHUNK_MAX_CHARS) -> list[str]:
    """Cut a text at the ends of its sentences, white space at the ends removed; one that is longer than ``max_chars`` at commas and spaces.

    What has nothing to speak, such as a line of dashes, stays with what comes before it.
    """
    found: list[str] = []
    for sentence in _cut(text):
        for part in [sentence] if len(sentence) <= max_chars else chunks(sentence, max_chars):
            if found and not is_speakable(part):
                found[-1] = f"{found[-1]} {part}"
            else:
                found.append(part)
    if len(found) > 1 and not is_speakable(found[0]):
        found[:2] = [f"{found[0]} {found[1]}"]
    return found


def _cut(text: str) -> list[str]:
    parts: list[str] = []
    start = 0
    for end in _END.finditer(text):
        if _goes_on(text[start : end.start()], end.group("mark"), text[end.end() : end.end() + 1]):
            continue
        parts.append(text[start : end.end()].strip())
        start = end.end()
    return [part for part in (*parts, text[start:].strip()) if part]


def _goes_on(before: str, mark: str | None, following: str) -> bool:
    """Whether the sentence does not end at this mark, by the word before it and the first character after it."""
    if mark is None:
        return False
    if not before.strip():
        return True
    if mark in {"!", "?"} or mark[0] not in ".\u2026":
        return following.islower() and mark in {"!", "?"}
    if following.islower() or mark != ".":
        return following.islower()
    word = found.group().lower() if (found := _LAST_WORD.search(before[-_WORD_MAX_CHARS:])) else ""
    return (
        word in _ABBREVIATIONS
        or (following.isdigit() and word in _BEFORE_NUMBERS)
        or re.fullmatch(r"(?:[^\W\d_]\.)*[^\W\d_]", word) is not None  # an initial, U.S
        or re.fullmatch(r"\d{1,2}", word) is not None  # an ordinal in many languages: 3. Oktober
    )
