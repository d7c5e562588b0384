from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipcore import engine, wire
from sipcore.pool.outbox import MAX_SETUPS, SETUP_WINDOW_S, Order, Outbox, SetUp


def dial(call_id: str) -> engine.Dial:
    return engine.Dial(call_id, "g", "sip:x@y", "<sip:a@b>", engine.Account())


def expect(call_id: str) -> wire.ExpectCall:
    return wire.ExpectCall(call_id, "g")


def calls() -> st.SearchStrategy[str]:
    return st.sampled_from([f"c{n}" for n in range(30)])


COMMANDS = st.one_of(
    calls().map(dial),
    calls().map(expect),
    calls().map(engine.Unregister),
    calls().map(engine.Hangup),
    st.builds(engine.Bridge, calls(), calls()),
    st.builds(engine.Play, calls(), st.just("p"), st.just("/f")),
)


@given(st.lists(COMMANDS, max_size=120))
def test_nothing_is_lost_and_the_order_of_each_call_is_kept(commands):
    box = Outbox()
    for command in commands:
        box.put(command)
    assert box.take(0.0) == []
    box.is_open = True
    sent: list[Order] = []
    now, set_ups = 0.0, []
    while (batch := box.take(now)) or box.next_at() is not None:
        sent += batch
        set_ups += [now for command in batch if isinstance(command, SetUp)]
        now = max(now, box.next_at() or now)
    assert sorted(map(repr, sent)) == sorted(map(repr, commands))
    for call_id in {getattr(command, "call_id", "") for command in commands}:

        def of_call(command: Order, call_id: str = call_id) -> bool:
            return call_id in (getattr(command, "call_id", ""), getattr(command, "peer_id", ""))

        assert list(filter(of_call, sent)) == list(filter(of_call, commands))
    for start in set_ups:
        assert sum(start <= at < start + SETUP_WINDOW_S for at in set_ups) <= MAX_SETUPS


def test_pace_is_left_for_as_many_set_ups_as_go_out_at_once():
    box = Outbox()
    for number in range(MAX_SETUPS):
        assert box.has_pace(0.0)
        box.put(expect(f"c{number}"))
    assert not box.has_pace(0.0)
    box.is_open = True
    assert len(box.take(1.0)) == MAX_SETUPS
    assert not box.has_pace(1.0)
    assert box.has_pace(1.0 + SETUP_WINDOW_S)


@pytest.mark.parametrize("set_up", [dial, expect])
def test_a_withdrawn_set_up_takes_its_commands_along(set_up):
    box = Outbox()
    for command in (set_up("a"), engine.Bridge("b", "a"), dial("b"), engine.Hangup("a")):
        box.put(command)
    assert box.withdraw("a")
    assert not box.withdraw("a")
    box.is_open = True
    assert box.take(0.0) == [dial("b")]
    assert not box.withdraw("b")
