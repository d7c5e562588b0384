"""G.711 tables, exhaustively, against the C implementation that Python 3.11 and 3.12 still have."""

import warnings

import numpy as np
import pytest

from sipcore.testing import g711

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    audioop = pytest.importorskip("audioop")

ALL_CODES = bytes(range(256))
ALL_SAMPLES = np.arange(-32768, 32768, dtype=np.int16)


def test_mu_law_decodes_every_code():
    assert g711.decode_mu_law(ALL_CODES).tobytes() == audioop.ulaw2lin(ALL_CODES, 2)


def test_a_law_decodes_every_code():
    assert g711.decode_a_law(ALL_CODES).tobytes() == audioop.alaw2lin(ALL_CODES, 2)


def test_mu_law_encodes_every_sample():
    assert g711.encode_mu_law(ALL_SAMPLES) == audioop.lin2ulaw(ALL_SAMPLES.tobytes(), 2)


def test_a_law_encodes_every_sample():
    assert g711.encode_a_law(ALL_SAMPLES) == audioop.lin2alaw(ALL_SAMPLES.tobytes(), 2)


@pytest.mark.parametrize(("encode", "silence"), [(g711.encode_mu_law, g711.MU_LAW_SILENCE), (g711.encode_a_law, g711.A_LAW_SILENCE)])
def test_silence(encode, silence):
    assert encode(np.zeros(160, dtype=np.int16)) == bytes([silence]) * 160


def test_a_decoded_code_encodes_to_itself():
    assert g711.encode_a_law(g711.decode_a_law(ALL_CODES)) == ALL_CODES
    positive_zero_for_negative = ALL_CODES.replace(b"\x7f", b"\xff")  # mu-law has two zeros
    assert g711.encode_mu_law(g711.decode_mu_law(ALL_CODES)) == positive_zero_for_negative
