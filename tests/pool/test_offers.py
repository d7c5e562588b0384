from __future__ import annotations

import pytest

from sipcore.engine import Refusal
from sipcore.pool.offers import KEEP_S, OfferBook, Pending, Placed

BUSY = Refusal(503)


@pytest.fixture
def book() -> OfferBook:
    return OfferBook(max_answers=4)


def test_the_same_question_has_the_same_answer(book):
    assert book.recall("k", 0.0) is None
    book.accept("k", "call", 0.0)
    assert book.recall("k", 1.0) == Pending("call")
    assert book.place("call", 7) == "k"
    assert book.recall("k", 2.0) == Placed("call", 7)
    book.settle("call")
    assert book.recall("k", 3.0) == Placed("call", 7)


def test_a_refusal_is_remembered(book):
    book.refuse("k", Refusal(486), 0.0)
    assert book.recall("k", KEEP_S - 1) == Refusal(486)


def test_an_answer_is_forgotten_once_nobody_asks_any_more(book):
    book.refuse("k", Refusal(486), 0.0)
    book.recall("k", 30.0)
    assert book.recall("other", 30.0 + KEEP_S - 1) is None
    assert len(book) == 1
    assert book.recall("k", 30.0 + KEEP_S) is None
    assert len(book) == 0


@pytest.mark.parametrize("is_placed", [True, False])
def test_a_call_that_is_not_settled_is_never_forgotten(book, is_placed):
    book.accept("k", "call", 0.0)
    if is_placed:
        book.place("call", 7)
    for number in range(20):
        book.recall(f"r{number}", 1000.0 + number)
        book.refuse(f"r{number}", BUSY, 1000.0 + number)
    assert book.recall("k", 2000.0) == (Placed("call", 7) if is_placed else Pending("call"))
    book.settle("call")
    assert book.recall("k", 2001.0) is not None
    assert book.recall("k", 2001.0 + KEEP_S) is None


def test_the_number_of_answers_is_bounded(book):
    for number in range(100):
        assert book.recall(f"k{number}", 0.0) is None
        book.refuse(f"k{number}", BUSY, 0.0)
    assert len(book) == 4
    assert book.recall("k99", 0.0) == BUSY


def test_a_full_book_of_open_calls_takes_one_more(book):
    for number in range(6):
        assert book.recall(f"k{number}", 0.0) is None
        book.accept(f"k{number}", f"c{number}", 0.0)
    assert [book.recall(f"k{number}", 1.0) for number in range(6)] == [Pending(f"c{number}") for number in range(6)]


def test_a_call_that_fails_is_refused_once_and_stays_so(book):
    book.accept("k", "call", 0.0)
    book.place("call", 7)
    assert book.fail("call", BUSY) == "k"
    assert book.fail("call", Refusal(500)) is None
    assert book.place("call", 8) is None
    assert book.recall("k", 1.0) == BUSY


def test_a_settled_call_is_not_refused(book):
    book.accept("k", "call", 0.0)
    book.place("call", 7)
    book.settle("call")
    assert book.fail("call", BUSY) is None
    assert book.recall("k", 1.0) == Placed("call", 7)


def test_calls_that_never_were_are_ignored(book):
    book.settle("x")
    assert book.place("x", 1) is None
    assert book.fail("x", BUSY) is None
