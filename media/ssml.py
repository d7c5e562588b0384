"""A subset of SSML 1.1 (W3C) as what is to be said. Pure: no engine, no I/O.

A text that begins with ``<speak``, an XML declaration or a DOCTYPE is SSML; any other is plain, whatever markup is in it. Understood are
``speak``, ``p``, ``s``, ``break``, ``prosody`` (rate, pitch, volume), ``say-as`` and ``sub``. Everything else is refused by its name and
position; so is a DOCTYPE, and with it every entity of one's own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias
from xml.parsers import expat

from .errors import BadSsml
from .manner import PLAIN, Manner
from .sayas import InterpretAs, interpreted
from .ssml_values import pause_s, pitch, rate, volume_db

_BEGIN = re.compile(r"[ \t\r\n]*(?:<speak(?=[\s/>])|<\?xml\s|<!DOCTYPE\s)")
_PARAGRAPH_PAUSE_S = 0.35
"""Over what the engine leaves at the end of a sentence by itself."""
PAUSES_MAX_S = 300.0
"""All pauses of one text together, unless it is said otherwise."""
_DEPTH_MAX = 32


@dataclass(frozen=True, slots=True)
class Spoken:
    """Text in one manner."""

    text: str
    manner: Manner = PLAIN


@dataclass(frozen=True, slots=True)
class Pause:
    """Silence."""

    duration_s: float


@dataclass(frozen=True, slots=True)
class SentenceEnd:
    """Where a sentence ends by the markup, whatever the punctuation says."""


Segment: TypeAlias = Spoken | Pause | SentenceEnd


@dataclass(frozen=True, slots=True)
class Document:
    """What is to be said, in order; ``language`` is empty where the markup says none."""

    segments: tuple[Segment, ...]
    language: str = ""


def is_ssml(text: str) -> bool:
    """Whether the text is taken for SSML."""
    return _BEGIN.match(text) is not None


def parse(text: str, language: str = "en-US", pauses_max_s: float = PAUSES_MAX_S) -> Document:
    """What the markup says. ``language`` is that of the text around it: ``say-as`` needs it where ``speak`` names none.

    Raises:
        BadSsml: not well-formed, or more than the subset; with the position in the text, from 0.
    """
    return _Reader(text, language, pauses_max_s).read()


@dataclass(slots=True)
class _Open:
    """An element that is not closed yet."""

    name: str
    manner: Manner
    spoken_instead: Callable[[str], str] | None = None
    text: list[str] = field(default_factory=list)


class _Reader:
    """One text being read. expat sees to the XML; no DTD is ever let in, so nothing is expanded or fetched."""

    def __init__(self, text: str, language: str, pauses_max_s: float) -> None:
        self._data = text.encode()
        self._pauses_max_s = pauses_max_s
        self._language = language
        self._own_language = ""
        self._open: list[_Open] = []
        self._segments: list[Segment] = []
        self._pauses_s = 0.0
        self._parser = parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.StartDoctypeDeclHandler = self._doctype
        parser.ProcessingInstructionHandler = self._instruction

    def read(self) -> Document:
        try:
            self._parser.Parse(self._data, True)  # noqa: FBT003  # takes no keyword
        except expat.ExpatError as error:
            raise BadSsml(f"not well-formed: {expat.errors.messages[error.code]}", self._position(self._parser.ErrorByteIndex)) from None
        return Document(tuple(self._segments), self._own_language)

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        if (outer := self._open[-1] if self._open else None) is not None and outer.spoken_instead is not None:
            raise self._refused(f"<{name}> within <{outer.name}>")
        if len(self._open) >= _DEPTH_MAX:
            raise self._refused(f"more than {_DEPTH_MAX} elements within each other")
        given = {key: value for key, value in attributes.items() if not key.startswith("xmlns")}
        if name not in _ATTRIBUTES or (name == "speak") is not (outer is None):
            raise self._refused(f"<{name}> here" if name in _ATTRIBUTES else f"<{name}>; known are {', '.join(_ATTRIBUTES)}")
        for key in given:
            if key not in _ATTRIBUTES[name]:
                known = f"known are {', '.join(_ATTRIBUTES[name])}" if _ATTRIBUTES[name] else "it has none"
                raise self._refused(f"the attribute {key!r} of <{name}>; {known}")
        opened = _Open(name, outer.manner if outer else PLAIN)
        self._open.append(opened)
        try:
            self._entered(opened, given)
        except ValueError as error:
            raise self._refused(f"in <{name}>: {error}", is_value=True) from None

    def _entered(self, opened: _Open, given: Mapping[str, str]) -> None:
        """Take what an element says by its start.

        Raises:
            ValueError: it has an attribute that cannot be, or lacks one.
        """
        match opened.name:
            case "speak":
                self._own_language = given.get("xml:lang", "").strip()
                self._language = self._own_language or self._language
            case "p" | "s":
                self._end_sentence()
            case "break":
                self._pause(pause_s(given))
            case "prosody":
                own = Manner(rate(given.get("rate", "")), pitch(given.get("pitch", "")), volume_db(given.get("volume", "")))
                opened.manner = own.within(opened.manner)
            case "sub":
                alias = _required(given, "alias")
                opened.spoken_instead = lambda _text: alias
            case "say-as":
                wanted, form, language = _required(given, "interpret-as"), given.get("format", ""), self._language
                how = InterpretAs.of(wanted, form, language)
                opened.spoken_instead = lambda text: interpreted(text, how, form, language)

    def _end(self, name: str) -> None:
        closed = self._open.pop()
        if closed.spoken_instead is not None:
            try:
                self._say(closed.spoken_instead("".join(closed.text).strip()), closed.manner)
            except ValueError as error:
                raise self._refused(f"in <{name}>: {error}", is_value=True) from None
        if name in {"p", "s"}:
            self._end_sentence()
        if name == "p":
            self._segments.append(Pause(_PARAGRAPH_PAUSE_S))

    def _characters(self, text: str) -> None:
        element = self._open[-1]
        if element.name == "break":
            raise self._refused("text within <break>")
        if element.spoken_instead is not None:
            element.text.append(text)
        else:
            self._say(text, element.manner)

    def _say(self, text: str, manner: Manner) -> None:
        match self._segments:
            case [*_, Spoken(before, same)] if same == manner:
                self._segments[-1] = Spoken(before + text, manner)
            case _:
                self._segments.append(Spoken(text, manner))

    def _pause(self, duration_s: float) -> None:
        self._pauses_s += duration_s
        if self._pauses_s > self._pauses_max_s:
            raise ValueError(f"the pauses are longer than {self._pauses_max_s:g} s in all")
        if duration_s:
            self._segments.append(Pause(duration_s))

    def _end_sentence(self) -> None:
        self._segments.append(SentenceEnd())

    def _doctype(self, *_details: object) -> None:
        raise self._refused("a DOCTYPE (no entities but &amp; &lt; &gt; &quot; &apos;)")

    def _instruction(self, target: str, _data: str) -> None:
        raise self._refused(f"the processing instruction <?{target}")

    def _refused(self, what: str, *, is_value: bool = False) -> BadSsml:
        return BadSsml(what if is_value else f"not understood: {what}", self._position(self._parser.CurrentByteIndex))

    def _position(self, byte_index: int) -> int:
        """The character of the text that this byte belongs to."""
        return len(self._data[:byte_index].decode(errors="ignore"))


_ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "speak": ("version", "xml:lang", "xsi:schemaLocation"),
    "p": (),
    "s": (),
    "break": ("time", "strength"),
    "prosody": ("rate", "pitch", "volume"),
    "say-as": ("interpret-as", "format"),
    "sub": ("alias",),
}


def _required(given: Mapping[str, str], name: str) -> str:
    if not given.get(name, "").strip():
        raise ValueError(f"{name!r} is missing")
    return given[name].strip()
