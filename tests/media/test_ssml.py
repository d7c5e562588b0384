"""What is understood of SSML, and how the rest is refused."""

import numpy as np
import pytest
from test_library import Hummer

from media import BadSsml, EmptyText, EspeakSynthesizer, TextTooLong, measure, wav
from media.manner import SILENT_DB, Manner
from media.script import script, whole
from media.ssml import Pause, SentenceEnd, Spoken, is_ssml, parse


def said(markup: str, language: str = "en-US") -> str:
    """The text that is left, when it is all in one manner."""
    (spoken,) = whole(f"<speak>{markup}</speak>", language).parts
    return spoken.text


@pytest.mark.parametrize(
    "text", ["<speak>a</speak>", "  <speak version='1.1'>", "<speak/>", "<?xml version='1.0'?><speak/>", "<!DOCTYPE a>"]
)
def test_what_begins_with_speak_is_ssml(text):
    assert is_ssml(text)


@pytest.mark.parametrize("text", ["", "speak", "<b>x</b>", "<speaker>x</speaker>", "Say <speak>x</speak>", "<voice>x</voice>"])
def test_everything_else_is_plain(text):
    assert not is_ssml(text)


@pytest.mark.parametrize(
    ("attributes", "duration_s"),
    [
        ("", 0.4), ('strength="x-weak"', 0.1), ('strength="x-strong"', 1.5), ('time="250ms"', 0.25), ('time="1.5s"', 1.5),
        ('time=".5s"', 0.5),
        ('time="1s" strength="weak"', 1.0),
    ],
)  # fmt: skip
def test_breaks(attributes, duration_s):
    assert parse(f"<speak>a<break {attributes}/>b</speak>").segments == (Spoken("a"), Pause(duration_s), Spoken("b"))


def test_a_break_of_no_strength_is_none():
    assert parse('<speak>a<break strength="none"/>b</speak>').segments == (Spoken("ab"),)


@pytest.mark.parametrize(
    ("attributes", "manner"),
    [
        ('rate="slow"', Manner(rate=0.75)),
        ('rate="150%"', Manner(rate=1.5)),
        ('rate="-20%"', Manner(rate=0.8)),
        ('pitch="+10%"', Manner(pitch=1.1)),
        ('pitch="-12st"', Manner(pitch=0.5)),
        ('pitch="high"', Manner(pitch=1.25)),
        ('volume="-6dB"', Manner(volume_db=-6.0)),
        ('volume="silent"', Manner(volume_db=SILENT_DB)),
        ('rate="fast" pitch="low" volume="loud"', Manner(1.4, 0.8, 4.0)),
        ('rate="medium" pitch="default"', Manner()),
    ],
)
def test_prosody(attributes, manner):
    assert parse(f"<speak><prosody {attributes}>a</prosody></speak>").segments == (Spoken("a", manner),)


def test_prosody_within_prosody_applies_both_within_bounds():
    inner = '<prosody rate="50%" volume="-40dB">b</prosody>'
    found = parse(f'<speak><prosody rate="40%" volume="-40dB">a{inner}c</prosody>d</speak>').segments
    outer = Manner(0.4, 1.0, -40.0)
    assert found == (Spoken("a", outer), Spoken("b", Manner(0.25, 1.0, -60.0)), Spoken("c", outer), Spoken("d"))


@pytest.mark.parametrize(
    ("attributes", "text", "expected"),
    [
        ('interpret-as="digits"', "1024", "1 0 2 4"),
        ('interpret-as="characters"', "ab 1", "A B 1"),
        ('interpret-as="spell-out"', "a", "A"),
        ('interpret-as="cardinal"', "1,234,567", "1234567"),
        ('interpret-as="number"', "-3.5", "-3.5"),
        ('interpret-as="ordinal"', "1", "1st"),
        ('interpret-as="ordinal"', "112", "112th"),
        ('interpret-as="ordinal"', "23", "23rd"),
        ('interpret-as="telephone"', "+1 (555) 010-99", "+ 1, 5 5 5, 0 1 0, 9 9"),
        ('interpret-as="date" format="mdy"', "11/23/2026", "November 23rd, 2026"),
        ('interpret-as="date" format="dm"', "1.2.".rstrip("."), "February 1st"),
        ('interpret-as="date" format="ym"', "2026-07", "July, 2026"),
    ],
)
def test_say_as(attributes, text, expected):
    assert said(f"<say-as {attributes}>{text}</say-as>") == expected


def test_a_date_in_another_language_is_its_numbers():
    assert said('<say-as interpret-as="date" format="dmy">23.11.2026</say-as>', "de-DE") == "23, 11, 2026"


def test_a_substitute_is_spoken_in_place_of_the_text():
    assert said('The <sub alias="Voice over IP">VoIP</sub> service') == "The Voice over IP service"


