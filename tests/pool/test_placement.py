from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sipcore.errors import CapacityError
from sipcore.pool.placement import Caller, Limits, NewWorker, Placement

LIMITS = Limits(capacity=4, max_legs=14, min_workers=1, idle_s=30.0, rtp_ports=(16385, 16384 + 130), stranger_legs=5, unanswered_legs=7)
PICK = st.integers(0, 1000)


class Pool(RuleBasedStateMachine):
    """The placement against a naive model of it."""

    def __init__(self) -> None:
        super().__init__()
        self.placement = Placement(LIMITS)
        self.now = 0.0
        self.reserved: dict[str, int] = {}  # groups that are not released
        self.live: dict[str, tuple[str, int]] = {}  # call -> group, worker
        self.strangers: set[str] = set()  # their groups
        self.unanswered: set[str] = set()
        self.blocks: dict[int, tuple[int, int]] = {}
        self.serving: set[int] = set()
        self.names = 0

    def name(self) -> str:
        self.names += 1
        return f"n{self.names}"

    def started(self, new) -> None:
        if new is not None:
            self.blocks[new.worker_id] = (new.rtp_port_first, new.rtp_port_last)
            self.serving.add(new.worker_id)

    def in_use(self, of: set[str] | None = None) -> int:
        groups = set(self.reserved) | {group for group, _ in self.live.values()}
        groups &= groups if of is None else of
        living = {group: sum(1 for g, _ in self.live.values() if g == group) for group in groups}
        return sum(max(self.reserved.get(group, 0), living[group]) for group in groups)

    @rule(legs=st.integers(1, 5))
    def reserve(self, legs):
        before, group = self.placement.legs_in_use, self.name()
        try:
            self.started(self.placement.reserve(group, legs, self.now))
        except CapacityError:
            assert legs > 4 or before + legs > LIMITS.max_legs or len(self.blocks) == self.placement.max_workers
            assert self.placement.legs_in_use == before
            return
        self.reserved[group] = legs

    @rule(legs=st.integers(1, 5), caller=st.sampled_from([Caller.KNOWN, Caller.STRANGER]), quick=st.dictionaries(st.integers(0, 20), PICK))
    def receive(self, legs, caller, quick):
        before, group = self.placement.legs_in_use, self.name()
        ghosts = self.in_use(self.unanswered)
        is_too_many = ghosts and ghosts + legs > LIMITS.unanswered_legs
        is_crowd = caller is Caller.STRANGER and self.in_use(self.strangers) + legs > LIMITS.stranger_legs
        try:
            self.started(self.placement.receive(group, legs, caller, quick, self.now))
        except CapacityError:
            no_ports = len(self.blocks) == self.placement.max_workers
            assert legs > 4 or before + legs > LIMITS.max_legs or no_ports or is_too_many or is_crowd
            assert self.placement.legs_in_use == before
            return
        assert not is_too_many
        assert not is_crowd
        self.reserved[group] = legs
        self.unanswered.add(group)
        if caller is Caller.STRANGER:
            self.strangers.add(group)

    @rule(pick=PICK)
    def answer(self, pick):
        if self.live:
            call = sorted(self.live)[pick % len(self.live)]
            self.placement.answered(call)
            self.unanswered.discard(self.live[call][0])

    @rule(pick=PICK)
    def dial(self, pick):
        if not self.reserved:
            return
        group = sorted(self.reserved)[pick % len(self.reserved)]
        mine = [worker for g, worker in self.live.values() if g == group]
        call = self.name()
        worker = self.placement.dial(group, call)
        if len(mine) == self.reserved[group]:
            assert worker is None
        else:
            assert worker in self.serving
            assert set(mine) <= {worker}
            self.live[call] = (group, worker)

    @rule(pick=PICK)
    def finish(self, pick):
        if self.live:
            call = sorted(self.live)[pick % len(self.live)]
            del self.live[call]
            self.placement.finish(call, self.now)

    @rule(pick=PICK)
    def release(self, pick):
        if self.reserved:
            group = sorted(self.reserved)[pick % len(self.reserved)]
            del self.reserved[group]
            self.placement.release(group, self.now)
            self.placement.release(group, self.now)

    @rule(pick=PICK)
    def lose(self, pick):
        if not self.serving:
            return
        worker = sorted(self.serving)[pick % len(self.serving)]
        before = dict(self.live)
        lost = self.placement.lose(worker)
        assert set(lost) == {call for call, (_, at) in before.items() if at == worker}
        for call in lost:
            del self.live[call]
        self.serving.discard(worker)
        for group in list(self.reserved):
            if self.placement.dial(group, "probe") is None and not any(g == group for g, _ in self.live.values()):
                del self.reserved[group]
            else:
                self.placement.finish("probe", self.now)

    @rule(later_s=st.floats(0, 40))
    def retire(self, later_s):
        self.now += later_s
        for worker in self.placement.retire(self.now):
            assert worker not in {at for _, at in self.live.values()}
            self.serving.discard(worker)

    @rule()
    def free_the_dead(self):
        for worker in set(self.blocks) - self.serving:
            self.placement.free(worker)
            del self.blocks[worker]

    @rule()
    def replace(self):
        for new in self.placement.missing(self.now):
            self.started(new)

    @invariant()
    def counts_agree(self):
        assert self.placement.legs_in_use == self.in_use() <= LIMITS.max_legs
        for worker in self.serving:
            living = sum(1 for _, at in self.live.values() if at == worker)
            assert self.placement.legs_of(worker) == living <= LIMITS.capacity

    @invariant()
    def blocks_are_apart(self):
        ports = [port for first, last in self.blocks.values() for port in range(first, last + 1)]
        assert len(ports) == len(set(ports))
        assert all(LIMITS.rtp_ports[0] <= port <= LIMITS.rtp_ports[1] for port in ports)
        assert all(first % 2 == 0 for first, _ in self.blocks.values())


