"""Audio of any kind that libsndfile reads -> 16-bit mono at one rate, block by block."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from .cancel import Cancellation
from .errors import NotAudio, TooLong
from .fetch import HTML_REASON, is_html
from .limits import Limits
from .tones import to_int16
from .wav import Samples, missing_bytes

FORMATS = frozenset({"WAV", "WAVEX", "RF64", "W64", "FLAC", "OGG", "MP3", "AIFF", "AU", "CAF"})
"""Containers that people play. libsndfile's other parsers take almost anything for audio and are not worth the risk."""
_COUNTED = FORMATS - {"MP3", "OGG"}
"""Containers that say how many frames they have; with the others it is an estimate."""
RATE_MIN_HZ, RATE_MAX_HZ = 1000, 768_000
CHANNELS_MAX = 8
BLOCK_FRAMES = 65_536


def decode(file: BinaryIO, source: str, rate_hz: int, limits: Limits, cancellation: Cancellation) -> Iterator[Samples]:
    """Yield the audio in ``file`` (a real one, with a descriptor) as mono blocks at ``rate_hz``: mixed by mean, clipped, never wrapped.

    A cut WAV or FLAC is refused; an Ogg, MP3 or AIFF does not tell, and plays to where it ends.

    Raises:
        NotAudio: HTML, an unknown or damaged format, no frames, fewer bytes or frames than announced.
        TooLong: more than ``limits.audio_max_s``, announced or found.
        Cancelled: between two blocks.
    """
    file.seek(0)
    if is_html(file.read(512)):
        raise NotAudio(source, HTML_REASON if "://" in source else "a page of HTML, not audio")
    if missing := missing_bytes(file):
        raise NotAudio(source, f"truncated: {missing} bytes of audio are missing")
    os.lseek(file.fileno(), 0, os.SEEK_SET)  # libsndfile reads the descriptor; seek() may only move within Python's buffer
    try:
        with soundfile.SoundFile(file.fileno(), closefd=False) as sound:
            _check_format(sound, source, limits)
            yield from _resampled(_mixed(sound, source, limits, cancellation), sound.samplerate, rate_hz)
    except soundfile.SoundFileError as error:
        raise NotAudio(source, _reason(error)) from error


def _check_format(sound: soundfile.SoundFile, source: str, limits: Limits) -> None:
    if sound.format not in FORMATS:
        raise NotAudio(source, f"format {sound.format} is not supported")
    if not RATE_MIN_HZ <= sound.samplerate <= RATE_MAX_HZ:
        raise NotAudio(source, f"a sampling rate of {sound.samplerate} Hz is not supported")
    if sound.channels > CHANNELS_MAX:
        raise NotAudio(source, f"{sound.channels} channels; at most {CHANNELS_MAX} are supported")
    if sound.frames == 0:
        raise NotAudio(source, "no audio frames")
    if sound.format in _COUNTED and sound.frames > limits.audio_max_s * sound.samplerate:
        raise TooLong(source, limits.audio_max_s)


def _mixed(sound: soundfile.SoundFile, source: str, limits: Limits, cancellation: Cancellation) -> Iterator[NDArray[np.float32]]:
    """Yield mono blocks at the source's rate, and count what is really there."""
    frames = 0
    while len(block := sound.read(BLOCK_FRAMES, dtype="float32", always_2d=True)):
        cancellation.check()
        frames += len(block)
        if frames > limits.audio_max_s * sound.samplerate:
            raise TooLong(source, limits.audio_max_s)
        yield np.nan_to_num(block.mean(axis=1, dtype=np.float32), nan=0.0, posinf=1.0, neginf=-1.0)
    if frames == 0:
        raise NotAudio(source, "no audio frames")
    if sound.format in _COUNTED and frames < sound.frames:
        raise NotAudio(source, f"truncated: {frames} of {sound.frames} frames")


def _resampled(blocks: Iterator[NDArray[np.float32]], from_hz: int, to_hz: int) -> Iterator[Samples]:
    if from_hz == to_hz:
        yield from map(to_int16, blocks)
        return
    resampler = soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32", quality="HQ")
    for block in blocks:
        if len(done := resampler.resample_chunk(block)):
            yield to_int16(done)
    if len(rest := resampler.resample_chunk(np.zeros(0, dtype=np.float32), last=True)):
        yield to_int16(rest)


def _reason(error: Exception) -> str:
    text = str(error).rpartition("Error opening ")[2].partition(": ")[2] or str(error)
    return f"not audio that can be read ({text.rstrip('. ')})"
