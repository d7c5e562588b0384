"""Speech in calls: sentence by sentence, SSML, and what is refused before the call."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from media import AudioLibrary, PreparedAudio
from sipcore.actions import Connect, Play, Talk
from sipcore.actions.calling import Confirm
from sipcore.actions.templates import expanded
from sipcore.errors import ConfigError, InvalidRequest
from sipcore.preparation import Kind, Preparation, Work
from sipcore.switch import AsyncSwitch
from sipcore.testing.fake_engine import FakeEngine
from sipcore.variables import Variables

from .stage import WORD_S, Beeps, play, write_wav

SENTENCE = "this is a sentence of exactly ten words in all"  # five seconds
THREE = f"{SENTENCE}. {SENTENCE.capitalize()}? {SENTENCE.capitalize()}!"


async def spans(stage, *actions, **keywords):
    """When each file was heard."""
    call = stage.call("bob", *actions, **keywords)
    await call.wait()
    return [(heard.start_s, heard.end_s) for heard in stage.engine.heard[call.id]]


def test_a_long_text_is_heard_sentence_by_sentence_without_a_gap(tmp_path):
    async def scenario(stage):
        heard = await spans(stage, Talk(THREE))
        assert [end_s - start_s for start_s, end_s in heard] == [pytest.approx(5.0)] * 3
        assert [after[0] - before[1] for before, after in itertools.pairwise(heard)] == [pytest.approx(0, abs=0.001)] * 2

    play(tmp_path, scenario)


def test_the_pause_of_a_talk_is_between_its_rounds_and_not_between_its_sentences(tmp_path):
    async def scenario(stage):
        heard = await spans(stage, Talk(f"{SENTENCE}. {SENTENCE.capitalize()}.", loop=2, pause_ms=700))
        gaps = [after[0] - before[1] for before, after in itertools.pairwise(heard)]
        assert gaps == [pytest.approx(0, abs=0.001), pytest.approx(0.7, abs=0.001), pytest.approx(0, abs=0.001)]
        write_wav(stage.root / "a.wav")
        heard = await spans(stage, Play(["a.wav", "a.wav"], pause_ms=700))
        assert heard[1][0] - heard[0][1] == pytest.approx(0.7, abs=0.001)

    play(tmp_path, scenario)


def test_ssml_is_spoken_with_its_pauses(tmp_path):
    async def scenario(stage):
        ((start_s, end_s),) = await spans(stage, Talk('<speak>one <break time="2s"/> two</speak>'))
        assert end_s - start_s == pytest.approx(2 * WORD_S + 2)
        ((start_s, end_s),) = await spans(stage, Talk("say <b>one</b>"))
        assert end_s - start_s == pytest.approx(2 * WORD_S), "markup in plain text is text"

    play(tmp_path, scenario)


def test_what_is_not_understood_of_ssml_is_refused_with_its_place(tmp_path):
    async def scenario(stage):
        with pytest.raises(InvalidRequest) as refused:
            stage.call("bob", Talk("hi"), Talk("<speak>hi <audio src='x'/></speak>"))
        (fault,) = refused.value.faults
        assert fault.path == "actions[1].option.text"
        assert fault.message.startswith("SSML at position 10: not understood: <audio>; known are speak, p, s")
        with pytest.raises(InvalidRequest, match=r"actions\[0\].option.confirm.text: SSML at position 0"):
            stage.call("bob", Connect(["sip:b@192.0.2.9"], confirm=Confirm("<speak x='1'/>")))
        with pytest.raises(InvalidRequest, match=r"actions\[0\].option.text: SSML at position \d+: not understood: a DOCTYPE"):
            stage.call("bob", Talk("<!DOCTYPE s [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;'>]><speak>&b;</speak>"))

    play(tmp_path, scenario)


@pytest.mark.parametrize("value", ["<break time='9s'/>", "Tom & Jerry", '"><audio/>', "</speak>", "]]>", "a\x00\x01b"])
def test_the_value_of_a_variable_is_text_in_ssml(tmp_path, value):
    variables = Variables()
    variables.set("name", value)
    talk = expanded(Talk("<speak>hello ${name} <sub alias='${name}'>x</sub></speak>"), variables)
    library = AudioLibrary(tmp_path / "cache", tmp_path, synthesizer=Beeps())
    try:
        (utterance,) = library.utterances(talk.text)
    finally:
        library.close()
    plain = value.replace("\x00", "").replace("\x01", "")
    assert " ".join(part.text for part in utterance.parts).replace("  ", " ") == f"hello {plain} {plain}"
    assert expanded(Talk("hello ${name}"), variables).text == f"hello {value}", "plain text stays plain"


class SlowHost:
    """Makes audio when it is told to."""

    def __init__(self, library: AudioLibrary) -> None:
        self.library = library
        self.asked: list[tuple[Work, asyncio.Future[PreparedAudio]]] = []

    def in_background(self, work: Work, kind: Kind) -> asyncio.Future[PreparedAudio]:
        assert kind is Kind.SPEECH
        future: asyncio.Future[PreparedAudio] = asyncio.get_running_loop().create_future()
        self.asked.append((work, future))
        return future

    def make(self, index: int) -> None:
        work, future = self.asked[index]
        future.set_result(work())


async def test_the_first_sentence_is_ready_while_the_others_are_not(tmp_path):
    library = AudioLibrary(tmp_path / "cache", tmp_path, synthesizer=Beeps())
    host = SlowHost(library)
    prepared = Preparation([Talk(THREE), Talk(THREE, loop=2)], host)
    try:
        first, second, third = prepared.pieces(0)
        await asyncio.sleep(0)
        assert len(host.asked) == 2, "two of one call are made at once"
        host.make(0)
        assert await first.path()
        assert (second.task.done(), third.task.done()) == (False, False)
        host.make(1)
        host.make(2)
        assert len({await piece.path() for piece in (first, second, third)}) == 3
        assert library.speech_misses == 3
    finally:
        await prepared.stop()
        library.close()


async def test_what_cannot_be_spoken_fails_when_its_turn_comes(tmp_path):
    library = AudioLibrary(tmp_path / "cache", tmp_path, synthesizer=Beeps())
    host = SlowHost(library)
    prepared = Preparation([Talk("<speak><blink/></speak>")], host)
    try:
        (piece,) = prepared.pieces(0)
        await asyncio.sleep(0)
        with pytest.raises(Exception, match="<blink>"):
            host.make(0)
        assert not piece.task.done()
    finally:
        await prepared.stop()
        library.close()


async def test_a_voice_that_is_not_there_is_told_when_the_switch_opens(tmp_path):
    switch = AsyncSwitch(engine=FakeEngine(), cache_dir=tmp_path / "cache", recordings_dir=tmp_path, voice=str(tmp_path / "none.onnx"))
    with pytest.raises(ConfigError, match=r"voice: .*none\.onnx"):
        async with switch:
            pass