Pool.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestPool = pytest.mark.slow(Pool.TestCase)


def test_a_full_pool_names_its_numbers():
    placement = Placement(LIMITS)
    for group in "abc":
        placement.reserve(group, 4, 0.0)
    with pytest.raises(CapacityError, match="no room for 3 more legs: 12 of 14 in use"):
        placement.reserve("d", 3, 0.0)
    with pytest.raises(CapacityError, match="legs in one worker"):
        placement.reserve("e", 5, 0.0)


def test_without_ports_for_another_worker_there_is_no_room():
    placement = Placement(Limits(4, 64, 1, 30.0, (20000, 20035)))
    assert placement.max_workers == 2
    placement.reserve("a", 3, 0.0)
    placement.reserve("b", 3, 0.0)
    with pytest.raises(CapacityError, match="RTP ports"):
        placement.reserve("c", 3, 0.0)
    placement.reserve("d", 1, 0.0)


def test_the_usual_range_serves_max_legs_in_any_mix():
    placement = Placement(Limits(4, 150, 1, 30.0, (16384, 32767)))
    for number in range(50):
        placement.reserve(f"g{number}", 3, 0.0)
    assert placement.legs_in_use == 150


def test_places_that_linger_take_no_new_group():
    placement = Placement(LIMITS)
    (first,) = placement.missing(0.0)
    placement.linger(first.worker_id, 4)
    assert placement.retire(100.0) == []
    assert placement.reserve("a", 1, 0.0) is not None
    placement.linger(first.worker_id, 0)
    assert placement.reserve("b", 4, 0.0) is None


def test_misuse_is_refused():
    placement = Placement(LIMITS)
    placement.reserve("a", 1, 0.0)
    with pytest.raises(ValueError, match="already"):
        placement.reserve("a", 1, 0.0)
    with pytest.raises(ValueError, match="0 legs"):
        placement.reserve("b", 0, 0.0)


