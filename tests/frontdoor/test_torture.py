"""RFC 4475 and RFC 5118, message by message: what the RFC asks for, or what we do instead and why (torture/index.toml)."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from sipcore.frontdoor.grammar import Malformed
from sipcore.frontdoor.message import Message, parse
from sipcore.frontdoor.reply import reply_to
from sipcore.frontdoor.wellformed import check

FOLDER = Path(__file__).parent / "torture"
INDEX: dict[str, dict[str, Any]] = tomllib.loads((FOLDER / "index.toml").read_text("utf-8"))
CASES = [(rfc, name) for rfc, entries in INDEX.items() for name in entries]


def read(rfc: str, name: str) -> bytes:
    return (FOLDER / rfc / f"{name}.dat").read_bytes()


def refusal(data: bytes) -> Malformed | None:
    try:
        check(parse(data))
    except Malformed as error:
        return error
    return None


def verdict(data: bytes) -> str | int:
    error = refusal(data)
    return "accept" if error is None else error.sip_code or "drop"


@pytest.mark.parametrize(("rfc", "name"), CASES)
def test_each_message_gets_what_the_index_says(rfc: str, name: str) -> None:
    entry = INDEX[rfc][name]
    assert verdict(read(rfc, name)) == entry.get("ours", entry["asks"]), entry["why"]
    assert ("ours" in entry) == ("deviates" in entry)


@pytest.mark.parametrize(("rfc", "name"), CASES)
def test_what_is_accepted_is_the_same_after_a_round_trip(rfc: str, name: str) -> None:
    if verdict(read(rfc, name)) != "accept":
        return
    message = parse(read(rfc, name))
    again = parse(message.to_bytes())
    check(again)
    assert (again.start, again.body) == (message.start, message.body)
    assert [header for header in again.headers if header.name != "Content-Length"] == [
        header for header in message.headers if header.name != "Content-Length"
    ]


@pytest.mark.parametrize(("rfc", "name"), CASES)
def test_a_refused_request_can_be_answered(rfc: str, name: str) -> None:
    error = refusal(read(rfc, name))
    if error is None or error.sip_code == 0:
        return
    assert error.message is not None
    answer = reply_to(error.message, error.sip_code, error.reason, error.headers)
    if name == "intmeth":
        assert answer == b""  # its To cannot be repeated without the control characters
        return
    assert parse(answer).status == error.sip_code
    assert parse(answer).get_all("Via") == error.message.get_all("Via")


def test_each_file_is_in_the_index() -> None:
    assert sorted(CASES) == sorted((path.parent.name, path.stem) for path in FOLDER.glob("*/*.dat"))


def named(name: str) -> Message:
    return parse(read("rfc4475", name))


def test_wsinv_is_read_as_the_rfc_explains_it() -> None:
    message = named("wsinv")
    assert message.get("Subject") == ""
    assert message.get("NewFangledHeader") == "newfangled value continued newfangled value"
    assert message.get("Max-Forwards") == "0068"
    assert len(message.get_all("Via")) == 3
    assert message.get_all("Contact")[0].startswith('"Quoted string')


def test_dblreq_ignores_the_second_request() -> None:
    assert named("dblreq").body == b""


def test_bext01_names_what_is_unknown() -> None:
    with pytest.raises(Malformed) as caught:
        check(named("bext01"))
    assert caught.value.headers == (
        ("Unsupported", "nothingSupportsThis, nothingSupportsThisEither, noProxiesSupportThis, norDoAnyProxiesSupportThis"),
    )
