"""A call as a notebook shows it."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest
import soundfile

from media.errors import NotAudio
from media.waveform import draw_envelope, read_envelope
from sipcore import CallNotFound, Play, Switch
from sipcore.testing.fake_engine import FakeEngine

from .stage import Beeps, Stage, address, play

PLAY = Play(["prompt.wav"])


def parsed(html: str) -> ET.Element:
    """Well-formed, and without anything that runs or is fetched."""
    root = ET.fromstring(html)
    assert not {"script", "img", "link", "iframe"} & {element.tag.rpartition("}")[2] for element in root.iter()}
    return root


def test_record_and_call(root):
    async def scenario(stage: Stage):
        call = stage.call("bob", PLAY)
        assert "dialing, outgoing" in call._repr_html_()
        await call.wait()
        html = call._repr_html_()
        parsed(html)
        assert "ActionFinished play done" in html
        assert "local, normal, 200 OK, 2.0 s after the answer" in html
        parsed(call.record._repr_html_())
        page = await stage.switch.page(call.id)
        assert call.id in str(page) == page._repr_html_()
        parsed(page.html)
        with pytest.raises(CallNotFound):
            await stage.switch.page("nobody")

    play(root, scenario)


def test_recording_is_a_waveform(root):
    async def scenario(stage: Stage):
        async with stage.switch.dial(address("bob")) as call:
            recording = await call.start_recording()
            await call.play("prompt.wav")
        await stage.switch.recordings.wait(recording.id)
        page = parsed((await stage.switch.page(call.id)).html)
        assert any(f"recording {recording.id} 2.0 s" in "".join(element.itertext()) for element in page.iter())

    play(root, scenario)


@pytest.mark.slow
def test_synchronous_call_also_after_the_switch(root):
    with Switch(engine=FakeEngine(), synthesizer=Beeps(), cache_dir=root / "cache", media_root=root) as switch:
        call = switch.calls.create(destination=address("bob"))
        call.wait(timeout_s=10)
        assert call.id in parsed(call._repr_html_()).find("b").text
    assert "CallHangup" in call._repr_html_()


# ---------------------------------------------------------------------------------------------------- waveforms


@pytest.mark.parametrize("frames", [1, 599, 600, 8000, 200_001])
def test_envelope_has_the_lowest_and_the_highest_of_each_column(tmp_path, frames):
    rng = np.random.default_rng(frames)
    samples = rng.integers(-32768, 32767, (frames, 2), np.int16)
    soundfile.write(tmp_path / "a.wav", samples, 8000, "PCM_16")
    envelope, duration_s = read_envelope(tmp_path / "a.wav")
    columns = min(600, frames)
    assert (envelope.shape, duration_s) == ((2, columns, 2), frames / 8000)
    edges = np.linspace(0, frames, columns + 1).astype(int)
    for column in range(0, columns, 37):
        part = samples[edges[column] : edges[column + 1]] / 32768
        assert np.allclose(envelope[:, column, 0], np.minimum(part.min(axis=0), 0))
        assert np.allclose(envelope[:, column, 1], np.maximum(part.max(axis=0), 0))


def test_picture(tmp_path):
    tone = np.sin(np.arange(8000) * 1.3) * np.repeat([0, 0.5], 4000)
    soundfile.write(tmp_path / "a.flac", tone, 8000)
    svg = parsed(draw_envelope(*read_envelope(tmp_path / "a.flac"), "<left> & right"))
    assert svg.get("aria-label") == "<left> & right 1.0 s"
    (path,) = [element for element in svg.iter() if element.tag.endswith("path")]
    heights = [float(point.split(",")[1]) for point in path.get("d").strip("MZ").split("L")][:600]
    assert max(30 - height for height in heights[:290]) == 0.5
    assert min(30 - height for height in heights[310:]) > 12


def test_empty_file_and_no_audio(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(0, np.int16), 8000)
    assert read_envelope(tmp_path / "a.wav")[0].shape == (1, 1, 2)
    (tmp_path / "b.wav").write_bytes(b"no audio")
    for name in ("b.wav", "c.wav"):
        with pytest.raises(NotAudio, match=name):
            read_envelope(tmp_path / name)
