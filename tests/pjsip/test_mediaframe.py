"""Frames of PJSIP are read and filled past SWIG, and nothing else comes of it."""

from __future__ import annotations

import pjsua2 as pj

from sipcore.pjsip import mediaframe

SAMPLES = bytes(range(160)) * 2


def test_both_ways_say_the_same():
    assert mediaframe.frames_are_plain()
    plain, by_swig = pj.MediaFrame(), pj.MediaFrame()
    mediaframe.FrameSource(len(SAMPLES)).fill(plain, SAMPLES)
    mediaframe.fill_by_swig(by_swig, SAMPLES)
    for frame in (plain, by_swig):
        assert frame.type == pj.PJMEDIA_FRAME_TYPE_AUDIO
        assert mediaframe.content(frame) == mediaframe.content_by_swig(frame) == SAMPLES


def test_a_frame_without_content():
    assert mediaframe.content(pj.MediaFrame()) == b""
