"""How good a call sounds, computed from its numbers by the E-model of ITU-T G.107 (06/2015), with the defaults of its table 2.

    R = Ro - Is - Id - Ie,eff

Ro - Is, the noise of rooms and lines, and the telephones, is a constant; Id comes from the delay (§3.4 there), Ie,eff from the codec and
the packets that were lost (§3.5, with the values of G.113 Appendix I). MOS is the estimated mean opinion score of conversation, 1 to 4.5,
on the scale of narrow-band telephony (Annex B): a wide-band codec gets no more for its width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Rating:
    """What the E-model says of a call."""

    r: float
    """Rating factor, 0 to 93.2: from 80 users are satisfied, below 50 it is not recommended (G.109)."""
    mos: float
    """Estimated mean opinion score, 1 to 4.41."""


@dataclass(frozen=True, slots=True)
class _Codec:
    impairment: float
    """Ie, without loss."""
    loss_robustness: float
    """Bpl: the larger, the less a lost packet is heard."""


# G.113 Appendix I, with packet loss concealment. Ours, where it has no value: G.722 and Opus are rated as G.711; iLBC and Speex as about as
# good as G.729, iLBC with the robustness of frames that do not need each other; GSM full rate has its Ie, and the Bpl of GSM-EFR.
_CODECS: Final = {
    "PCMU": _Codec(0.0, 25.1),
    "PCMA": _Codec(0.0, 25.1),
    "L16": _Codec(0.0, 25.1),
    "G722": _Codec(0.0, 25.1),
    "OPUS": _Codec(0.0, 25.1),
    "G729": _Codec(10.0, 19.0),
    "G723": _Codec(15.0, 16.1),
    "GSM": _Codec(20.0, 10.0),
    "GSM-EFR": _Codec(5.0, 10.0),
    "ILBC": _Codec(11.0, 32.0),
    "SPEEX": _Codec(11.0, 19.0),
}
_BASE: Final = 93.355
"""Ro - Is with the default values; less the echo of the listener without delay it is the 93.2 of G.107."""
_LOUDNESS_WITHOUT_ECHO: Final = 94.769
"""Ro, which is Roe too: -1.5 (No - RLR) = 15 - 1.5 (SLR + No), with No = -61.18 dBm0p, SLR = 8 dB, RLR = 2 dB."""
_TALKER_ECHO_LOUDNESS_DB: Final = 65.0
_ECHO_PATH_LOSS_DB: Final = 110.0
"""TELR and WEPL, by default."""


def codec_is_known(codec: str) -> bool:
    """Whether there are values for an RTP codec name, `PCMU` or `PCMU/8000`."""
    return _name(codec) in _CODECS


def estimate(codec: str, *, loss_percent: float, one_way_delay_ms: float, burst_ratio: float = 1.0) -> Rating:
    """Rate a call.

    Args:
        codec: RTP name, `PCMU` or `PCMU/8000`, in any case.
        loss_percent: Packets that were not played, lost in the network or come too late, 0 to 100.
        one_way_delay_ms: From mouth to ear: packets, network and jitter buffer.
        burst_ratio: Mean length of the gaps by what it would be if packets were lost at random; 1 is random, more is bursts.

    Raises:
        ValueError: there are no values for the codec, or a number cannot be; says which.
    """
    values = _CODECS.get(_name(codec))
    if values is None:
        raise ValueError(f"the E-model has no values for the codec {codec!r}: it has for {', '.join(_CODECS)}")
    if not 0 <= loss_percent <= 100:
        raise ValueError(f"loss_percent is from 0 to 100, not {loss_percent!r}")
    if not 0 <= one_way_delay_ms < math.inf:
        raise ValueError(f"one_way_delay_ms is 0 or more, not {one_way_delay_ms!r}")
    if not 0 < burst_ratio < math.inf:
        raise ValueError(f"burst_ratio is more than 0, not {burst_ratio!r}")
    r = max(0.0, _BASE - _delay_impairment(one_way_delay_ms) - _loss_impairment(values, loss_percent, burst_ratio))
    return Rating(r, mos_of(r))


def mos_of(r: float) -> float:
    """The mean opinion score of a rating factor (G.107 Annex B)."""
    if r <= 0:
        return 1.0
    if r >= 100:
        return 4.5
    return max(1.0, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6)  # the polynomial dips below 1 for r < 6.5


def _name(codec: str) -> str:
    return codec.partition("/")[0].upper()


def _loss_impairment(codec: _Codec, loss_percent: float, burst_ratio: float) -> float:
    """Ie,eff (G.107 equation 3-29)."""
    return codec.impairment + (95 - codec.impairment) * loss_percent / (loss_percent / burst_ratio + codec.loss_robustness)


def _delay_impairment(delay_ms: float) -> float:
    """Id = Idte + Idle + Idd (G.107 equation 3-19): the speaker's echo, the listener's, and the delay as such; T = Ta, Tr = 2 T."""
    return _talker_echo(delay_ms) + _listener_echo(2 * delay_ms) + _delay_alone(delay_ms)


def _talker_echo(delay_ms: float) -> float:
    loudness_db = _TALKER_ECHO_LOUDNESS_DB - 40 * math.log10((1 + delay_ms / 10) / (1 + delay_ms / 150)) + 6 * math.exp(-0.3 * delay_ms**2)
    half = (_LOUDNESS_WITHOUT_ECHO - (80 + 2.5 * (loudness_db - 14))) / 2
    return (half + math.sqrt(half**2 + 100) - 1) * (1 - math.exp(-delay_ms))


def _listener_echo(round_trip_ms: float) -> float:
    half = (_LOUDNESS_WITHOUT_ECHO - 10.5 * (_ECHO_PATH_LOSS_DB + 7) / math.sqrt(math.sqrt(round_trip_ms + 1))) / 2
    return half + math.sqrt(half**2 + 169)


def _delay_alone(delay_ms: float) -> float:
    if delay_ms <= 100:
        return 0.0
    octaves = math.log2(delay_ms / 100)
    return 25 * float((1 + octaves**6) ** (1 / 6) - 3 * (1 + (octaves / 3) ** 6) ** (1 / 6) + 2)
