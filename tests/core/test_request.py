"""What `create` is asked for."""

import pytest

from media import AudioLibrary
from sipcore.actions import Connect, Play, Talk
from sipcore.addresses import Address
from sipcore.errors import Fault, InvalidRequest
from sipcore.request import check_request, parse_request

from .bodies import BODIES
from .stage import Beeps, write_wav


def no_trunk(address: Address, trunk: str) -> None:
    """What the switch says of numbers and of names of trunks when it has none."""
    if trunk:
        raise InvalidRequest([Fault("trunk", f"no trunk is named {trunk!r}")])
    if address.type == "tel":
        raise InvalidRequest([Fault("destination", f"{address} needs a trunk")])


def faults_of(body) -> dict[str, str]:
    with pytest.raises(InvalidRequest) as refusal:
        parse_request(body)
    return {fault.path: fault.message for fault in refusal.value.faults}


@pytest.mark.parametrize(("name", "legs"), [("talk", 1), ("play", 1), ("connect", 2)])
def test_tutorial_bodies(name, legs):
    request = parse_request(BODIES[name])
    assert request.destination == Address("tel", "+821021656521")
    assert request.source is not None
    assert (request.legs_needed, request.user_id) == (legs, 1)


def test_source_and_actions_may_be_missing():
    request = parse_request({"destination": "sip:bob@192.0.2.1"})
    assert (request.source, request.actions) == (None, ())


def test_every_fault_is_told_at_once():
    faults = faults_of({"destination": "tel:12ab", "source": {"type": "tel"}, "actions": [{"type": "hop"}], "colour": "red"})
    assert list(faults) == ["colour", "destination", "source.target", "actions[0].type"]
    assert "known are source, destination, actions" in faults["colour"]


@pytest.mark.parametrize("body", [{}, {"destination": None}])
def test_destination_must_be_there(body):
    assert faults_of(body) == {"destination": "is missing"}


@pytest.fixture
def library(tmp_path):
    write_wav(tmp_path / "ok.wav")
    (tmp_path / "empty.wav").touch()
    library = AudioLibrary(tmp_path / "cache", tmp_path, synthesizer=Beeps(), allow_private_urls=False)
    yield library
    library.close()


def test_what_this_switch_cannot_do_is_told_at_once(library):
    request = parse_request(
        {
            "destination": "tel:+8210",
            "actions": [
                Talk(""),
                Talk("hi", language="xx-XX"),
                Talk("x" * 100_000),
                Talk("a\x00b"),
                Play(["ok.wav", "none.wav", "../x", "/etc/passwd", "file:///etc/passwd", "http://127.0.0.1/a", "empty.wav"]),
                Connect(["tel:+8211", "sip:b@192.0.2.1"]),
            ],
        }
    )
    faults = check_request(request, library, no_trunk)
    assert [fault.path for fault in faults] == [
        "destination",
        "actions[0].option",
        "actions[1].option",
        "actions[2].option",
        "actions[3].option",
        *(f"actions[4].option.stream_urls[{number}]" for number in range(1, 7)),
        "actions[5].option.destinations",
    ]
    assert "needs a trunk" in faults[0].message
    assert "+8211" in faults[-1].message


def test_nothing_to_say_about_a_good_request(library):
    request = parse_request({"destination": "tel:+8210", "actions": [Talk("hello"), Play(["ok.wav"]), Connect(["tel:+8211"])]})
    assert check_request(request, library, lambda _address, _trunk: None) == []
