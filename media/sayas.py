"""``say-as`` of SSML: text rewritten so that an engine reads it as it is meant. Pure; what cannot be is a ``ValueError``."""

from __future__ import annotations

import datetime as dt
import re
from enum import StrEnum

_ENGLISH_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_DATE_FORMATS = ("mdy", "dmy", "ymd", "md", "dm", "ym", "my", "y", "m", "d")


class InterpretAs(StrEnum):
    """What a text is."""

    DIGITS = "digits"
    CHARACTERS = "characters"
    CARDINAL = "cardinal"
    ORDINAL = "ordinal"
    TELEPHONE = "telephone"
    DATE = "date"

    @classmethod
    def of(cls, name: str, form: str, language: str) -> InterpretAs:
        """By its name in ``interpret-as``, which may be an older one; ``form`` is needed for a date, and by nothing else."""
        name = {"spell-out": "characters", "number": "cardinal"}.get(name, name)
        if name not in set(map(str, cls)):
            raise ValueError(f"interpret-as={name!r}; known are {', '.join(cls)}, spell-out, number")
        if name == cls.DATE and form not in _DATE_FORMATS:
            raise ValueError(f"format={form!r} of a date; known are {', '.join(_DATE_FORMATS)}")
        if name == cls.ORDINAL and not _is_english(language):
            raise ValueError(f"interpret-as='ordinal' in {language}: only in English")
        return cls(name)


def interpreted(text: str, how: InterpretAs, form: str, language: str) -> str:
    """The text as an engine is to read it."""
    match how:
        case InterpretAs.DIGITS | InterpretAs.CHARACTERS:
            return _spelt(text)
        case InterpretAs.TELEPHONE:
            return _telephone(text)
        case InterpretAs.CARDINAL:
            return _cardinal(text)
        case InterpretAs.ORDINAL:
            return _ordinal(text)
        case InterpretAs.DATE:
            return _date(text, form, language)


def _spelt(text: str) -> str:
    """One character after the other. Capitals, since an "a" by itself is a word."""
    return " ".join(character.upper() for character in text if not character.isspace())


def _telephone(text: str) -> str:
    """Groups as they are written, with a pause after each."""
    groups = re.split(r"[\s()./-]+", text.strip())
    return ", ".join(_spelt(group) for group in groups if group)


def _cardinal(text: str) -> str:
    plain = re.sub(r"(?<=\d)[\s,'\u00a0\u202f](?=\d{3}\b)", "", text)
    if not re.fullmatch(r"[+-]?\d+(?:[.,]\d+)?", plain):
        raise ValueError(f"{text[:40]!r} is no number")
    return plain


def _ordinal(text: str) -> str:
    if not re.fullmatch(r"\d{1,9}", text):
        raise ValueError(f"{text[:40]!r} is no whole number")
    number = int(text)
    if number % 100 in {11, 12, 13}:
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"


def _date(text: str, form: str, language: str) -> str:
    """In English with the month's name; in other languages its numbers, in their order, with pauses."""
    parts = re.split(r"[\s./-]+", text)
    if len(parts) != len(form) or not all(re.fullmatch(r"\d{1,4}", part) for part in parts):
        raise ValueError(f"{text[:40]!r} is no date of the format {form!r}")
    numbers = {letter: int(part) for letter, part in zip(form, parts, strict=True)}
    try:
        dt.date(max(numbers.get("y", 2000), 1), numbers.get("m", 1), numbers.get("d", 1))
    except ValueError:
        raise ValueError(f"{text[:40]!r} is no date of the format {form!r}") from None
    if not _is_english(language):
        return ", ".join(str(numbers[letter]) for letter in form)
    month = _ENGLISH_MONTHS[numbers["m"] - 1] if "m" in numbers else ""
    day = _ordinal(str(numbers["d"])) if "d" in numbers else ""
    year = str(numbers["y"]) if "y" in numbers else ""
    day_and_month = " ".join(filter(None, (month, day)))
    return ", ".join(filter(None, (day_and_month, year)))


def _is_english(language: str) -> bool:
    return language.lower().replace("_", "-").split("-")[0] == "en"
