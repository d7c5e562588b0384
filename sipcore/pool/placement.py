"""Which worker a leg lives in. Pure bookkeeping: no clock, no process; every time is an argument (monotonic seconds).

Legs of one group can hear each other, so they share a worker. A group holds the places it has reserved until it is released; after that
each leg of it that is still alive holds its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from sipcore.errors import CapacityError

RTP_BLOCK_PORTS: Final = 64
"""RTP and RTCP ports of one worker: 30 pairs, far more than its legs, since PJSIP frees a pair half a second late."""

_SPARE_PAIRS: Final = 1  # PJSIP may bind one pair beyond the range it is told


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds the pool. `capacity` is the legs of one worker; `rtp_ports` is inclusive.

    `rtp_rotation` moves the place where the port blocks begin: two pools that share a range, or one that was started again while
    far ends of its past life still send, then seldom meet on the same ports.
    """

    capacity: int
    max_legs: int
    min_workers: int
    idle_s: float
    rtp_ports: tuple[int, int]
    rtp_rotation: int = 0
    stranger_legs: int | None = None
    """The most legs of groups that a stranger's call opened; `None`: no bound but `max_legs`."""
    unanswered_legs: int | None = None
    """The most legs of groups that an incoming call opened which is not answered yet; a single such group may always be."""


class Caller(Enum):
    """Who opens a group."""

    OURS = auto()
    """This side, by an order."""
    KNOWN = auto()
    """A call from a trunk or a phone."""
    STRANGER = auto()
    """A call from elsewhere."""


@dataclass(frozen=True, slots=True)
class NewWorker:
    """A worker to be started. `index` is its place among the ports: the lowest one free, those of lost workers last."""

    worker_id: int
    index: int
    rtp_port_first: int
    rtp_port_last: int
    is_for_lines: bool = False
    """It holds registrations and no legs; the ports are there because PJSIP wants to be told some."""

    @property
    def name(self) -> str:
        """For its log."""
        return f"lines-{self.worker_id}" if self.is_for_lines else str(self.index)


@dataclass(slots=True)
class _Group:
    worker_id: int
    places: int
    live: set[str] = field(default_factory=set)
    caller: Caller = Caller.OURS
    is_released: bool = False
    is_answered: bool = True

    @property
    def legs(self) -> int:
        return len(self.live) if self.is_released else max(self.places, len(self.live))


@dataclass(slots=True)
class _Worker:
    groups: set[str] = field(default_factory=set)
    idle_since: float = 0.0
    lingering: int = 0
    legs: int = 0
    """Of its groups: counted when one changes, since it is asked for of every worker at each new call."""


