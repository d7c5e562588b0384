from __future__ import annotations

import pytest

from sipcore.engine import Account, Register, RegistrationChanged, Unregister
from sipcore.pool.lines import LINES_PER_WORKER
from sipcore.pool.registrar import Registrar


def register(trunk: str, expires_s: int = 300) -> Register:
    return Register(trunk, f"sip:{trunk}.example", f"sip:me@{trunk}.example", "me", Account(), expires_s)


def changed(trunk: str, *, is_registered: bool = True) -> RegistrationChanged:
    return RegistrationChanged(trunk, is_registered, 200, "OK")


class Staff:
    """Workers that are numbers, and a registrar that works with them."""

    def __init__(self) -> None:
        self.may_start_worker = True
        self.has_descriptors = True
        self.started: list[int] = []
        self.retired: list[int] = []
        self.sent: list[tuple[int, Register | Unregister]] = []
        self.told: list[RegistrationChanged] = []
        self.registrar = Registrar(self, lambda worker_id, command: self.sent.append((worker_id, command)), self.told.append)

    def start_line_worker(self) -> int:
        if not self.has_descriptors:
            raise OSError("Too many open files")
        self.started.append(100 + len(self.started))
        return self.started[-1]

    def news(self, worker_id: int, event: RegistrationChanged) -> None:
        if self.registrar.is_news(worker_id, event):
            self.told.append(event)

    def retire(self, worker_id: int) -> None:
        self.retired.append(worker_id)


@pytest.fixture
def staff() -> Staff:
    return Staff()


def test_no_worker_runs_without_registrations(staff):
    staff.registrar.tend()
    staff.registrar.submit(Unregister("unknown"))
    assert (staff.started, staff.sent) == ([], [])


def test_lines_share_workers_up_to_their_number(staff):
    for number in range(LINES_PER_WORKER + 1):
        staff.registrar.submit(register(f"t{number}"))
    assert staff.started == [100, 101]
    assert [worker_id for worker_id, _ in staff.sent] == [100] * LINES_PER_WORKER + [101]


def test_a_registration_that_is_asked_again_stays_where_it_is(staff):
    staff.registrar.submit(register("t"))
    staff.registrar.submit(register("t", expires_s=60))
    assert staff.sent == [(100, register("t")), (100, register("t", expires_s=60))]


def test_the_lines_of_a_lost_worker_move_to_another(staff):
    for trunk in ("a", "b"):
        staff.registrar.submit(register(trunk))
    staff.news(100, changed("a"))
    staff.registrar.submit(register("b", expires_s=60))
    staff.sent.clear()
    staff.registrar.lost(100)
    staff.registrar.tend()
    assert staff.told == [changed("a"), RegistrationChanged("a", is_registered=False, sip_code=0, sip_phrase="worker lost")]
    assert staff.sent == [(101, register("a")), (101, register("b", expires_s=60))]


def test_what_the_wrong_worker_says_is_dropped(staff):
    staff.registrar.submit(register("a"))
    staff.news(7, changed("a"))
    staff.news(100, changed("other"))
    staff.registrar.lost(100)
    staff.news(100, changed("a"))
    assert staff.told == []


def test_a_place_is_free_once_the_line_is_taken_back(staff):
    staff.registrar.submit(register("a"))
    staff.news(100, changed("a"))
    staff.registrar.submit(Unregister("a"))
    assert staff.sent[-1] == (100, Unregister("a"))
    staff.registrar.tend()
    assert staff.retired == []
    staff.news(100, changed("a", is_registered=False))
    staff.registrar.tend()
    assert staff.retired == [100]
    assert staff.told[-1] == changed("a", is_registered=False)


def test_a_line_that_comes_back_at_once_keeps_its_worker_busy(staff):
    staff.registrar.submit(register("a"))
    staff.registrar.submit(Unregister("a"))
    staff.registrar.submit(register("a"))
    staff.news(100, changed("a", is_registered=False))
    staff.registrar.tend()
    assert staff.retired == []
    assert staff.sent == [(100, register("a")), (100, Unregister("a")), (100, register("a"))]


def test_without_a_worker_lines_wait(staff):
    staff.may_start_worker = False
    staff.registrar.submit(register("a"))
    staff.may_start_worker, staff.has_descriptors = True, False
    staff.registrar.tend()
    assert staff.sent == []
    staff.has_descriptors = True
    staff.registrar.tend()
    assert staff.sent == [(100, register("a"))]


def test_a_line_that_waits_can_be_taken_back(staff):
    staff.may_start_worker = False
    staff.registrar.submit(register("a"))
    staff.registrar.submit(Unregister("a"))
    staff.may_start_worker = True
    staff.registrar.tend()
    assert (staff.started, staff.sent) == ([], [])
