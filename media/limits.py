"""Bounds on everything that comes from outside."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may cost. Sizes in bytes, times in seconds."""

    text_max_chars: int = 10_000
    """Characters of one text; about eleven minutes of speech."""
    pauses_max_s: float = 300.0
    """Pauses of one SSML text together: 10,000 characters could ask for hours of silence."""
    download_max_bytes: int = 50_000_000
    """Body of one response, counted after content decoding."""
    file_max_bytes: int = 2_000_000_000
    """Size of one local file: a bound on sparse files; an hour of 48 kHz stereo float is 1.4 GB."""
    audio_max_s: float = 3600.0
    """Decoded duration of one stream; bounds compressed bombs too."""
    fetch_timeout_s: float = 30.0
    """From the first look-up to the last byte, redirects included."""
    connect_timeout_s: float = 5.0
    """TCP connection, and again TLS handshake."""
    redirects_max: int = 5
    """Redirects followed for one URL."""
