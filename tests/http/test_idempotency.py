"""The keys that are kept: how long, and how many."""

import pytest

from sipcore.http.errors import ApiError
from sipcore.http.idempotency import IdempotencyKeys


class Time:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_kept_for_their_time():
    time = Time()
    keys = IdempotencyKeys(time, lifetime_s=10)
    keys.keep(1, "a", {"x": 1}, ("call",))
    time.now_s = 9.9
    assert keys.find(1, "a", {"x": 1}) == ("call",)
    with pytest.raises(ApiError):
        keys.find(1, "a", {"x": 2})
    time.now_s = 10
    assert keys.find(1, "a", {"x": 2}) == ()


def test_bounded_for_each_user():
    keys = IdempotencyKeys(Time(), max_keys=2)
    for name in ("a", "b", "c"):
        keys.keep(1, name, {}, (name,))
    keys.keep(2, "a", {}, ("other",))
    assert [keys.find(1, name, {}) for name in ("a", "b", "c")] == [(), ("b",), ("c",)]
    assert keys.find(2, "a", {}) == ("other",)


def test_no_key_is_not_kept():
    keys = IdempotencyKeys(Time())
    keys.keep(1, "", {}, ("call",))
    assert keys.find(1, "", {}) == ()
