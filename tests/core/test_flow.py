"""The order in which a list is carried out: jumps, loops, fetched lists, and the checks before the start."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipcore.actions import Branch, ConditionVariable, Fetch, Goto, Hangup, Sleep, Stop, Talk, VariableSet, parse_actions
from sipcore.actions.order import check_order
from sipcore.errors import InvalidRequest
from sipcore.flow import Flow, FlowLimits, FlowTooLong
from sipcore.performing.flow import is_so


def wait(action_id: str = "") -> Sleep:
    return Sleep(1, id=action_id)


def faults_of(actions) -> dict[str, str]:
    return {fault.path: fault.message for fault in check_order(actions)}


def run(flow: Flow, choose=lambda _: "") -> list[str]:
    """The ids in the order of the machine; `choose` names the target of each branch."""
    taken = []
    while (step := flow.take()) is not None:
        taken.append(step.action.id)
        match step.action:
            case Goto():
                flow.go_to(step.action)
            case Branch() | ConditionVariable():
                if target := choose(step.action):
                    flow.jump(target)
            case Stop():
                flow.stop()
    return taken


# ------------------------------------------------------------------------------------------------------ checks


@pytest.mark.parametrize(
    ("actions", "path", "said"),
    [
        ([wait("a"), wait(), wait("a")], "actions[2].id", "'a' is the id of actions[0] already"),
        ([Goto("b", 1)], "actions[0].option.target_id", "no action has the id 'b'"),
        ([Branch({"1": "x"}), wait("y")], "actions[0].option.target_ids.1", "no action has the id 'x'"),
        ([Branch({"1": "y"}, "x"), wait("y")], "actions[0].option.default_target_id", "no action has the id 'x'"),
        ([ConditionVariable("==", "v", "x")], "actions[0].option.false_target_id", "no action has the id 'x'"),
        ([Branch({"1": "b"}, id="b")], "actions[0].option.target_ids.1", "for ever"),
        ([wait("a"), wait(), Branch({"1": "a"})], "actions[2].option.target_ids.1", "leads back to 'a' with no goto"),
        ([wait("a"), ConditionVariable("==", "v", "a")], "actions[1].option.false_target_id", "leads back to 'a'"),
        ([Branch({"1": "c"}), wait("b"), Stop(), Branch({"1": "b"}, "d", id="c"), Branch({"1": "b"}, id="d")], None, None),
        ([wait("a"), Branch({"1": "b"}), wait("b"), Branch({"9": "a"})], "actions[3].option.target_ids.9", "leads back"),
    ],
)
def test_lists_that_are_refused(actions, path, said):
    faults = faults_of(actions)
    if path is None:
        assert faults == {}
    else:
        assert list(faults) == [path]
        assert said in faults[path]
        with pytest.raises(InvalidRequest, match=r"option|id"):
            parse_actions(actions)


def test_lists_that_are_fine():
    menu = [
        Talk("menu", id="menu"),
        Branch({"1": "sales"}, "again"),
        Talk("sales", id="sales"),
        Hangup(),
        Goto("menu", 3, id="again"),
        Hangup(),
    ]
    assert faults_of(menu) == {}
    assert faults_of([Goto("end", 1), wait(), wait("end")]) == {}
    assert faults_of([Goto("a", 5, id="a")]) == {}


@pytest.mark.parametrize(
    ("option", "field"),
    [
        ({"target_id": "a"}, "loop_count"),
        ({"target_id": "a", "loop_count": 0}, "loop_count"),
        ({"target_id": "a", "loop_count": 1001}, "loop_count"),
        ({"target_id": "a", "loop_count": "3"}, "loop_count"),
        ({"target_id": "a", "loop_count": True}, "loop_count"),
        ({"target_id": "", "loop_count": 3}, "target_id"),
        ({"loop_count": 3}, "target_id"),
        ({"target_id": "a", "loop_count": 1, "loops": 2}, "loops"),
    ],
)
def test_a_goto_counts(option, field):
    with pytest.raises(InvalidRequest) as refusal:
        parse_actions([wait("a"), {"type": "goto", "option": option}])
    assert [fault.path for fault in refusal.value.faults] == [f"actions[1].option.{field}"]


@pytest.mark.parametrize(
    ("kind", "option", "field"),
    [
        ("sleep", {}, "duration_ms"),
        ("sleep", {"duration": -1}, "duration_ms"),
        ("sleep", {"duration": 1.5}, "duration_ms"),
        ("sleep", {"duration": 3_600_001}, "duration_ms"),
        ("sleep", {"duration": 1, "duration_ms": 1}, "duration_ms"),
        ("hangup", {"reason": "tired"}, "reason"),
        ("stop", {"now": True}, "now"),
        ("branch", {}, "target_ids"),
        ("branch", {"target_ids": {}}, "target_ids"),
        ("branch", {"target_ids": ["a"]}, "target_ids"),
        ("branch", {"target_ids": {"1": "a"}, "variable": "a b"}, "variable"),
        ("condition_variable", {"condition": "~", "variable": "v", "false_target_id": "a"}, "condition"),
        ("condition_variable", {"condition": "==", "variable": "v", "false_target_id": "a", "value_type": "date"}, "value_type"),
        ("condition_variable", {"condition": "==", "variable": "v", "false_target_id": "a", "value_number": "1"}, "value_number"),
        ("condition_variable", {"condition": "==", "variable": "v", "false_target_id": "a", "value_length": -1}, "value_length"),
        ("condition_variable", {"condition": "==", "variable": "v"}, "false_target_id"),
        ("variable_set", {"key": "a b", "value": ""}, "key"),
        ("variable_set", {"key": "call.id", "value": ""}, "key"),
        ("variable_set", {"key": "voipbin.call.source.name", "value": ""}, "key"),
        ("variable_set", {"key": "a", "value": 5}, "value"),
        ("fetch", {}, "event_url"),
        ("fetch", {"event_url": "https://h.example", "event_method": "PATCH"}, "event_method"),
        ("fetch", {"event_url": "https://h.example", "legs": -1}, "legs"),
        ("webhook_send", {}, "uri"),
        ("webhook_send", {"uri": "https://h.example", "method": "TRACE"}, "method"),
        ("webhook_send", {"uri": "https://h.example", "data_type": "a/b\r\nX: y"}, "data_type"),
        ("webhook_send", {"uri": "https://h.example", "data": "x" * 65_537}, "data"),
        ("webhook_send", {"uri": "https://h.example", "sync": "maybe"}, "sync"),
    ],
)
def test_wrong_options(kind, option, field):
    with pytest.raises(InvalidRequest) as refusal:
        parse_actions([{"type": kind, "option": option}])
    assert {fault.path for fault in refusal.value.faults} == {f"actions[0].option.{field}"}


@pytest.mark.parametrize(
    ("condition", "kind", "right", "value", "so"),
    [
        ("==", "string", "a", "a", True),
        ("!=", "string", "a", "a", False),
        ("<", "string", "b", "a", True),
        (">", "number", 9, "10", True),
        (">", "string", "9", "10", False),
        ("==", "number", 5, "5.0", True),
        ("<=", "number", 5, "many", False),
        ("!=", "number", 5, "", False),
        ("==", "length", 4, "1234", True),
        (">=", "length", 1, "", False),
    ],
)
def test_conditions(condition, kind, right, value, so):
    assert is_so(ConditionVariable(condition, "v", "x", kind, **{f"value_{kind}": right}), value) is so


# ----------------------------------------------------------------------------------------------------- machine


def test_top_to_bottom():
    assert run(Flow([wait("a"), wait("b")])) == ["a", "b"]
    assert run(Flow([])) == []
    assert run(Flow([wait("a"), Stop(id="s"), wait("b")])) == ["a", "s"]


def test_a_loop_ends():
    assert run(Flow([wait("a"), Goto("a", 2, id="g"), wait("b")])) == ["a", "g", "a", "g", "a", "g", "b"]


def test_inner_loops_count_for_the_whole_call():
    flow = Flow([wait("a"), wait("b"), Goto("b", 1), Goto("a", 1), wait("c")])
    assert run(flow) == ["a", "b", "", "b", "", "", "a", "b", "", "", "c"]


def test_a_branch_goes_where_it_is_told():
    actions = [Branch({"1": "x", "2": "y"}, id="b"), wait("next"), wait("x"), wait("y")]
    assert run(Flow(actions), lambda _: "y") == ["b", "y"]
    assert run(Flow(actions)) == ["b", "next", "x", "y"]


def test_fetched_actions_come_between():
    flow = Flow([wait("f"), wait("z")])
    assert flow.take().action.id == "f"
    flow.insert([wait("a"), wait("b")])
    assert run(flow) == ["a", "b", "z"]


def test_fetched_lists_have_ids_of_their_own_and_may_leave():
    flow = Flow([wait("f"), wait("z"), wait("end")])
    flow.take()
    flow.insert([wait("z"), Branch({"1": "z2"}), wait("z2"), Goto("end", 1), wait("never")])
    assert run(flow, lambda _: "z2") == ["z", "", "z2", "", "end"]


def test_a_fetched_list_is_checked():
    flow = Flow([wait("f"), wait("z")])
    flow.take()
    for wrong in ([Goto("nowhere", 1)], [wait("a"), wait("a")], [wait("a"), Branch({"1": "a"})]):
        with pytest.raises(InvalidRequest, match="fetched"):
            flow.insert(wrong, "fetched")
    assert run(flow) == ["z"]


def test_how_deep_lists_are_fetched():
    flow = Flow([wait("f")], FlowLimits(depth=2))
    for _ in range(2):
        flow.take()
        flow.insert([wait("f")])
    flow.take()
    with pytest.raises(InvalidRequest, match="at most 2 deep"):
        flow.insert([wait("f")])


def test_no_call_goes_on_for_ever():
    flow = Flow([wait("a"), Goto("a", 1000)], FlowLimits(steps=7))
    with pytest.raises(FlowTooLong, match="more than 7 actions"):
        run(flow)


def ids_ahead(flow: Flow, count: int = 20) -> list[str]:
    return [step.action.id for step in flow.ahead(count)]


def test_what_may_come_next_is_known_the_nearest_first():
    actions = [
        Talk("m", id="menu"),
        Branch({"1": "x"}, "y", id="b"),
        wait("never"),
        wait("x"),
        Hangup(id="h"),
        wait("y"),
        Goto("menu", 1, id="g"),
    ]
    flow = Flow(actions)
    assert ids_ahead(flow) == ["menu", "b", "x", "y", "h", "g"]
    assert ids_ahead(flow, 3) == ["menu", "b", "x"]
    flow.take()
    flow.take()
    flow.jump("x")
    assert ids_ahead(flow) == ["x", "h"]
    flow.take()
    flow.insert([wait("i")])
    assert ids_ahead(flow) == ["i", "h"]
    flow.stop()
    assert ids_ahead(flow) == []


IDS = ["a", "b", "c", "d", "e"]
TARGETS = st.sampled_from(IDS)
ANY_ACTION = st.one_of(
    st.just(Sleep(0)),
    st.builds(Goto, TARGETS, st.integers(1, 3)),
    st.builds(Branch, st.dictionaries(st.sampled_from("123"), TARGETS, min_size=1), st.one_of(st.just(""), TARGETS)),
    st.builds(ConditionVariable, st.just("=="), st.just("v"), TARGETS),
    st.just(Stop()),
)


@given(st.lists(ANY_ACTION, min_size=5, max_size=5), st.data())
def test_every_list_that_passes_comes_to_an_end(made, data):
    actions = [
        type(action)(**{name: getattr(action, name) for name in action.__slots__} | {"id": IDS[index]}) for index, action in enumerate(made)
    ]
    if check_order(actions):
        return
    targets = {id(action): [*action.target_ids.values(), action.default_target_id] for action in actions if isinstance(action, Branch)}

    def choose(action):
        return data.draw(st.sampled_from(targets[id(action)] if isinstance(action, Branch) else ["", action.false_target_id]))

    run(Flow(actions, FlowLimits(steps=500)), choose)  # raises FlowTooLong


def test_json_of_voipbin():
    actions = parse_actions(
        [
            {"type": "sleep", "option": {"duration": 250}},
            {
                "id": "b",
                "type": "branch",
                "option": {"variable": "voipbin.call.digits", "target_ids": {"1": "s"}, "default_target_id": "s"},
            },
            {"type": "variable_set", "option": {"key": "k", "value": "v"}},
            {"type": "fetch", "option": {"event_url": "https://h.example/", "event_method": "POST"}},
            {"id": "s", "type": "stop"},
        ]
    )
    assert actions[0] == Sleep(250)
    assert actions[2:] == (VariableSet("k", "v"), Fetch("https://h.example/"), Stop(id="s"))
    assert actions[0].to_json() == {"type": "sleep", "option": {"duration_ms": 250}}
    assert parse_actions([action.to_json() for action in actions]) == actions
