from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sipcore import engine
from sipcore.pool.outbox import DIAL_WINDOW_S, MAX_DIALS, Outbox


def dial(call_id: str) -> engine.Dial:
    return engine.Dial(call_id, "g", "sip:x@y", "<sip:a@b>", engine.Account())


def calls() -> st.SearchStrategy[str]:
    return st.sampled_from([f"c{n}" for n in range(30)])


COMMANDS = st.one_of(
    calls().map(dial),
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
    sent: list[engine.Command] = []
    now, dials = 0.0, []
    while (batch := box.take(now)) or box.next_at() is not None:
        sent += batch
        dials += [now for command in batch if isinstance(command, engine.Dial)]
        now = max(now, box.next_at() or now)
    assert sorted(map(repr, sent)) == sorted(map(repr, commands))
    for call_id in {command.call_id for command in commands}:

        def of_call(command: engine.Command, call_id: str = call_id) -> bool:
            return call_id in (command.call_id, getattr(command, "peer_id", ""))

        assert list(filter(of_call, sent)) == list(filter(of_call, commands))
    for start in dials:
        assert sum(start <= at < start + DIAL_WINDOW_S for at in dials) <= MAX_DIALS


def test_a_withdrawn_dial_takes_its_commands_along():
    box = Outbox()
    for command in (dial("a"), engine.Bridge("b", "a"), dial("b"), engine.Hangup("a")):
        box.put(command)
    assert box.withdraw("a")
    assert not box.withdraw("a")
    box.is_open = True
    assert box.take(0.0) == [dial("b")]
    assert not box.withdraw("b")
