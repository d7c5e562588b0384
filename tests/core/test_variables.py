"""Variables: names, limits, and texts with values in their place."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipcore.actions import Connect, Fetch, Play, Reject, Talk, WebhookSend, parse_action
from sipcore.actions.templates import expanded, names_in
from sipcore.addresses import Address
from sipcore.errors import InvalidRequest
from sipcore.record import CallRecord
from sipcore.variables import VariableLimits, Variables, call_values, check_variables, has_variables, variable_names

RECORD = CallRecord(
    "c-1", Address("tel", "+8210", 'Ann "A"'), Address("sip", "bob@192.0.2.1"), datetime(2026, 1, 1, tzinfo=UTC), direction="incoming"
)


def variables(**values: str) -> Variables:
    made = Variables(lambda: call_values(RECORD))
    made.update(values)
    return made


def faults_of(given, **limits) -> dict[str, str]:
    return {fault.path: fault.message for fault in check_variables(given, VariableLimits(**limits))}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no variables, $5, {x}, $", "no variables, $5, {x}, $"),
        ("hello ${name}.", "hello Ann."),
        ("${name}${name}", "AnnAnn"),
        ("${nobody}!", "!"),
        ("$${name}", "${name}"),
        ("$$${name}", "$${name}"),
        ("${call.id} ${call.direction}", "c-1 incoming"),
        ("${voipbin.call.id}", "c-1"),
        ("${call.source}, ${voipbin.call.source.target}, ${call.source.type}", "+8210, +8210, tel"),
        ("${call.destination}", "bob@192.0.2.1"),
        ("${call.source.name}", 'Ann "A"'),
        ("[${call.master_call_id}]", "[]"),
        ("${digits} ${voipbin.call.digits}", "12# 12#"),
        ("${nested}", "${name}"),
        ("https://h.example/${name}?d=${digits}&x=${odd}", "https://h.example/Ann?d=12%23&x=a%26b%2Fc%20%C3%A9"),
        ("${url}/${digits}", "https://h.example/12#"),
        ("${unclosed", "${unclosed"),
    ],
)
def test_texts(text, said):
    known = variables(name="Ann", digits="12#", nested="${name}", odd="a&b/c é", url="https://h.example")
    assert known.expand(text) == said


def test_the_last_recording():
    recorded = replace(RECORD, recording_ids=("r-1", "r-2"))
    assert Variables(lambda: call_values(recorded)).expand("${voipbin.recording.id}") == "r-2"
    assert variables().get("recording.id") is None


def test_what_has_variables():
    assert has_variables("a ${b}")
    assert not has_variables("a $${b}")
    assert not has_variables("a ${b")
    assert variable_names("${voipbin.call.digits}, $${no}, ${x.y}") == ("digits", "x.y")


@pytest.mark.parametrize("name", ["", "1a", "a b", "a" * 65, "é", "a}", "call", "call.id", "voipbin.call.source", "-a", 5])
def test_names_that_cannot_be_set(name):
    (why,) = faults_of({name: "x"}).values()
    assert "variable name" in why or "cannot be set" in why


def test_values_are_strings_within_limits():
    assert faults_of({"a": 5, "b": "xx", "c": "x"}, value_bytes=1) == {
        "variables.a": "must be a string, not int",
        "variables.b": "at most 1 bytes, this has 2",
    }
    assert faults_of({"a": "é"}, value_bytes=1) == {"variables.a": "at most 1 bytes, this has 2"}
    assert faults_of({"a": "", "b": ""}, names=1) == {"variables": "at most 1 variables, these would be 2"}
    assert faults_of({"a": "xx", "b": "xx"}, all_bytes=3) == {"variables": "at most 3 bytes in all, these would be 4"}


def test_what_was_there_counts_and_a_refused_update_changes_nothing():
    known = Variables(limits=VariableLimits(names=2, value_bytes=10, all_bytes=15))
    known.update({"a": "x" * 8, "b": "y"})
    for wrong in ({"c": ""}, {"a": "x" * 10, "b": "y" * 10}, {"b": "z", "1": "z"}):
        with pytest.raises(InvalidRequest):
            known.update(wrong)
        assert known.to_dict() == {"a": "x" * 8, "b": "y"}
    known.set("digits", "123456789")  # what actions find out has room of its own
    assert known.get("voipbin.call.digits") == "123456789"


def test_a_text_does_not_explode():
    known = Variables(limits=VariableLimits(all_bytes=1000))
    known.set("a", "x" * 100)
    assert len(known.expand("${a}" * 10)) == 1000
    with pytest.raises(InvalidRequest, match="more than 1000 characters"):
        known.expand("${a}" * 11)


@given(st.text(max_size=50), st.text(max_size=50))
def test_any_text_and_any_value(text, value):
    known = Variables()
    known.set("a", value)
    assert known.expand(f"{text} ${{a}}").endswith(value) or text.lower().startswith("http")
    assert json.loads(f'"{known.expand("${a}", lambda found: json.dumps(found)[1:-1])}"') == value


def test_options_of_every_shape():
    known = variables(name="Ann", n="+8211", host="h.example", file="a.wav")
    assert expanded(Talk("hi ${name}", id="x"), known) == Talk("hi Ann", id="x")
    assert expanded(Play(("b.wav", "p/${file}")), known) == Play(("b.wav", "p/a.wav"))
    assert expanded(parse_action(Connect(["tel:${n}", "sip:bob@h.example"], source="${n}")), known) == Connect(
        ("tel:+8211", Address("sip", "bob@h.example")), source="+8211"
    )
    assert expanded(parse_action(Connect([Address("tel", "${n}", "to ${name}")])), known).addresses == (Address("tel", "+8211", "to Ann"),)
    fixed = Talk("hi")
    assert expanded(fixed, known) is fixed
    assert names_in(parse_action(Connect(["tel:${n}"], headers={"X-A": "${name}"}))) == {"n", "name"}


def test_json_that_is_sent_stays_json():
    known = variables(name='A "quoted" \\ \n name')
    sent = expanded(WebhookSend("https://h.example/", data='{"name": "${name}"}'), known)
    assert json.loads(sent.data) == {"name": 'A "quoted" \\ \n name'}
    assert expanded(WebhookSend("https://h.example/", data_type="text/plain", data="${name}"), known).data == known.get("name")


def test_options_with_variables_pass_the_check_of_the_list():
    for action in (Connect(["tel:${n}"]), Reject(phrase="${x}"), Fetch("${url}")):
        assert parse_action(parse_action(action).to_json()) == parse_action(action)
    mapped = {"type": "connect", "option": {"destinations": [{"type": "tel", "target": "${n}"}]}}
    assert parse_action(mapped).destinations == (Address("tel", "${n}"),)


@pytest.mark.parametrize("text", ["${}", "${a b}", "${1}", "${" + "a" * 65 + "}"])
def test_what_looks_like_a_variable_and_is_none(text):
    with pytest.raises(InvalidRequest, match=r"option\.text.*is not a variable name"):
        parse_action(Talk(text))
    assert parse_action(Talk("$" + text)).text == "$" + text
