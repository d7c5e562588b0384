"""Action lists: parsing, every wrong option, JSON there and back, and the schema."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipcore.actions import (
    ACTION_TYPES,
    MAX_ACTIONS,
    Action,
    Confirm,
    Connect,
    Play,
    Talk,
    json_schema,
    legs_needed,
    parse_action,
    parse_actions,
)
from sipcore.addresses import Address
from sipcore.errors import InvalidRequest

from .bodies import BODIES

BOB = {"type": "sip", "target": "bob@192.0.2.1"}


def faults_of(raw) -> dict[str, str]:
    with pytest.raises(InvalidRequest) as refusal:
        parse_actions(raw)
    return {fault.path: fault.message for fault in refusal.value.faults}


@pytest.mark.parametrize("name", BODIES)
def test_tutorial_bodies(name):
    raw = BODIES[name]["actions"]
    actions = parse_actions(raw)
    assert [action.type for action in actions] == [item["type"] for item in raw]
    assert parse_actions([action.to_json() for action in actions]) == actions


def test_python_values_json_and_a_mix():
    talk, play = Talk("hello"), Play(["a.wav"], id="p1")
    mixed = parse_actions([talk, play.to_json(), Connect(["tel:+8210"], timeout_s=25)])
    assert mixed == (talk, Play(("a.wav",), id="p1"), Connect((Address("tel", "+8210"),), timeout_s=25))
    assert parse_actions(None) == parse_actions([]) == ()
    assert parse_actions(iter([talk])) == (talk,)


def test_defaults():
    assert parse_action({"type": "talk", "option": {"text": "x"}}) == Talk("x", "en-US", "female")
    assert parse_action({"type": "connect", "option": {"destinations": [BOB]}}) == Connect(
        (Address("sip", "bob@192.0.2.1"),), None, 60.0, False
    )


@pytest.mark.parametrize(
    ("raw", "path", "said"),
    [
        ({"type": "tlak", "option": {"text": "x"}}, "actions[0].type", "did you mean 'talk'?"),
        ({"type": "conect"}, "actions[0].type", "did you mean 'connect'?"),
        ({"type": "zzz"}, "actions[0].type", "; known are "),
        ({"type": None}, "actions[0].type", "unknown action type None"),
        ({"type": ["talk"]}, "actions[0].type", "unknown action type"),
        ({}, "actions[0].type", "known are"),
        ({"type": "talk", "option": {"text": "x", "langauge": "en"}}, "actions[0].option.langauge", "did you mean 'language'?"),
        ({"type": "talk", "option": {"text": "x", "id": "a"}}, "actions[0].option.id", "unknown option"),
        ({"type": "talk", "option": {"text": "x"}, "optoin": {}}, "actions[0].optoin", "did you mean 'option'?"),
        ({"type": "talk", "option": {}}, "actions[0].option.text", "required"),
        ({"type": "talk"}, "actions[0].option.text", "required"),
        ({"type": "talk", "option": None}, "actions[0].option", "must be an object"),
        ({"type": "talk", "option": "x"}, "actions[0].option", "must be an object"),
        ({"type": "talk", "option": {"text": 5}}, "actions[0].option.text", "string"),
        ({"type": "talk", "option": {"text": "x", "gender": "robot"}}, "actions[0].option.gender", "'female', 'male' or 'neutral'"),
        ({"type": "talk", "option": {"text": "x", "language": None}}, "actions[0].option.language", "string"),
        ({"type": "talk", "option": {"text": "x"}, "id": "a b"}, "actions[0].id", "pattern"),
        ({"type": "talk", "option": {"text": "x"}, "id": "x" * 65}, "actions[0].id", "64"),
        ({"type": "talk", "option": {"text": "x"}, "id": 5}, "actions[0].id", "string"),
        ({"type": "play", "option": {"stream_urls": "a.wav"}}, "actions[0].option.stream_urls", "not a single string"),
        ({"type": "play", "option": {"stream_urls": []}}, "actions[0].option.stream_urls", "at least 1"),
        ({"type": "play", "option": {"stream_urls": ["a"] * 101}}, "actions[0].option.stream_urls", "at most 100"),
        ({"type": "play", "option": {"stream_urls": ["a", 5]}}, "actions[0].option.stream_urls[1]", "string"),
        ({"type": "play", "option": {"stream_urls": {"a": 1}}}, "actions[0].option.stream_urls", "Sequence"),
        ({"type": "connect", "option": {"destinations": []}}, "actions[0].option.destinations", "at least 1"),
        ({"type": "connect", "option": {"destinations": "tel:+8210"}}, "actions[0].option.destinations", "not a single string"),
        ({"type": "connect", "option": {"destinations": [BOB, "tel:12ab"]}}, "actions[0].option.destinations[1]", "E.164"),
        ({"type": "connect", "option": {"destinations": ["sip:b@h\r\nX: y"]}}, "actions[0].option.destinations[0]", "control characters"),
        ({"type": "connect", "option": {"destinations": [BOB], "source": "x"}}, "actions[0].option.source", "not an address"),
        ({"type": "connect", "option": {"destinations": [BOB], "timeout_s": 0}}, "actions[0].option.timeout_s", "greater than 0"),
        ({"type": "connect", "option": {"destinations": [BOB], "timeout_s": 601}}, "actions[0].option.timeout_s", "600"),
        (
            {"type": "connect", "option": {"destinations": [BOB], "timeout_s": float("nan")}},
            "actions[0].option.timeout_s",
            "Input should be",
        ),
        ({"type": "connect", "option": {"destinations": [BOB], "timeout_s": "30"}}, "actions[0].option.timeout_s", "number"),
        ({"type": "connect", "option": {"destinations": [BOB], "timeout_s": True}}, "actions[0].option.timeout_s", "number"),
        ({"type": "connect", "option": {"destinations": [BOB], "unchained": 1}}, "actions[0].option.unchained", "boolean"),
        ({"type": "connect", "option": {"destinations": [BOB], "rign": "all"}}, "actions[0].option.rign", "did you mean 'ring'?"),
        ("talk", "actions[0]", "not str"),
        (None, "actions[0]", "not NoneType"),
        (Talk(text=5), "actions[0].option.text", "string"),
        (Talk("x", gender="robot"), "actions[0].option.gender", "'female', 'male' or 'neutral'"),
        (Connect([]), "actions[0].option.destinations", "at least 1"),
        (Action(), "actions[0]", "Action is not an action of this switch"),
    ],
)
def test_wrong_actions_say_where_and_why(raw, path, said):
    faults = faults_of([raw])
    assert list(faults) == [path]
    assert said in faults[path]


def test_actions_of_the_users_own_are_refused():
    class Dance(Talk):
        type = "dance"

    class FakeTalk(Talk):
        pass

    assert "Dance is not an action" in faults_of([Dance("x")])["actions[0]"]
    assert "FakeTalk is not an action" in faults_of([FakeTalk("x")])["actions[0]"]


def test_every_fault_is_told_at_once():
    faults = faults_of([{"type": "talk", "option": {"text": 5, "gender": "x"}}, Talk("fine"), {"type": "hop"}, 7])
    assert list(faults) == ["actions[0].option.text", "actions[0].option.gender", "actions[2].type", "actions[3]"]


def test_a_wrong_option_does_not_hide_a_target_that_is_nowhere():
    goto = [{"type": "goto", "option": {"target_id": name, "loop_count": 2}} for name in ("nowhere", "start")]
    faults = faults_of([{"type": "talk", "id": "start", "option": {"txt": "hi"}}, *goto])
    assert list(faults) == ["actions[0].option.txt", "actions[1].option.target_id"]
    assert "no action has the id 'nowhere'" in faults["actions[1].option.target_id"]


@pytest.mark.parametrize("raw", ["talk", b"talk", {"type": "talk"}, 5, Talk("x")])
def test_a_list_is_a_list(raw):
    assert "must be a list of actions" in faults_of(raw)["actions"]


def test_too_many_actions():
    assert len(parse_actions([Talk("x")] * MAX_ACTIONS)) == MAX_ACTIONS
    assert "at most 100 actions, this list has 101" in faults_of([Talk("x")] * (MAX_ACTIONS + 1))["actions"]


def test_legs_needed():
    assert legs_needed(()) == legs_needed((Talk("x"),)) == 1
    assert legs_needed(parse_actions([Connect(["+8210"]), Talk("x"), Connect(["+8210", "+8211", "+8212"])])) == 4
    assert legs_needed(parse_actions([Connect(["+8210"] * 100, ring="in_order")])) == 2


NUMBERS = st.integers(10, 10**14).map(lambda number: f"+{number}")
ADDRESSES = st.one_of(
    NUMBERS.map(lambda number: Address("tel", number)), st.builds(Address, st.just("sip"), st.just("bob@192.0.2.1"), st.just("Bób"))
)
IDS = st.text("abcXYZ019_.:-", max_size=64)
ACTIONS = st.one_of(
    st.builds(Talk, st.text(max_size=30), st.just("en-US"), st.sampled_from(["female", "male", "neutral"]), id=IDS),
    st.builds(Play, st.lists(st.text(max_size=10), min_size=1, max_size=4).map(tuple), id=IDS),
    st.builds(
        Connect,
        st.lists(ADDRESSES, min_size=1, max_size=3).map(tuple),
        st.none() | ADDRESSES,
        st.floats(0.1, 600),
        st.booleans(),
        id=IDS,
        ring=st.sampled_from(["all", "in_order"]),
        confirm=st.none() | st.builds(Confirm, st.text(max_size=9)),
        headers=st.dictionaries(st.sampled_from(["X-A", "X-B"]), st.just("b")),
    ),
)


@given(st.lists(ACTIONS, max_size=5, unique_by=lambda action: action.id or object()))
def test_json_there_and_back(actions):
    checked = parse_actions(actions)
    assert checked == tuple(actions)
    text = json.dumps([action.to_json() for action in checked])
    assert parse_actions(json.loads(text)) == checked


def conforms(value, schema, root) -> bool:
    """As much of JSON Schema as ours uses."""
    if not all(conforms(value, each, root) for each in schema.get("allOf", ())):
        return False
    if set(schema) == {"required"}:
        return set(schema["required"]) <= set(value)
    if "not" in schema:
        return not conforms(value, schema["not"], root)
    if "$ref" in schema:
        return conforms(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "oneOf" in schema:
        return sum(conforms(value, variant, root) for variant in schema["oneOf"]) == 1
    if "anyOf" in schema:
        return any(conforms(value, variant, root) for variant in schema["anyOf"])
    if "const" in schema:
        return value == schema["const"]
    if "enum" in schema:
        return value in schema["enum"]
    match schema.get("type"):
        case "object" if "properties" not in schema:
            inner = schema["additionalProperties"]
            return isinstance(value, dict) and all(isinstance(key, str) and conforms(item, inner, root) for key, item in value.items())
        case "object":
            properties = schema["properties"]
            if "properties" not in schema:
                return isinstance(value, dict) and all(conforms(each, schema["additionalProperties"], root) for each in value.values())
            assert schema["additionalProperties"] is False
            is_complete = isinstance(value, dict) and set(schema.get("required", ())) <= set(value) <= set(properties)
            return is_complete and all(conforms(value[key], properties[key], root) for key in value)
        case "array":
            fits = isinstance(value, list) and schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", 10**9)
            return fits and all(conforms(item, schema["items"], root) for item in value)
        case "string":
            return isinstance(value, str)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "null":
            return value is None
        case kind:
            raise AssertionError(f"the schema uses {kind}")


def test_json_schema_takes_the_tutorial_and_refuses_what_the_parser_refuses():
    schema = json_schema()
    json.dumps(schema)
    assert {variant["properties"]["type"]["const"] for variant in schema["items"]["oneOf"]} == set(ACTION_TYPES)
    for body in BODIES.values():
        assert conforms(body["actions"], schema, schema)
    for wrong in ({"type": "tlak", "option": {}}, {"type": "talk"}, {"type": "talk", "option": {"text": "x", "tone": 1}}):
        assert not conforms([wrong], schema, schema)
    assert conforms([Connect([Address("tel", "+8210")], timeout_s=5).to_json()], schema, schema)
