"""Which of the languages an engine speaks is meant by a tag such as ``en-US``, ``pt_br`` or ``zh``."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from .errors import UnknownLanguage

_ALIASES = {
    "zh": "cmn",
    "zh-hk": "yue",
    "zh-mo": "yue",
    "no": "nb",
    "nn": "nb",
    "iw": "he",
    "in": "id",
    "es-us": "es-419",
    "es-mx": "es-419",
    "es-ar": "es-419",
    "es-co": "es-419",
}
"""Tags that people write (BCP 47 macrolanguages, retired codes, regions) and what engines call them."""


def normalise(tag: str) -> str:
    """Return ``tag`` in lower case with hyphens."""
    return tag.strip().replace("_", "-").lower()


def match_language(wanted: str, known: Mapping[str, str]) -> str:
    """Return the key of ``known`` (normalised tag -> name in English) that serves ``wanted``.

    The region's own variant if there is one, otherwise the same without its last part, down to the base language.

    Raises:
        UnknownLanguage: nothing fits; the error suggests what is close, by tag or by English name.
    """
    parts = normalise(wanted).split("-")
    while parts:
        tag = "-".join(parts)
        if tag in known:
            return tag
        if _ALIASES.get(tag) in known:
            return _ALIASES[tag]
        parts.pop()
    raise UnknownLanguage(wanted, sorted(known), _suggest(wanted, known))


def _suggest(wanted: str, known: Mapping[str, str]) -> list[str]:
    tag = normalise(wanted)[:40]
    named = {f"{name.lower()} {code}": code for code, name in known.items()}
    by_name = [code for label, code in named.items() if len(tag) > 2 and label.startswith(tag)]
    names = {name.split(" (")[0].lower(): code for code, name in sorted(known.items(), reverse=True)}
    close_names = [names[name] for name in difflib.get_close_matches(tag, names, n=2, cutoff=0.75)]
    close_tags = difflib.get_close_matches(tag, known, n=3, cutoff=0.6)
    return list(dict.fromkeys([*sorted(by_name, key=len), *close_names, *close_tags]))[:3]
