"""From the payloads of RTP to samples: G.711, G.722 and GSM 06.10."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from sipcore.testing import g711
from sipcore.testing.phone.listening import sequence_numbers
from sipcore.testing.phone.rtp import ReceivedPacket

if TYPE_CHECKING:
    from numpy.typing import NDArray

Coded = tuple[ReceivedPacket, str]
"""A packet with audio, and the RTP name of its codec."""
Audio = list[tuple[ReceivedPacket, "NDArray[np.int16]"]]

_NARROW_HZ: Final = 8000
_WIDE_HZ: Final = 16_000
_GSM_FRAME_BYTES: Final = 33
_GSM_FRAME_SAMPLES: Final = 160
_G722_BITS_A_SECOND: Final = 64_000


def decode(name: str, sound: Sequence[Coded]) -> tuple[Audio, int]:
    """Return each packet with its samples, and their rate: 16 kHz when all of it is G.722, else 8 kHz.

    Raises:
        ValueError: a codec that cannot be decoded here, or not without another package; names it, and `name`.
    """
    codecs = {codec for _, codec in sound}
    rate_hz = _WIDE_HZ if codecs == {"G722"} else _NARROW_HZ
    decoders: Mapping[str, Callable[[Sequence[bytes]], list[NDArray[np.int16]]]] = {
        "PCMU": lambda payloads: [g711.decode_mu_law(payload) for payload in payloads],
        "PCMA": lambda payloads: [g711.decode_a_law(payload) for payload in payloads],
        "GSM": _decode_gsm,
        "G722": lambda payloads: _decode_g722(name, payloads, rate_hz),
    }
    if unknown := sorted(codecs - set(decoders)):
        raise ValueError(f"{name}: the codec {unknown[0]} cannot be decoded here; PCMU, PCMA, G722 and GSM can")
    samples: dict[tuple[str, int], NDArray[np.int16]] = {}
    keys: list[tuple[str, int]] = [
        (codec, number) for (_, codec), number in zip(sound, sequence_numbers([packet.sequence for packet, _ in sound]), strict=True)
    ]
    payloads = {key: packet.payload for key, (packet, _) in zip(keys, sound, strict=True)}
    for codec, decoder in decoders.items():
        in_order = sorted(key for key in payloads if key[0] == codec)  # a decoder remembers what it had before
        if in_order:
            samples |= zip(in_order, decoder([payloads[key] for key in in_order]), strict=True)
    return [(packet, samples[key]) for key, (packet, _) in zip(keys, sound, strict=True)], rate_hz


def _decode_gsm(payloads: Sequence[bytes]) -> list[NDArray[np.int16]]:
    import soundfile

    whole = [payload[: len(payload) // _GSM_FRAME_BYTES * _GSM_FRAME_BYTES] for payload in payloads]
    data = io.BytesIO(b"".join(whole))
    if not data.getbuffer().nbytes:
        return [np.zeros(0, np.int16) for _ in whole]
    samples = soundfile.read(data, format="RAW", subtype="GSM610", samplerate=_NARROW_HZ, channels=1, dtype="int16")[0]
    ends = np.cumsum([len(payload) // _GSM_FRAME_BYTES * _GSM_FRAME_SAMPLES for payload in whole])
    return list(np.split(samples, ends[:-1]))


def _decode_g722(name: str, payloads: Sequence[bytes], rate_hz: int) -> list[NDArray[np.int16]]:
    """ITU-T G.722 at 64 kbit/s, the only mode that RTP has (RFC 3551 §4.5.2); at 8 kHz the lower of its two bands."""
    if importlib.util.find_spec("G722") is None:
        raise ValueError(f"{name}: to hear the codec G722 takes the package g722: pip install sipcore[testing]")
    from G722 import G722

    decoder = G722(rate_hz, _G722_BITS_A_SECOND)
    return [np.array(decoder.decode(payload), dtype=np.int16) for payload in payloads]