def test_characters_that_xml_has_to_escape_and_comments():
    assert said("Tom &amp; Jerry <!-- nobody hears this --> &lt;3 <![CDATA[a < b]]>") == "Tom & Jerry <3 a < b"


def test_paragraphs_and_sentences_end_sentences_and_the_language_is_taken():
    document = parse('<speak xml:lang="de-DE"><p><s>Guten Tag</s><s>Und</s></p></speak>')
    assert document.language == "de-DE"
    end = SentenceEnd()
    assert document.segments == (end, end, Spoken("Guten Tag"), end, end, Spoken("Und"), end, end, Pause(0.35))
    (utterance,) = script('<speak xml:lang="de-DE"><p><s>Guten Tag</s><s>Und</s></p></speak>', "en-US")
    assert (utterance.language, utterance.parts) == ("de-DE", (Spoken("Guten Tag"), Spoken("Und"), Pause(0.35)))


def test_long_markup_is_said_in_parts():
    sentence = "This is a sentence that is clearly long enough by itself."
    utterances = script(f"<speak>{sentence} {sentence} <prosody rate='slow'>{sentence} Yes.</prosody> Bye.</speak>", "en-US")
    slow = Manner(rate=0.75)
    assert [utterance.parts for utterance in utterances] == [
        (Spoken(sentence),),
        (Spoken(sentence), Spoken(sentence, slow)),
        (Spoken("Yes.", slow), Spoken("Bye.")),
    ]


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ("<speak>é <b>x</b></speak>", 9, "<b>; known are speak, p, s, break"),
        ('<speak><audio src="http://x/"/></speak>', 7, "<audio>"),
        ("<speak><speak>x</speak></speak>", 7, "<speak> here"),
        ("<speak>&lol;</speak>", 7, "undefined entity"),
        ("<speak>hi", 9, "not well-formed"),
        ("<speak>hi</s></speak>", 11, "mismatched tag"),
        ("<speak>x</speak>y", 16, "junk"),
        ('<speak a="1">x</speak>', 0, "attribute 'a' of <speak>"),
        ('<speak><p class="x">x</p></speak>', 7, "'class' of <p>; it has none"),
        ('<speak><break time="1h"/></speak>', 7, "time='1h'; expected"),
        ('<speak><break time="21s"/></speak>', 7, "at most 20 s"),
        ('<speak><break time="-1s"/></speak>', 7, "time='-1s'"),
        ('<speak><break strength="huge"/></speak>', 7, "strength='huge'; known are none"),
        ("<speak><break>x</break></speak>", None, "text within <break>"),
        ("<speak>" + '<break time="20s"/>' * 16 + "x</speak>", 292, "longer than 300 s in all"),
        ('<speak><prosody rate="1000%">x</prosody></speak>', 7, "from 25% to 300%"),
        ('<speak><prosody rate="nan%">x</prosody></speak>', 7, "rate='nan%'"),
        ('<speak><prosody pitch="200Hz">x</prosody></speak>', 7, "pitch='200Hz'"),
        ('<speak><prosody volume="6dB">x</prosody></speak>', 7, "volume='6dB'"),
        ('<speak><prosody contour="x">x</prosody></speak>', 7, "'contour' of <prosody>; known are rate, pitch, volume"),
        ("<speak><say-as>1</say-as></speak>", 7, "'interpret-as' is missing"),
        ('<speak><say-as interpret-as="time">1</say-as></speak>', 7, "interpret-as='time'; known are digits"),
        ('<speak><say-as interpret-as="cardinal">one</say-as></speak>', 42, "'one' is no number"),
        ('<speak><say-as interpret-as="date">1/1/2026</say-as></speak>', 7, "format='' of a date"),
        ('<speak><say-as interpret-as="date" format="mdy">13/13/2026</say-as></speak>', 58, "no date of the format 'mdy'"),
        ('<speak xml:lang="de"><say-as interpret-as="ordinal">1</say-as></speak>', 21, "only in English"),
        ('<speak><sub alias="x">a<s>b</s></sub></speak>', 23, "<s> within <sub>"),
        ("<speak><sub>a</sub></speak>", 7, "'alias' is missing"),
        ("<speak><?php x?></speak>", 7, "processing instruction <?php"),
        ("<speak>" + "<p>" * 40, 100, "more than 32 elements"),
        ("<?xml version='1.0'?><p>x</p>", 21, "<p> here"),
        ("<!DOCTYPE speak [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;'>]><speak>&b;</speak>", None, "DOCTYPE"),
        ("<!DOCTYPE speak SYSTEM 'file:///etc/passwd'><speak>x</speak>", None, "DOCTYPE"),
        ("<?xml version='1.0'?><!DOCTYPE s [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><speak>&x;</speak>", None, "DOCTYPE"),
    ],
)
def test_everything_else_is_refused_with_its_name_and_place(text, position, reason):
    with pytest.raises(BadSsml) as refused:
        script(text, "en-US")
    assert reason in str(refused.value)
    assert position in {None, refused.value.position}


