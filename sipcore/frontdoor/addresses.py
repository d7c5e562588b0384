"""The rules for URIs and for the headers made of them: From, To, Contact, Via, Route (RFC 3261 §19.1.1, §20)."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address
from typing import Final
from urllib.parse import unquote as unescape

from sipcore.frontdoor.grammar import Malformed, Params, find_param, is_token, number
from sipcore.frontdoor.uri import MAX_PORT, NameAddr, Uri
from sipcore.frontdoor.via import Via

MAX_URI: Final = 1_024
MAX_ADDRESS: Final = 2_048
"""Characters of one value of From, To, Contact, Route or Via."""
MAX_PARAMS: Final = 32
MAX_TAG: Final = 256
CACHED: Final = 1_024
"""Values of each kind that are remembered as good: the messages of a dialog repeat theirs."""

PRIVATE_PARAMS: Final = frozenset({"hide"})
"""URI parameters that PJSIP uses among its own parts; from outside nobody may speak to them."""

_USER: Final = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()&=+$,;?/#]|%[0-9A-Fa-f]{2})+")
"""RFC 3261 §25.1, and the `#` that phones send bare."""
_PASSWORD: Final = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()&=+$,]|%[0-9A-Fa-f]{2})*")
_NUMBER: Final = re.compile(r"\+?[0-9A-Da-d*#\-.()]+")
"""RFC 3966 §3."""
_URI_PARAM: Final = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()\[\]/:&+$]|%[0-9A-Fa-f]{2})+")
_URI_HEADERS: Final = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()\[\]/?:+$=&]|%[0-9A-Fa-f]{2})*")
_PARAM_VALUE: Final = re.compile(r"""[A-Za-z0-9\-.!%*_+`'~\[\]/:&$@()]+|"(?:[^"\\]|\\.)*\"""")
_USUAL_TRANSPORTS: Final = frozenset({"UDP", "TCP", "TLS"})
_BRANCH: Final = r"[A-Za-z0-9\-.!%*_+`'~]+"
_USUAL_VIA_PARAMS: Final = re.compile(rf";branch={_BRANCH}(?:;rport)?|;rport;branch={_BRANCH}")
_HOST: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_\-.]{0,251}[A-Za-z0-9_.])?")
_DIGITS_AND_DOTS: Final = re.compile(r"[0-9.]+")
_IPV4: Final = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}", re.ASCII)
_ESCAPED_CONTROL: Final = re.compile(r"%(?:[01][0-9A-Fa-f]|7[Ff])")
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_NAME_TOKENS: Final = re.compile(r"[A-Za-z0-9\-.!%*_+`'~ \t]*")


@lru_cache(maxsize=CACHED)
def check_request_uri(text: str) -> None:
    """Raises: Malformed: 416 for a scheme that is not `sip` or `tel`, else 400."""
    if not text or text[0] == "<" or " " in text or "\t" in text:
        raise Malformed("bad request URI")
    if len(text) > MAX_URI:
        raise Malformed("request URI too long", 414)
    uri = Uri.parse(text)
    if uri.scheme == "sips":
        raise Malformed("no sips here, use transport=tls", 416)
    check_uri(uri)
    if uri.headers:
        raise Malformed("headers in the request URI")


@lru_cache(maxsize=CACHED)
def check_name_addr(text: str, header: str) -> NameAddr:
    """From and To. Raises: Malformed."""
    address = _checked(text, header)
    if not isinstance(address.uri, Uri) or address.uri.headers:
        raise Malformed(f"bad URI in {header}")
    return address


@lru_cache(maxsize=CACHED)
def check_contact(text: str) -> None:
    """Refer-To, and a Contact that nobody calls back: any scheme. Raises: Malformed."""
    address = _checked(text, "Contact")
    expires = address.param("expires")
    if expires is not None:
        number(expires, 2**32 - 1)


@lru_cache(maxsize=CACHED)
def check_target(text: str) -> None:
    """A Contact that requests will be sent to. Raises: Malformed."""
    check_contact(text)
    uri = NameAddr.parse(text).uri
    if not isinstance(uri, Uri) or uri.scheme == "tel":
        raise Malformed("Contact without SIP URI")


@lru_cache(maxsize=CACHED)
def check_route(text: str) -> None:
    """Route and Record-Route: brackets, `sip` or `sips`. Raises: Malformed."""
    address = _checked(text, "Route")
    if not isinstance(address.uri, Uri) or address.uri.scheme == "tel" or address.uri.headers or "<" not in text:
        raise Malformed("bad route")


