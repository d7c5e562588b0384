"""The content of PJSIP's `MediaFrame`, past SWIG: to look at `frame.buf` costs 9 us there, to set it and the type 14, each tick and line.

A `MediaFrame` begins with its type and a `std::vector` of bytes, which begins with two pointers in every C++ library that PJSIP is built
with. `frames_are_plain` finds out whether that is so; where it is not, all goes by SWIG.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any, Final

import pjsua2 as pj

_Vector: Final = ctypes.c_size_t * 2
"""Begin and end."""
_VECTOR_AT: Final = 8
"""Of a frame: the type is four bytes, and pointers stand at whole eights."""
_AUDIO: Final = pj.PJMEDIA_FRAME_TYPE_AUDIO
_set_buffer: Final = pj._pjsua2.MediaFrame_buf_set  # noqa: SLF001 - the property looks at the old content first


@lru_cache(maxsize=64)
def _place(address: int, kind: Any, size: int = 0) -> Any:
    """A `kind` that lies there, or an array of `size` of them; kept, as frames are nearly always at the same few addresses. The memory may
    be gone by now: it is looked at only while PJSIP shows a frame that lies there."""
    return (kind * size if size else kind).from_address(address)


def content(frame: Any) -> bytes:
    """What a plain frame holds."""
    begin, end = _place(int(frame.this) + _VECTOR_AT, _Vector)
    if begin == end:
        return b""
    raw: bytes = _place(begin, ctypes.c_char, end - begin).raw
    return raw


class FrameSource:
    """Fills frames with audio of one size, on the clock's thread."""

    def __init__(self, size_bytes: int) -> None:
        self._bytes = pj.ByteVector(bytes(size_bytes))
        begin = _Vector.from_address(int(self._bytes.this))[0]
        self._memory = memoryview((ctypes.c_char * size_bytes).from_address(begin)).cast("B")

    def fill(self, frame: Any, samples: bytes) -> None:
        """Let a plain frame be audio: these samples, of the size that was told."""
        self._memory[:] = samples
        _place(int(frame.this), ctypes.c_int).value = _AUDIO
        _set_buffer(frame, self._bytes)


def content_by_swig(frame: Any) -> bytes:
    """What any frame holds: 640 us for 20 ms at 16 kHz."""
    return bytes(frame.buf)


def fill_by_swig(frame: Any, samples: bytes) -> None:
    """Let any frame be audio."""
    frame.type = pj.PJMEDIA_FRAME_TYPE_AUDIO
    frame.buf = pj.ByteVector(samples)


def frames_are_plain() -> bool:
    """Whether the type and the pointers are where they are thought to be, so that nothing else is ever read or written."""
    probe = bytes(range(200))
    frame, vector = pj.MediaFrame(), pj.ByteVector(probe)
    fill_by_swig(frame, probe)
    for address in (int(vector.this), int(frame.this) + _VECTOR_AT):
        begin, end = _Vector.from_address(address)
        if not begin or end - begin != len(probe) or ctypes.string_at(begin, len(probe)) != probe:
            return False
    return bool(ctypes.c_int.from_address(int(frame.this)).value == pj.PJMEDIA_FRAME_TYPE_AUDIO)