@pytest.mark.parametrize("text", ["<speak/>", "<speak>...</speak>", '<speak><break time="1s"/></speak>'])
def test_nothing_to_say_is_refused(make_library, text):
    with pytest.raises(EmptyText):
        make_library(synthesizer=Hummer()).check_speech(text)


def test_ssml_has_the_limit_of_all_texts(make_library):
    with pytest.raises(TextTooLong):
        make_library(synthesizer=Hummer()).check_speech(f"<speak>{'x' * 10_000}</speak>")


def test_pauses_and_volume_are_heard(make_library):
    quiet, silent = '<prosody volume="-20dB">0123456789</prosody>', '<prosody volume="silent">0123456789</prosody>'
    text = f'<speak>0123456789<break time="1s"/>{quiet}{silent}</speak>'
    library = make_library(synthesizer=Hummer())
    samples, rate_hz = wav.read(library.speech(text).path)
    assert len(samples) == 2.5 * rate_hz
    levels = [measure.tone_level_db(samples[round(at * rate_hz) :][: rate_hz // 4], 300, rate_hz) for at in (0.1, 1.6)]
    assert levels == [pytest.approx(-10, abs=0.5), pytest.approx(-30, abs=0.5)]
    assert np.abs(samples[round(0.51 * rate_hz) : round(1.49 * rate_hz)]).max() == 0
    assert np.abs(samples[round(2.01 * rate_hz) :]).max() == 0


def test_each_manner_makes_a_file_of_its_own(make_library):
    library = make_library(synthesizer=Hummer())
    texts = ["x", '<speak><prosody rate="slow">x</prosody></speak>', '<speak><prosody pitch="low">x</prosody></speak>']
    assert len({library.speech(text).path for text in [*texts, '<speak>x<break time="1s"/></speak>']}) == 4
    assert library.speech("<speak>x</speak>").path == library.speech("x").path


class Recorder(Hummer):
    """Remembers manners too."""

    def render(self, text, language, gender, cancellation, manner):
        self.manners = [*getattr(self, "manners", []), manner]
        return super().render(text, language, gender, cancellation, manner)


def test_the_engine_is_told_the_pace_and_the_pitch(make_library):
    engine = Recorder()
    make_library(synthesizer=engine).speech('<speak>a<prosody rate="200%" pitch="+50%">b</prosody></speak>')
    assert engine.manners == [Manner(), Manner(rate=2.0, pitch=1.5)]


def fundamental_hz(samples: np.ndarray, rate_hz: int) -> float:
    """The median pitch of what is voiced."""
    found = []
    size = rate_hz // 12
    for start in range(0, len(samples) - size, size // 2):
        window = samples[start : start + size].astype(float)
        window -= window.mean()
        strength = np.correlate(window, window, "full")[size - 1 :]
        low = rate_hz // 500
        lag = low + int(np.argmax(strength[low : rate_hz // 60]))
        if np.abs(window).max() > 2000 and strength[lag] > 0.5 * strength[0]:
            found.append(rate_hz / lag)
    return float(np.median(found))


def test_espeak_speaks_slower_and_higher_when_told_and_as_before_afterwards(make_library):
    library = make_library(synthesizer=EspeakSynthesizer(processes=1))
    sentence = "We are all away in the long afternoon."

    def spoken(attributes: str) -> tuple[float, float]:
        samples, rate_hz = wav.read(library.speech(f"<speak><prosody {attributes}>{sentence}</prosody></speak>").path)
        return len(samples) / rate_hz, fundamental_hz(samples, rate_hz)

    slow_s, slow_hz = spoken('rate="50%"')
    fast_s, _ = spoken('rate="150%"')
    _, high_hz = spoken('pitch="+40%"')
    _, low_hz = spoken('pitch="-20%"')
    plain_s, plain_hz = spoken('volume="+0dB"')
    assert 1.8 < slow_s / plain_s < 2.5
    assert 0.5 < fast_s / plain_s < 0.75
    assert slow_hz == pytest.approx(plain_hz, rel=0.05)
    assert high_hz / plain_hz == pytest.approx(1.4, abs=0.12)
    assert low_hz / plain_hz == pytest.approx(0.8, abs=0.1)


def test_the_parts_together_are_as_long_as_the_whole(make_library):
    library = make_library()
    text = " ".join(f"This is the sentence with the number {number} of this text." for number in range(100, 105))
    parts = [library.utter(utterance).duration_s for utterance in library.utterances(text)]
    assert len(parts) == 5
    assert sum(parts) == pytest.approx(library.speech(text).duration_s, abs=0.02)


def test_one_part_of_many_may_be_silence(make_library):
    library = make_library(synthesizer=Hummer())
    long = "x" * 50
    utterances = library.utterances(f"<speak><s>{long}</s><s>{'SILENCE'}</s></speak>")
    assert [library.utter(utterance).duration_s > 0 for utterance in utterances] == [True, True]
