"""Whether a message keeps the rules: what breaks one is refused before any other parser sees it.

The rules are general and strict, since two parsers that read one message differently are the root of most holes: everything PJSIP
gives a meaning to is checked here against the grammar (RFC 3261 §25.1), sizes and counts included. What is left to the router is
what depends on state or on who sent it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sipcore.frontdoor import body
from sipcore.frontdoor.addresses import (
    check_contact,
    check_name_addr,
    check_params,
    check_request_uri,
    check_route,
    check_target,
    check_via,
)
from sipcore.frontdoor.grammar import Malformed, is_token, number, split_list, split_params
from sipcore.frontdoor.message import KNOWN_NAMES, CSeq, Header, Message

MAX_HEADER_LINES: Final = 200
MAX_LINE: Final = 8_192
"""Characters of one header line; the longest of RFC 4475 has about 700."""
MAX_ROUTING: Final = 64
"""Values of Route, of Record-Route and of Contact, each."""
MAX_VIAS: Final = 70
"""As many as Max-Forwards lets a request gather (RFC 3261 §8.1.1.6)."""
MAX_LIST: Final = 32
"""Values of one list of option tags or methods: what PJSIP has room for."""
MAX_IDENTIFIER: Final = 256
"""Characters of a Call-ID, a tag, a method."""

EXTENSIONS: Final = frozenset({"100rel", "timer", "norefersub"})
"""Option tags that a request may require; `replaces` is not among them: who knows a dialog's tags could take it over."""

_ONCE: Final = frozenset({
    "From", "To", "Call-ID", "CSeq", "Max-Forwards", "Content-Type", "Content-Length", "Content-Encoding", "Content-Disposition", "Expires",
    "Min-Expires", "Event", "Subscription-State", "RAck", "RSeq", "Session-Expires", "Min-SE", "Refer-To", "Replaces", "Retry-After",
})  # fmt: skip
_MANDATORY: Final = frozenset({"Via", "From", "To", "Call-ID", "CSeq"})
_LISTS: Final = ("Allow", "Supported", "Unsupported", "Require", "Proxy-Require", "Accept", "Allow-Events")
_REQUIRES: Final = ("Require", "Proxy-Require")
_ROUTES: Final = frozenset({"Route", "Record-Route", "Path", "Service-Route"})
_REFERENCES: Final = frozenset({"Refer-To", "Referred-By"})
_TOKENS_WITH_PARAMS: Final = ("Event", "Subscription-State", "Content-Disposition")
_CHALLENGES: Final = ("WWW-Authenticate", "Proxy-Authenticate")
MAX_CHALLENGES: Final = 10
MAX_CHALLENGE_PARAMS: Final = 64
"""Of one line, which may have several challenges."""
MAX_CHALLENGE_VALUE: Final = 512
"""Characters of a realm, a nonce, an opaque."""
MAX_ALGORITHM: Final = 32
_MOST_32_BIT: Final = 2**32 - 1
_NUMBERS: Final = {
    "Max-Forwards": 255,
    "Expires": _MOST_32_BIT,
    "Min-Expires": _MOST_32_BIT,
    "RSeq": 2**31 - 1,
    "Content-Length": 2**31 - 1,
}
_NUMBERS_WITH_PARAMS: Final = {"Session-Expires": _MOST_32_BIT, "Min-SE": _MOST_32_BIT, "Retry-After": _MOST_32_BIT}


def check(message: Message) -> None:
    """Go through every rule.

    Raises:
        Malformed: one is broken. The code is 0 for a response and an ACK, which nobody answers. When `in_body` is set on a response,
            it is better passed on without its body than dropped: PJSIP then ends the call by itself.
    """
    try:
        names = {name for name, _ in message.headers}
        _check_start(message)
        _check_lines(message, names)
        _check_counts(message, names)
        _check_identity(message)
        _check_addresses(message, names)
        _check_values(message)
        if message.is_request and not names.isdisjoint(_REQUIRES):
            _check_extensions(message)
        body.check(message)
    except Malformed as error:
        error.message = message
        if not message.is_request or message.method == "ACK":
            error.sip_code = 0
        raise


def _check_start(message: Message) -> None:
    if message.version != "SIP/2.0":
        is_other_version = message.version[:4] == "SIP/" and message.version[4:].replace(".", "").isdecimal()
        raise Malformed("SIP version", 505 if is_other_version else 400)
    if message.is_request:
        if not is_token(message.method) or len(message.method) > MAX_IDENTIFIER:
            raise Malformed("bad method")
        check_request_uri(message.request_uri)
    elif not 100 <= message.status <= 699 or len(message.reason) > MAX_LINE:
        raise Malformed("bad status line")


def _check_lines(message: Message, names: set[str]) -> None:
    if len(message.headers) > MAX_HEADER_LINES:
        raise Malformed("too many header lines")
    for _, value in message.headers:
        if len(value) > MAX_LINE:
            raise Malformed("header line too long")
    for name in names - KNOWN_NAMES:
        if len(name) > MAX_IDENTIFIER or not is_token(name):
            raise Malformed("bad header name")


def _check_counts(message: Message, names: set[str]) -> None:
    if not names >= _MANDATORY:
        raise Malformed(f"no {min(_MANDATORY - names)}")
    if len(names) == len(message.headers):
        return
    seen = set()
    for name, _ in message.headers:
        if name in seen and name in _ONCE:
            raise Malformed(f"more than one {name}")
        seen.add(name)


