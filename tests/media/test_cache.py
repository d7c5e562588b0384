"""The cache: whole files or none, bounded, shared."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from media import Cancellation, Cancelled, wav
from media.cache import Cache, cache_key

RATE = 8000
SECOND = np.arange(RATE, dtype=np.int16)
FREE = Cancellation()


@pytest.fixture
def cache(tmp_path) -> Cache:
    return Cache(tmp_path / "cache", RATE, max_bytes=1 << 30)


def names(cache: Cache) -> set[str]:
    return {path.name for path in cache.directory.iterdir()}


def test_what_is_put_is_got(cache):
    assert cache.get("k") is None
    put = cache.put("k", [SECOND[:100], SECOND[100:]])
    assert put == cache.get("k")
    assert (put.duration_s, put.rate_hz, put.path.name) == (1.0, RATE, "k.wav")
    assert np.array_equal(wav.read(put.path)[0], SECOND)


@pytest.mark.parametrize("frames", [0, 1, 799, 800])
def test_short_audio_is_padded_to_a_tenth_of_a_second(cache, frames):
    put = cache.put("k", [SECOND[:frames]])
    assert put.duration_s == 0.1
    assert cache.get("k") == put


@pytest.mark.parametrize(
    "spoil", [lambda d: d[:-1], lambda d: d[:44], lambda d: d[:10], lambda d: b"", lambda d: b"x" * len(d), lambda d: d + d]
)
def test_a_damaged_entry_is_never_returned(cache, spoil):
    path = cache.put("k", [SECOND]).path
    path.write_bytes(spoil(path.read_bytes()))
    assert cache.get("k") is None
    assert not path.exists()


def test_an_entry_of_another_rate_or_a_link_is_not_returned(cache, tmp_path):
    wav.write(cache.directory / "r.wav", SECOND, 16000)
    wav.write(tmp_path / "elsewhere.wav", SECOND, RATE)
    (cache.directory / "l.wav").symlink_to(tmp_path / "elsewhere.wav")
    assert cache.get("r") is None
    assert cache.get("l") is None
    assert (tmp_path / "elsewhere.wav").exists()


def test_a_failure_while_writing_leaves_nothing(cache):
    def blocks():
        yield SECOND
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError):
        cache.put("k", blocks())
    assert names(cache) == set()


def test_the_longest_unused_go_first_and_fresh_ones_stay(tmp_path):
    cache = Cache(tmp_path / "cache", RATE, max_bytes=70_000, keep_s=60)
    for index in range(4):
        cache.put(f"old{index}", [SECOND])
        os.utime(cache.directory / f"old{index}.wav", (1000 + index, 1000 + index))
    assert cache.get("old0") is not None  # used now: the newest
    cache.put("new", [SECOND])
    assert names(cache) == {"old0.wav", "new.wav", "old2.wav", "old3.wav"}
    for index in range(5):
        cache.put(f"fresh{index}", [SECOND])
    assert {f"fresh{index}.wav" for index in range(5)} <= names(cache)


def test_parts_of_a_killed_process_are_removed_later(tmp_path):
    directory = tmp_path / "cache"
    Cache(directory, RATE, max_bytes=1)
    (directory / "old.part").touch()
    os.utime(directory / "old.part", (1000, 1000))
    (directory / "young.part").touch()
    Cache(directory, RATE, max_bytes=1)
    assert [path.name for path in directory.iterdir()] == ["young.part"]
    assert time.time() - (directory / "young.part").stat().st_mtime < 60
    (directory / "young.part").unlink()


def test_one_key_is_made_once(cache):
    made = []

    def want(_):
        with cache.exclusive("k", FREE):
            if (ready := cache.get("k")) is None:
                made.append(1)
                ready = cache.put("k", [SECOND])
            return ready

    with ThreadPoolExecutor(20) as pool:
        assert len(set(pool.map(want, range(20)))) == 1
    assert made == [1]
    assert cache._locks == {}


def test_waiting_for_a_key_can_be_cancelled(cache):
    stop = threading.Event()
    stop.set()
    with cache.exclusive("k", FREE), pytest.raises(Cancelled), cache.exclusive("k", Cancellation(stop)):
        pass
    assert cache._locks == {}


def test_the_key_depends_on_every_parameter():
    base = {"kind": "speech", "text": "a", "language": "en", "gender": "male", "engine": "e", "version": "1", "rate_hz": 8000}
    keys = {cache_key(**base)} | {cache_key(**{**base, name: f"{value}x"}) for name, value in base.items()}
    assert len(keys) == len(base) + 1
    assert cache_key(text='a","b') != cache_key(text="a", b="")


def settled(cache: Cache, key: str) -> None:
    """As if the file had been written a while ago, and was got then."""
    now = time.time()
    os.utime(cache.directory / f"{key}.wav", (now - 1, now - 1))
    assert cache.get(key) is not None


def test_an_entry_that_was_got_is_recalled_without_reading(cache):
    put = cache.put("k", [SECOND])
    assert cache.recall("k") is None  # its file is too young to tell a change
    settled(cache, "k")
    assert cache.recall("k") == put
    assert cache.recall("never") is None


@pytest.mark.parametrize("change", [lambda p: p.write_bytes(b"x" * p.stat().st_size), lambda p: p.unlink(), os.utime])
def test_what_was_touched_meanwhile_is_not_recalled(cache, change):
    path = cache.put("k", [SECOND]).path
    settled(cache, "k")
    change(path)
    assert cache.recall("k") is None


def test_a_use_is_marked_before_the_entry_may_be_thrown_out(tmp_path):
    cache = Cache(tmp_path / "cache", RATE, max_bytes=10, keep_s=100)
    path = cache.put("k", [SECOND]).path
    settled(cache, "k")
    used_long_ago = time.time() - 30
    os.utime(path, (used_long_ago, used_long_ago))
    assert cache.get("k") is not None
    assert path.stat().st_mtime > used_long_ago + 20
    os.utime(path, (time.time() - 115, time.time() - 115))  # a mark may be 20 s older than the last use
    cache.put("other", [SECOND])
    assert path.exists()
