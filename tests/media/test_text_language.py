"""Text and language before anything is spoken."""

import pytest

from media import EmptyText, TextTooLong, UnknownLanguage, UnspeakableText
from media.language import match_language
from media.text import check_text, chunks

KNOWN = {
    "en": "English (Great Britain)",
    "en-gb": "English (Great Britain)",
    "en-us": "English (America)",
    "de": "German",
    "pt": "Portuguese (Portugal)",
    "pt-br": "Portuguese (Brazil)",
    "ko": "Korean",
    "cmn": "Chinese (Mandarin)",
    "yue": "Chinese (Cantonese)",
    "nb": "Norwegian",
    "es": "Spanish (Spain)",
    "es-419": "Spanish (Latin America)",
}


@pytest.mark.parametrize(
    ("wanted", "tag"),
    [
        ("en-US", "en-us"),
        ("EN_us", "en-us"),
        ("en-GB", "en-gb"),
        ("en", "en"),
        ("en-AU", "en"),
        ("de-DE", "de"),
        ("de-Latn-AT", "de"),
        ("ko-KR", "ko"),
        ("pt-BR", "pt-br"),
        ("pt-PT", "pt"),
        ("zh-CN", "cmn"),
        ("zh-Hant-TW", "cmn"),
        ("zh-HK", "yue"),
        ("no", "nb"),
        ("es-MX", "es-419"),
        ("es-ES", "es"),
    ],
)
def test_tags_find_the_region_or_the_base_language(wanted, tag):
    assert match_language(wanted, KNOWN) == tag


@pytest.mark.parametrize(
    ("wanted", "suggestion"), [("english", "en"), ("enUS", "en-us"), ("ger", "de"), ("german", "de"), ("pt.br", "pt-br"), ("Korena", "ko")]
)
def test_an_unknown_language_gets_a_suggestion(wanted, suggestion):
    with pytest.raises(UnknownLanguage) as caught:
        match_language(wanted, KNOWN)
    assert suggestion in caught.value.suggestions
    assert "did you mean" in str(caught.value)
    assert f"({len(KNOWN)} are known)" in str(caught.value)


@pytest.mark.parametrize("wanted", ["", "-", "qq-QQ", "x" * 100_000, "\ud800", "\0"])
def test_nonsense_is_unknown_and_the_message_stays_short(wanted):
    with pytest.raises(UnknownLanguage) as caught:
        match_language(wanted, KNOWN)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("text", ["", " ", "\n\t", "...", "?!", "\u2014", "\u3002", "( - )", "\u200b", "\ufe0f"])
def test_text_without_anything_to_say_is_refused(text):
    with pytest.raises(EmptyText):
        check_text(text, 100)


@pytest.mark.parametrize(("text", "position"), [("a\0b", 1), ("a\ud800", 1), ("\x1b[31m", 0), ("x\x85", 1), ("hi\udfff", 2)])
def test_control_characters_and_surrogates_are_refused(text, position):
    with pytest.raises(UnspeakableText) as caught:
        check_text(text, 100)
    assert caught.value.position == position
    assert f"U+{ord(text[position]):04X}" in str(caught.value)
    str(caught.value).encode()


def test_too_long_names_both_numbers():
    with pytest.raises(TextTooLong, match=r"100000 .* 10000 "):
        check_text("x" * 100_000, 10_000)


@pytest.mark.parametrize(
    "text", ["a", "7", "\u00e9", "\uc548\ub155", "\U0001f600", "+", "*", "50 %", "#", "a\nb\tc\r\n", "<speak>&amp;</speak>"]
)
def test_anything_else_passes(text):
    check_text(text, 100)


def test_short_text_is_one_chunk():
    assert chunks("Hello. Welcome!") == ["Hello. Welcome!"]
    assert chunks(" \n ") == []


def test_long_text_is_cut_at_sentence_ends():
    sentences = [f"This is sentence number {n}, and it says nothing." for n in range(100)]
    cut = chunks(" ".join(sentences), 500)
    assert all(len(chunk) <= 500 and chunk.endswith(".") for chunk in cut)
    assert " ".join(cut) == " ".join(sentences)


@pytest.mark.parametrize("text", ["word " * 1000, "a,b," * 1000, "x" * 5001, "\u3042" * 1200 + "\u3002" + "\u3044" * 700])
def test_every_other_long_text_is_cut_without_losing_a_letter(text):
    cut = chunks(text, 500)
    assert all(0 < len(chunk) <= 500 for chunk in cut)
    assert "".join(cut).replace(" ", "") == text.replace(" ", "")
