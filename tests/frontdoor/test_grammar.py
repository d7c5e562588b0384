"""What is read once and remembered."""

from __future__ import annotations

import pytest

from sipcore.frontdoor.grammar import REMEMBERED, Malformed, number, remembered


def test_a_short_value_is_read_once_and_a_long_one_is_not_kept() -> None:
    read: list[str] = []
    recall = remembered(lambda text: read.append(text) or len(text))
    assert [recall("short"), recall("short"), recall("l" * 1_000), recall("l" * 1_000)] == [5, 5, 1_000, 1_000]
    assert read == ["short", "l" * 1_000, "l" * 1_000]


def test_what_was_not_asked_for_lately_is_forgotten() -> None:
    read: list[str] = []
    recall = remembered(lambda text: read.append(text))
    for text in ("first", *map(str, range(REMEMBERED)), "first"):
        recall(text)
    assert read.count("first") == 2


def test_a_fault_is_found_each_time() -> None:
    recall = remembered(lambda text: number(text, 9))
    for _ in range(2):
        with pytest.raises(Malformed):
            recall("10")
