"""Where sentences end, and how a long text is cut into parts."""

import time

import pytest

from media.script import PART_MIN_CHARS, script, whole
from media.sentences import sentences
from media.ssml import Spoken


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello there. How are you? Fine!", ["Hello there.", "How are you?", "Fine!"]),
        ("It costs 3.50 dollars. Thanks.", ["It costs 3.50 dollars.", "Thanks."]),
        ("Mr. Smith met Dr. J. R. Jones. They talked.", ["Mr. Smith met Dr. J. R. Jones.", "They talked."]),
        ("The U.S. Army came. Then it left.", ["The U.S. Army came.", "Then it left."]),
        ("See No. 5 now. I said no. Then I left.", ["See No. 5 now.", "I said no.", "Then I left."]),
        ("Well... yes. Wait... What?", ["Well... yes.", "Wait...", "What?"]),
        ("Hm… ja. Gut… Nein.", ["Hm… ja.", "Gut…", "Nein."]),
        ('He said "Go." Then he left.', ['He said "Go."', "Then he left."]),
        ("Am 3. Oktober ist frei. Dann nicht, z.B. Sonntag.", ["Am 3. Oktober ist frei.", "Dann nicht, z.B. Sonntag."]),
        ("今日は。元気ですか？はい！", ["今日は。", "元気ですか？", "はい！"]),  # noqa: RUF001
        ("नमस्ते। आप कैसे हैं।", ["नमस्ते।", "आप कैसे हैं।"]),
        ("كيف حالك؟ بخير", ["كيف حالك؟", "بخير"]),
        ("A headline\n\nThe text\nof it", ["A headline", "The text\nof it"]),
        ("Version 1.2.3 of example.com is out. Get it.", ["Version 1.2.3 of example.com is out.", "Get it."]),
        ("One. ---. Two. - -", ["One. ---.", "Two. - -"]),
        ("... One.", ["... One."]),
        ("", []),
    ],
)
def test_sentences_end_where_a_reader_says_so(text, expected):
    assert sentences(text) == expected


def test_what_has_no_end_is_cut_between_words_and_loses_none():
    text = "word " * 1000
    parts = sentences(text)
    assert max(map(len, parts)) <= 500
    assert " ".join(parts).split() == text.split()


def test_a_text_of_ten_thousand_full_stops_makes_no_ten_thousand_parts():
    assert len(script("A. " * 3333, "en")) <= 10_000 / PART_MIN_CHARS


def test_short_sentences_are_said_together_and_long_ones_alone():
    long = "This is a sentence that is clearly long enough by itself."
    parts = [utterance.parts for utterance in script(f"Hi. Hello. {long} {long} Bye.", "en-US")]
    assert parts == [(Spoken(f"Hi. Hello. {long}"),), (Spoken(long),), (Spoken("Bye."),)]
    assert [utterance.is_alone for utterance in script("Hi. Hello.", "en-US")] == [True]


def test_headlines_are_not_run_together():
    assert script("Sales\n\nService", "en")[0].parts == (Spoken("Sales"), Spoken("Service"))


def test_the_whole_of_a_plain_text_is_the_text_itself():
    assert whole("One.  Two. <b>", "de").parts == (Spoken("One.  Two. <b>"),)


@pytest.mark.parametrize(
    "text",
    [
        "." * 9999 + "a",
        "." * 5000 + ")" * 4999 + "a",
        "1 . " * 2500,
        "a" * 9990 + " . B",
        "\n " * 4999 + "a",
        "((((" * 2499 + "a. B",
        "<speak>" + "<s>a</s>" * 1200 + "</speak>",
    ],
    ids=["stops", "brackets", "numbers", "word", "lines", "opened", "ssml"],
)
def test_no_text_takes_long_to_cut(text):
    begun_s = time.process_time()
    script(text, "en")
    assert time.process_time() - begun_s < 0.3, "these take 20 ms; what is tried again at each character takes seconds"