def _check_identity(message: Message) -> None:
    call_id = message.get("Call-ID") or ""
    if not call_id or len(call_id) > MAX_IDENTIFIER or not call_id.isascii() or " " in call_id or "\t" in call_id:
        raise Malformed("bad Call-ID")
    cseq = CSeq.parse(message.get("CSeq") or "")
    if message.is_request and cseq.method != message.method:
        raise Malformed("CSeq of another method")
    if not is_token(cseq.method):
        raise Malformed("bad CSeq")


def _check_addresses(message: Message, names: set[str]) -> None:
    check_name_addr(message.get("From") or "", "From")
    to_addr = check_name_addr(message.get("To") or "", "To")
    if message.method == "ACK" and not to_addr.tag:
        raise Malformed("ACK without To tag")  # every answer of ours has one (RFC 3261 §8.2.6.2)
    _check_each(message, "Via", check_via, MAX_VIAS)
    for name in _ROUTES & names:
        _check_each(message, name, check_route, MAX_ROUTING)
    if "Contact" in names:
        _check_contacts(message)
    for name in _REFERENCES & names:
        _check_each(message, name, check_contact, 1)


def _check_contacts(message: Message) -> None:
    """Those that become the target of a dialog are of SIP; in a redirection and in REGISTER they may be of any scheme, or `*`."""
    if message.method == "REGISTER":
        if message.get_all("Contact") != ["*"]:
            _check_each(message, "Contact", check_contact, MAX_ROUTING)
    else:
        is_redirection = 300 <= message.status <= 399
        _check_each(message, "Contact", check_contact if is_redirection else check_target, MAX_ROUTING)


def _check_each(message: Message, name: str, check_value: Callable[[str], None], most: int) -> None:
    values = message.get_all(name)
    if len(values) > most:
        raise Malformed(f"too many {name} values")
    for value in values:
        check_value(value)


def _check_values(message: Message) -> None:
    for name, value in message.headers:
        rule = _RULES.get(name)
        if rule is not None:
            rule(name, value)


def _check_number(name: str, text: str) -> None:
    number(text, _NUMBERS[name])


def _check_number_with_params(name: str, text: str) -> None:
    value, semicolon, params = text.partition(";")
    number(value.partition("(")[0].strip(" \t"), _NUMBERS_WITH_PARAMS[name])
    check_params(split_params(semicolon + params))


def _check_token_with_params(name: str, text: str) -> None:
    value, semicolon, params = text.partition(";")
    if not is_token(value.strip(" \t")):
        raise Malformed(f"bad {name}")
    check_params(split_params(semicolon + params))


def _check_list(name: str, text: str) -> None:
    if text.count(",") >= MAX_LIST:
        raise Malformed(f"too many {name} values")


def good_challenges(headers: list[Header]) -> list[Header]:
    """The headers without those challenges that break a rule, and without those beyond `MAX_CHALLENGES`."""
    kept: list[Header] = []
    left = MAX_CHALLENGES
    for header in headers:
        if header.name in _CHALLENGES:
            try:
                count = _count_challenges(header.value)
            except Malformed:
                continue
            if count > left:
                continue
            left -= count
        kept.append(header)
    return kept


def _check_challenge(_name: str, value: str) -> None:
    if _count_challenges(value) > MAX_CHALLENGES:
        raise Malformed("too many challenges")


def _count_challenges(value: str) -> int:
    """Of `scheme name=value, name="value", ...`, and again (RFC 3261 §20.44). Raises: Malformed."""
    parts = split_list(value)
    if len(parts) > MAX_CHALLENGE_PARAMS:
        raise Malformed("challenge too long")
    count = 0
    for part in parts:
        name, equals, text = part.partition("=")
        words = name.replace("\t", " ").split()
        most = MAX_ALGORITHM if words and words[-1].lower() == "algorithm" else MAX_CHALLENGE_VALUE
        if not equals or len(text) > most or not 1 <= len(words) <= 2:
            raise Malformed("bad challenge")
        check_params(((words[-1], text.strip(" \t")),))
        count += len(words) - 1
    return count


def _check_rack(_name: str, value: str) -> None:
    parts = value.split()
    if len(parts) != 3 or not value.isascii() or not is_token(parts[2]):
        raise Malformed("bad RAck")
    number(parts[0], 2**31 - 1)
    number(parts[1], 2**31 - 1)


def _check_extensions(message: Message) -> None:
    """Option tags we do not know are named in a 420 (RFC 3261 §8.2.2.3); in ACK and CANCEL they have no meaning."""
    if message.method in ("ACK", "CANCEL"):
        return
    wanted = [tag.strip(" \t") for name in _REQUIRES for value in message.get_all(name) for tag in value.split(",")]
    unknown = [tag for tag in wanted if tag.lower() not in EXTENSIONS]
    if not all(is_token(tag) for tag in unknown):
        raise Malformed("bad option tag")
    if unknown:
        raise Malformed("extension not supported", 420, (("Unsupported", ", ".join(dict.fromkeys(unknown))),))


_RULES: Final[dict[str, Callable[[str, str], None]]] = {
    **dict.fromkeys(_NUMBERS, _check_number),
    **dict.fromkeys(_NUMBERS_WITH_PARAMS, _check_number_with_params),
    **dict.fromkeys(_TOKENS_WITH_PARAMS, _check_token_with_params),
    **dict.fromkeys(_LISTS, _check_list),
    **dict.fromkeys(_CHALLENGES, _check_challenge),
    "RAck": _check_rack,
}
"""By header name: `(name, value)`, raises `Malformed`."""