def check_via(text: str) -> None:
    """One Via value. Raises: Malformed."""
    if len(text) > MAX_ADDRESS:
        raise Malformed("Via too long")
    via = Via.parse(text)
    _check_host(via.host)
    if via.transport in _USUAL_TRANSPORTS and _USUAL_VIA_PARAMS.fullmatch(text, text.find(";")):
        return
    if not is_token(via.transport):
        raise Malformed("bad Via")
    check_params(via.params)
    if find_param(via.params, "branch") == "":
        raise Malformed("empty branch")
    if via.rport:
        number(via.rport, MAX_PORT)
    ttl = find_param(via.params, "ttl")
    if ttl is not None:
        number(ttl, 255)
    for name in ("received", "maddr"):
        value = find_param(via.params, name)
        if value is not None:
            _check_host(value.removeprefix("[").removesuffix("]"))


def check_uri(uri: Uri) -> None:
    """Raises: Malformed."""
    if uri.scheme == "tel":
        if not _NUMBER.fullmatch(uri.user):
            raise Malformed("bad tel URI")
    else:
        if uri.user and not (_USER.fullmatch(uri.user) and _PASSWORD.fullmatch(uri.password)):
            raise Malformed("bad user in a URI")
        _check_host(uri.host)
    _check_uri_params(uri.params)
    if uri.headers and not _URI_HEADERS.fullmatch(uri.headers):
        raise Malformed("bad headers in a URI")
    if "%" in uri.user and _ESCAPED_CONTROL.search(uri.user):
        raise Malformed("escaped control character")


def _checked(text: str, header: str) -> NameAddr:
    if len(text) > MAX_ADDRESS:
        raise Malformed(f"{header} too long")
    address = NameAddr.parse(text)
    if isinstance(address.uri, Uri):
        check_uri(address.uri)
        if text[-1:] != ">" and "<" not in text and (address.uri.headers or "," in address.uri.user):
            raise Malformed(f"brackets missing in {header}")  # RFC 3261 §20.10
    elif not address.uri or " " in address.uri or ":" not in address.uri:
        raise Malformed(f"bad URI in {header}")
    if address.name and not _is_name(text):
        raise Malformed(f"bad display name in {header}")
    check_params(address.params)
    if len(address.tag) > MAX_TAG or (address.tag and not is_token(address.tag)):
        raise Malformed(f"bad tag in {header}")
    if not address.tag and address.param("tag") is not None:
        raise Malformed(f"empty tag in {header}")
    return address


def _is_name(text: str) -> bool:
    """Whether the display name that a value begins with is a quoted string or tokens."""
    if text[0] == '"':
        return _QUOTED.match(text) is not None
    return _NAME_TOKENS.fullmatch(text[: text.index("<")]) is not None


def check_params(params: Params) -> None:
    """Parameters of a header. Raises: Malformed."""
    if not params:
        return
    if len(params) > MAX_PARAMS:
        raise Malformed("too many parameters")
    names = set()
    for name, value in params:
        names.add(name.lower())
        if not is_token(name) or (value is not None and not _PARAM_VALUE.fullmatch(value)):
            raise Malformed("bad parameter")
    if len(names) < len(params):
        raise Malformed("parameter twice")


def _check_uri_params(params: Params) -> None:
    if not params:
        return
    if len(params) > MAX_PARAMS:
        raise Malformed("too many URI parameters")
    names = set()
    for name, value in params:
        if not _URI_PARAM.fullmatch(name) or (value is not None and not _URI_PARAM.fullmatch(value)):
            raise Malformed("bad URI parameter")
        plain = (unescape(name) if "%" in name else name).lower()  # PJSIP, too, looks at it unescaped
        if plain in PRIVATE_PARAMS:
            raise Malformed("private URI parameter")
        names.add(plain)
        if plain == "ttl":
            number(value or "", 255)
        elif plain == "maddr":
            _check_host((value or "").removeprefix("[").removesuffix("]"))
    if len(names) < len(params):
        raise Malformed("URI parameter twice")


@lru_cache(maxsize=CACHED)
def _is_host(host: str) -> bool:
    if ":" in host:
        try:
            IPv6Address(host)
        except AddressValueError:
            return False
        return "%" not in host
    if _DIGITS_AND_DOTS.fullmatch(host):
        return _IPV4.fullmatch(host) is not None
    return _HOST.fullmatch(host) is not None and ".." not in host


def _check_host(host: str) -> None:
    if not _is_host(host):
        raise Malformed("bad host")