class Placement:
    """Groups, their legs and the workers that hold them."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._groups: dict[str, _Group] = {}
        self._group_of: dict[str, str] = {}
        self._workers: dict[int, _Worker] = {}
        self._indexes: dict[int, int] = {}
        self._lost_indexes: dict[int, None] = {}  # in the order of loss
        self._next_id = 0
        self._legs = 0
        self._block_ports = _block_ports(limits)
        first = limits.rtp_ports[0] + limits.rtp_ports[0] % 2  # RTP ports are even (RFC 3550 §11)
        self._first_port = first
        self.max_workers = max(0, limits.rtp_ports[1] + 1 - first) // self._block_ports

    @property
    def legs_in_use(self) -> int:
        """Places reserved, and legs alive beyond their release."""
        return self._legs

    def legs_of(self, worker_id: int) -> int:
        """Legs that are alive in a worker."""
        worker = self._workers.get(worker_id)
        return sum(len(self._groups[group_id].live) for group_id in worker.groups) if worker else 0

    # -------------------------------------------------------------------------------------------------- groups

    def reserve(self, group_id: str, legs: int, now: float) -> NewWorker | None:
        """Keep room for a group in the fullest worker that has it.

        Returns:
            The worker to be started for it, `None` when a running one has room.

        Raises:
            CapacityError: too many legs for one worker, for the pool, or no ports for another worker; nothing is kept.
            ValueError: the group has a reservation already, or asks for no leg.
        """
        self._check(group_id, legs)
        return self._keep(group_id, _Group(-1, legs), self._fullest_with_room(legs), now)

    def receive(self, group_id: str, legs: int, caller: Caller, quick: Mapping[int, int], now: float) -> NewWorker | None:
        """Keep room for a group that an incoming call opens, in the emptiest of the `quick` workers, which take a set-up at once.

        Those with the lowest number in `quick` come first. When none of them has room a new worker is started; without ports for that, any
        worker with room has it. So set-ups are spread, as the calls of a crowd come at once. Returns and raises as `reserve`.
        """
        self._check(group_id, legs)
        self._check_caller(legs, caller)
        fitting = self._with_room(legs)
        worker_id = min((w for w in fitting if w in quick), key=lambda w: (quick[w], self._load(self._workers[w]), w), default=None)
        if worker_id is None and fitting and len(self._indexes) >= self.max_workers:
            worker_id = self._fullest_with_room(legs)
        return self._keep(group_id, _Group(-1, legs, caller=caller, is_answered=False), worker_id, now)

    def answered(self, call_id: str) -> None:
        """An incoming call was answered: its group is no ghost any more."""
        if group_id := self._group_of.get(call_id):
            self._groups[group_id].is_answered = True

    def _check(self, group_id: str, legs: int) -> None:
        if legs < 1 or group_id in self._groups:
            raise ValueError(f"group {group_id}: {legs} legs" if legs < 1 else f"group {group_id} is reserved already")
        if legs > self._limits.capacity:
            raise CapacityError(legs, 0, self._limits.capacity, "legs in one worker")
        if self.legs_in_use + legs > self._limits.max_legs:
            raise CapacityError(legs, self.legs_in_use, self._limits.max_legs)

    def _check_caller(self, legs: int, caller: Caller) -> None:
        limits = self._limits
        strangers = sum(group.legs for group in self._groups.values() if group.caller is Caller.STRANGER)
        if caller is Caller.STRANGER and limits.stranger_legs is not None and strangers + legs > limits.stranger_legs:
            raise CapacityError(legs, strangers, limits.stranger_legs, "legs of strangers' calls")
        unanswered = sum(group.legs for group in self._groups.values() if not group.is_answered)
        if limits.unanswered_legs is not None and unanswered and unanswered + legs > limits.unanswered_legs:
            raise CapacityError(legs, unanswered, limits.unanswered_legs, "legs of unanswered calls")

    def _keep(self, group_id: str, group: _Group, worker_id: int | None, now: float) -> NewWorker | None:
        new = None
        if worker_id is None:
            new = self._new_worker(now)
            worker_id = new.worker_id
        group.worker_id = worker_id
        self._groups[group_id] = group
        self._workers[worker_id].groups.add(group_id)
        self._count(worker_id)
        return new

    def dial(self, group_id: str, call_id: str) -> int | None:
        """Take one place of the group for a leg. Returns its worker; `None` when the group has no place left, or its worker is lost."""
        group = self._groups.get(group_id)
        if group is None or group.is_released or len(group.live) >= group.places or call_id in self._group_of:
            return None
        group.live.add(call_id)
        self._group_of[call_id] = group_id
        self._count(group.worker_id)
        return group.worker_id

    def finish(self, call_id: str, now: float) -> None:
        """A leg is over; its place goes back to its group, or is free when that was released."""
        group_id = self._group_of.pop(call_id, None)
        if group_id is not None:
            self._groups[group_id].live.discard(call_id)
            self._drop_if_empty(group_id, now)

    def release(self, group_id: str, now: float) -> None:
        """Free the group's unused places; nothing happens when it is unknown or released."""
        group = self._groups.get(group_id)
        if group is not None:
            group.is_released = True
            self._drop_if_empty(group_id, now)

    # -------------------------------------------------------------------------------------------------- workers

    def missing(self, now: float, least: int = 0) -> list[NewWorker]:
        """Workers to be started so that there are `min_workers`, and at least `least`, as far as the ports reach."""
        free = self.max_workers - len(self._indexes)
        count = min(max(self._limits.min_workers, least) - len(self._workers), free)
        return [self._new_worker(now) for _ in range(count)]

    def retire(self, now: float) -> list[int]:
        """Workers that have been empty for too long, `min_workers` spared: no leg goes there any more. Follow with `free`."""
        idle = [
            w
            for w, worker in self._workers.items()
            if not worker.groups and not worker.lingering and now - worker.idle_since >= self._limits.idle_s
        ]
        spare = max(0, len(self._workers) - self._limits.min_workers)
        retired = sorted(idle, reverse=True)[:spare]
        for worker_id in retired:
            del self._workers[worker_id]
        return retired

    def lose(self, worker_id: int) -> list[str]:
        """A worker died: its groups are over. Returns its live legs. Its ports stay taken until `free`."""
        worker = self._workers.pop(worker_id, None)
        lost: list[str] = []
        self._legs -= worker.legs if worker else 0
        for group_id in worker.groups if worker else ():
            lost += self._groups.pop(group_id).live
        if worker is not None:
            index = self._indexes[worker_id]
            self._lost_indexes.pop(index, None)
            self._lost_indexes[index] = None
        for call_id in lost:
            del self._group_of[call_id]
        return lost

    def linger(self, worker_id: int, count: int) -> None:
        """So many places of a worker are still taken by legs that are over: no new group goes there meanwhile."""
        if worker := self._workers.get(worker_id):
            worker.lingering = count

    def line_worker(self) -> NewWorker:
        """A worker to be started that holds no legs, and so has no place here."""
        return NewWorker(self._take_id(), -1, self._first_port, self._first_port + self._block_ports - 1, is_for_lines=True)

    def free(self, worker_id: int) -> None:
        """The process is gone: another may have its ports."""
        self._indexes.pop(worker_id, None)

    # ----------------------------------------------------------------------------------------------------------

    def _load(self, worker: _Worker) -> int:
        return worker.legs + worker.lingering

    def _count(self, worker_id: int) -> None:
        """The legs of a group of this worker may be more or fewer now."""
        worker = self._workers[worker_id]
        legs = sum(self._groups[group_id].legs for group_id in worker.groups)
        self._legs += legs - worker.legs
        worker.legs = legs

    def _with_room(self, legs: int) -> list[int]:
        room = self._limits.capacity - legs
        return [worker_id for worker_id, worker in self._workers.items() if self._load(worker) <= room]

    def _fullest_with_room(self, legs: int) -> int | None:
        return max(self._with_room(legs), key=lambda w: (self._load(self._workers[w]), -w), default=None)

    def _new_worker(self, now: float) -> NewWorker:
        taken = set(self._indexes.values())
        # The far ends of a lost worker's calls were not told and go on sending: PJSIP would take their RTP for that of the next call on
        # these ports, and send them its audio. Or its SIP port is taken by a stranger, and the next would be lost just the same. So the
        # ports of the lost come last, the longest lost first.
        lost = {index: number for number, index in enumerate(self._lost_indexes, 1)}
        index = min((i for i in range(self.max_workers) if i not in taken), key=lambda i: lost.get(i, 0), default=None)
        if index is None:
            raise CapacityError(1, len(taken), self.max_workers, "workers (RTP ports)")
        worker_id = self._take_id()
        self._workers[worker_id] = _Worker(idle_since=now)
        self._indexes[worker_id] = index
        first = self._first_port + (index + self._limits.rtp_rotation) % self.max_workers * self._block_ports
        return NewWorker(worker_id, index, first, first + self._block_ports - 1)

    def _take_id(self) -> int:
        worker_id, self._next_id = self._next_id, self._next_id + 1
        return worker_id

    def _drop_if_empty(self, group_id: str, now: float) -> None:
        group = self._groups[group_id]
        worker = self._workers[group.worker_id]
        is_over = group.is_released and not group.live
        if is_over:
            del self._groups[group_id]
            worker.groups.discard(group_id)
        self._count(group.worker_id)
        if is_over and not worker.groups:
            worker.idle_since = now


def _block_ports(limits: Limits) -> int:
    """Ports of one worker: fewer than the usual when the range could not serve `max_legs` in the worst mix of groups."""
    smallest = 2 * (2 * limits.capacity + _SPARE_PAIRS)  # each leg's pair, and as many again that PJSIP frees late
    most_workers = max(limits.min_workers, limits.max_legs // (limits.capacity // 2 + 1) + 1)  # groups just over half a worker
    fair = (limits.rtp_ports[1] + 1 - limits.rtp_ports[0]) // most_workers
    return max(smallest, min(RTP_BLOCK_PORTS, fair - fair % 2))