def started(placement: Placement, count: int) -> list[NewWorker]:
    return [new for number in range(count) if (new := placement.reserve(f"group-{number}", 4, 0.0)) is not None]


def test_rotation_moves_the_port_blocks_and_loses_none():
    plain = started(Placement(Limits(4, 200, 0, 30.0, (20000, 20319))), 5)
    rotated = started(Placement(Limits(4, 200, 0, 30.0, (20000, 20319), rtp_rotation=7)), 5)
    assert [worker.index for worker in plain] == [worker.index for worker in rotated]
    assert rotated[0].rtp_port_first != plain[0].rtp_port_first
    assert len({worker.rtp_port_first for worker in rotated}) == 5
    assert all(20000 <= worker.rtp_port_first < worker.rtp_port_last <= 20319 for worker in rotated)


@pytest.mark.parametrize("has_a_leg", [True, False])
def test_ports_of_a_lost_worker_are_taken_last(has_a_leg):
    """Far ends of its calls may send there still, and PJSIP would answer them with the next call's audio; or a stranger has its port."""
    placement = Placement(Limits(4, 200, 0, 30.0, (20000, 20319)))
    (lost,) = started(placement, 1)
    if has_a_leg:
        placement.dial("group-0", "call")
    placement.lose(lost.worker_id)
    placement.free(lost.worker_id)
    later = [placement.reserve(f"later-{number}", 4, 1.0) for number in range(placement.max_workers)]
    assert [worker.index for worker in later if worker] == [*range(1, placement.max_workers), lost.index]


def test_ports_of_a_retired_worker_are_taken_again():
    placement = Placement(Limits(4, 200, 0, 30.0, (20000, 20319)))
    (retired,) = started(placement, 1)
    placement.release("group-0", 0.0)
    assert placement.retire(30.0) == [retired.worker_id]
    placement.lose(retired.worker_id)
    placement.free(retired.worker_id)
    again = placement.reserve("again", 1, 31.0)
    assert again is not None
    assert again.index == retired.index


def test_an_incoming_call_goes_to_the_emptiest_worker_that_is_quick():
    placement = Placement(Limits(4, 64, 3, 30.0, (20000, 20319)))
    one, two, three = (new.worker_id for new in placement.missing(0.0))
    placement.reserve("a", 2, 0.0)
    assert placement.dial("a", "call-a") == one
    assert placement.receive("b", 1, Caller.KNOWN, {one: 0, three: 1}, 0.0) is None
    assert placement.dial("b", "call-b") == one
    assert placement.receive("c", 1, Caller.KNOWN, {one: 0, two: 0, three: 0}, 0.0) is None
    assert placement.dial("c", "call-c") == two
    assert placement.receive("d", 3, Caller.KNOWN, {one: 0}, 0.0) is not None


def test_without_ports_for_a_quick_worker_any_other_has_to_do():
    placement = Placement(Limits(4, 64, 1, 30.0, (20000, 20035)))
    (one,) = (new.worker_id for new in placement.missing(0.0))
    assert placement.receive("a", 1, Caller.KNOWN, {}, 0.0) is not None
    assert placement.max_workers == 2
    assert placement.receive("b", 4, Caller.KNOWN, {}, 0.0) is None
    assert placement.dial("b", "call") == one
    with pytest.raises(CapacityError, match="RTP ports"):
        placement.receive("c", 4, Caller.KNOWN, {one: 0}, 0.0)


def test_a_worker_for_lines_takes_no_ports_and_no_calls():
    placement = Placement(Limits(4, 64, 1, 30.0, (20000, 20035)))
    lines = [placement.line_worker() for _ in range(3)]
    (worker,) = placement.missing(0.0)
    assert len({worker.worker_id, *(line.worker_id for line in lines)}) == 4
    assert placement.reserve("a", 4, 0.0) is None
    assert placement.reserve("b", 4, 0.0) is not None
    assert lines[0].name == f"lines-{lines[0].worker_id}"
