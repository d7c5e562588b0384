"""What a far end sends that a worker must get in another form, or in part."""

from __future__ import annotations

import pytest

from sipcore.frontdoor.message import Message
from sipcore.frontdoor.wellformed import MAX_ALGORITHM, MAX_CHALLENGE_VALUE, MAX_CHALLENGES

from .routing import TRUNK, answer, of_worker, place, request, router_with, sent, to_worker

GOOD = 'WWW-Authenticate: Digest realm="r", nonce="n", algorithm=MD5, qop="auth"'


def answered(code: int, *extra: str) -> Message:
    router = router_with()
    asked = sent(router.from_worker(of_worker(), 40001, 0.0))
    return to_worker(router.from_outside(answer(asked.to_bytes(), code, extra=extra), TRUNK, 0.0))


@pytest.mark.parametrize(
    "bad",
    [
        f'WWW-Authenticate: Digest realm="{"r" * MAX_CHALLENGE_VALUE}", nonce="n"',
        f'Proxy-Authenticate: Digest realm="r", nonce="{"n" * MAX_CHALLENGE_VALUE}"',
        f'WWW-Authenticate: Digest realm="r", nonce="n", opaque="{"o" * MAX_CHALLENGE_VALUE}"',
        f'WWW-Authenticate: Digest realm="r", nonce="n", algorithm={"A" * (MAX_ALGORITHM + 1)}',
        "WWW-Authenticate: Digest",
    ],
)
def test_a_challenge_that_is_too_long_is_taken_out_and_a_good_one_stays(bad: str) -> None:
    response = answered(401, bad, GOOD)
    assert [header.value for header in response.headers if "Authenticate" in header.name] == [GOOD.partition(": ")[2]]


def test_more_challenges_than_a_worker_has_room_for_are_cut() -> None:
    assert len(answered(401, *[GOOD] * 3).get_all("WWW-Authenticate")) == 3
    assert len(answered(401, *[GOOD] * 40).get_all("WWW-Authenticate")) == MAX_CHALLENGES
    two = GOOD + ", " + GOOD.partition(": ")[2]
    assert len(answered(407, *[two] * 40).get_all("WWW-Authenticate")) == MAX_CHALLENGES // 2


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("<sips:bob@192.0.2.10>", "<sip:bob@192.0.2.10;transport=tls>"),
        ('"Bob" <SIPS:bob@192.0.2.10:5071;transport=tcp;ob>;expires=3', '"Bob" <sip:bob@192.0.2.10:5071;transport=tls;ob>;expires=3'),
        ("<sip:bob@192.0.2.10>", "<sip:bob@192.0.2.10>"),
    ],
)
def test_a_sips_contact_becomes_one_that_a_worker_can_send_to(theirs: str, ours: str) -> None:
    assert answered(200, f"Contact: {theirs}").get("Contact") == ours
    invite = request(contact="sips:caller@192.0.2.10")
    assert place(router_with(), invite).get("Contact") == "<sip:caller@192.0.2.10;transport=tls>"
