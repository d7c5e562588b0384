"""Blank what is secret in the text of a SIP message.

Secrets in bodies are overwritten with as many asterisks, so that Content-Length stays true; in headers three stand for any number.
Runs for every message the front door passes: each rule is tried only when a plain search says that there may be something for it, and
none takes more than linear time, whatever the text.
"""

from __future__ import annotations

import re
from typing import Final

_BLANK: Final = "***"
_KEPT_PARAMETERS: Final = frozenset(
    {"username", "realm", "uri", "algorithm", "qop", "nc", "nonce", "opaque", "stale", "userhash", "nextnonce"}
)
"""Of digest credentials (RFC 7616 §3.4); everything else in them is blanked, known or not."""

_REST_OF_HEADER: Final = r"[^\n]*(?:\n[ \t][^\n]*)*"
_CREDENTIAL_NAMES: Final = frozenset({"authorization", "proxy-authorization", "authentication-info", "proxy-authentication-info"})
_LONG_HEADER: Final = re.compile(rf"\n([AaPp][A-Za-z-]{{12,24}}+)[ \t]*:({_REST_OF_HEADER})")
"""Those of `_CREDENTIAL_NAMES` and few others. Written so that the search goes from line feed to line feed, which is much faster."""
_PARAMETER: Final = re.compile(r'(?<![\w.-])([\w.-]++)[ \t]*+=[ \t]*+("[^"\\]*+(?:\\.[^"\\]*+)*+"|[^,"\s]*+)', re.DOTALL)
_OURS: Final = re.compile(rf"^x-sipcore-{_REST_OF_HEADER}\n?", re.IGNORECASE | re.MULTILINE)
_URI: Final = re.compile(r"sips?:[^\s<>\"]*", re.IGNORECASE)
_LOWER_URI: Final = re.compile(r"sips?:[^\s<>\"]*")
_USER_AND_PASSWORD: Final = re.compile(r"(sips?:[^:@]*):[^@]*@", re.IGNORECASE)
_CRYPTO_LINE: Final = re.compile(r"^a=crypto:[^\n]*", re.IGNORECASE | re.MULTILINE)
_INLINE_KEY: Final = re.compile(r"(inline:)([^|;\s]*)", re.IGNORECASE)
_KEY_LINE: Final = re.compile(r"^(k=[^:\n]*:|a=key-mgmt:|a=ice-pwd:)([^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_DIGITS: Final = re.compile(r"((?:^signal|digits?)[ \t]*=[ \t]*\"?)([^\s\";]+)", re.IGNORECASE | re.MULTILINE)
_BARE_DIGIT: Final = re.compile(r"application/dtmf(?![\w-])")
_BLANK_LINE: Final = re.compile(r"\n\r?\n")


def redact(text: str) -> str:
    """The message without digest answers, passwords in URIs, media keys (RFC 4568, RFC 4566 §5.12), digits in INFO, and headers of ours."""
    lowered = text.lower()
    if "authorization" in lowered or "authentication-info" in lowered:
        text = _LONG_HEADER.sub(_blank_credentials, text)
    if _has_password(lowered):
        text = _URI.sub(_blank_password, text)
    if "x-sipcore-" in lowered:
        text = _OURS.sub("", text)
    if "a=crypto" in lowered:
        text = _CRYPTO_LINE.sub(lambda line: _INLINE_KEY.sub(_blank_same_size, line[0]), text)
    if "\nk=" in lowered or "a=key-mgmt" in lowered or "a=ice-pwd" in lowered:
        text = _KEY_LINE.sub(_blank_same_size, text)
    if "\nsignal" in lowered or "digit" in lowered:
        text = _DIGITS.sub(_blank_same_size, text)
    if "application/dtmf" in lowered:
        text = _blank_body(text) if _BARE_DIGIT.search(lowered) else text
    return text


def _blank_credentials(found: re.Match[str]) -> str:
    name, value = found[1], found[2].strip()
    if name.lower() not in _CREDENTIAL_NAMES:
        return found[0]
    scheme = "" if name.lower().endswith("info") else value.split(maxsplit=1)[0] if value else ""
    end = "\r" if found[2].endswith("\r") else ""
    if scheme and scheme.lower() != "digest":
        return f"\n{name}: {_BLANK}{end}"
    # What is no parameter, like the rest of a quoted string that never ends, is not shown.
    shown = [(key, held if key.lower() in _KEPT_PARAMETERS else _BLANK) for key, held in _PARAMETER.findall(value, len(scheme))]
    return f"\n{name}: {scheme}{' ' if scheme else ''}{', '.join([f'{key}={held}' for key, held in shown])}{end}"


def _has_password(lowered: str) -> bool:
    suspects = [uri for uri in _LOWER_URI.findall(lowered) if uri.count(":") > 1 and "@" in uri]
    return any(":" in uri[uri.index(":") + 1 : uri.rindex("@")] for uri in suspects)


def _blank_password(found: re.Match[str]) -> str:
    # Only up to the last "@": then every try of the pattern finds one, and the time stays linear.
    userinfo, at, rest = found[0].rpartition("@")
    return _USER_AND_PASSWORD.sub(rf"\1:{_BLANK}@", userinfo + at) + rest


def _blank_same_size(found: re.Match[str]) -> str:
    return found[1] + "*" * len(found[2].encode(errors="replace"))


def _blank_body(text: str) -> str:
    found = _BLANK_LINE.search(text)
    return text[: found.end()] + re.sub(r"\S", "*", text[found.end() :]) if found else text
