"""The switch for synchronous code, on real time and the fake engine."""

import asyncio
import queue
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from sipcore import Answer, Play, Switch, Talk
from sipcore.errors import CallNotFound, CapacityError, InvalidRequest, InvalidState, SwitchClosed
from sipcore.testing.fake_engine import Caller, FakeEngine, FarEnd

from .stage import Beeps

pytestmark = pytest.mark.slow

BOB = "sip:bob@192.0.2.9"


@pytest.fixture
def engine():
    engine = FakeEngine()
    engine.far_end("rings", FarEnd(answer_after_s=None))
    return engine


@pytest.fixture
def switch(root, engine):
    with Switch(engine=engine, synthesizer=Beeps(), cache_dir=root / "cache", media_root=root) as switch:
        yield switch


def test_a_call_from_beginning_to_end(switch, engine):
    call = switch.calls.create(destination=BOB)
    record = call.wait(timeout_s=10)
    assert (record.status, record.hangup_by, record.hangup_reason) == ("hangup", "local", "normal")
    assert call.wait() == call.record == switch.calls.get(call.id) == switch.calls.hangup(call.id) == record
    assert switch.calls.list().result == (record,)
    assert engine.legs_in_use == 0
    call.hangup()


def test_events_end_with_the_call(switch):
    names = [type(event).__name__ for event in switch.calls.create(destination=BOB, actions=[Talk("a")]).events()]
    assert (names[0], names[-1]) == ("CallCreated", "CallHangup")
    assert "ActionFinished" in names


def test_events_seen_from_another_thread_while_the_switch_closes(switch):
    call = switch.calls.create(destination="sip:rings@192.0.2.9")
    with ThreadPoolExecutor(1) as pool:
        names: queue.SimpleQueue[str] = queue.SimpleQueue()
        done = pool.submit(lambda: [names.put(type(event).__name__) for event in call.events()])
        while names.get(timeout=10) != "CallRinging":
            pass
        waiting = pool.submit(call.wait)
        switch.close()
        done.result(timeout=10)
        assert waiting.result(timeout=10).hangup_reason == "cancel"


def test_wait_times_out_and_the_call_goes_on(switch):
    call = switch.calls.create(destination="sip:rings@192.0.2.9")
    with pytest.raises(TimeoutError):
        call.wait(timeout_s=0.01)
    assert not call.record.is_over
    call.hangup()
    assert call.wait(timeout_s=10).hangup_reason == "cancel"


def test_from_many_threads(switch):
    with ThreadPoolExecutor(8) as pool:
        records = list(pool.map(lambda _: switch.calls.create(destination=BOB, actions=[Talk("a")]).wait(timeout_s=20), range(16)))
    assert {record.hangup_reason for record in records} == {"normal"}
    assert len({record.tm_create for record in records}) == 16
    assert len(switch.calls.list(100).result) == 16


def test_beside_a_running_event_loop(switch):
    async def main():
        call = switch.calls.create(destination=BOB)
        return await asyncio.to_thread(call.wait, 10)

    assert asyncio.run(main()).status == "hangup"


def test_errors_come_through(switch):
    with pytest.raises(InvalidRequest, match=r"E\.164"):
        switch.calls.create(destination="tel:12ab")
    with pytest.raises(InvalidRequest, match="no such file"):
        switch.calls.create(destination=BOB, actions=[Play(["none.wav"])])
    with pytest.raises(InvalidRequest, match="page_size"):
        switch.calls.list(0)
    for work in (switch.calls.get, switch.calls.hangup):
        with pytest.raises(CallNotFound):
            work("nobody")
    for _ in range(64):
        switch.calls.create(destination="sip:rings@192.0.2.9")
    with pytest.raises(CapacityError):
        switch.calls.create(destination=BOB)


def test_before_open_and_after_close(root):
    switch = Switch(engine=FakeEngine(), synthesizer=Beeps(), cache_dir=root / "cache")
    switch.close()
    for _ in range(2):
        for work in (
            lambda: switch.calls.create(destination=BOB),
            switch.calls.list,
            lambda: switch.calls.get("x"),
            lambda: switch.listen(print),
        ):
            with pytest.raises(SwitchClosed):
                work()
        assert switch.sip_address == ""
        switch.open()
        switch.open()
        assert switch.sip_address == "192.0.2.1:5060"
        assert switch.tls_address == ""
        call = switch.calls.create(destination=BOB)
        switch.close()
        switch.close()
        assert call.wait().is_over
        with pytest.raises(SwitchClosed):
            call.hangup()


def test_open_that_fails_leaves_no_thread(root, tmp_path):
    before = threading.active_count()
    switch = Switch(engine=FakeEngine(), synthesizer=Beeps(), cache_dir=root / "cache", store=str(tmp_path))
    with pytest.raises(Exception, match="store"):
        switch.open()
    assert threading.active_count() == before
    switch.close()


def test_listener_that_calls_back_gets_a_clear_error(switch):
    told: list[BaseException] = []

    def listener(event):
        try:
            switch.calls.list()
        except SwitchClosed as error:
            told.append(error)

    stop = switch.listen(listener)
    call = switch.calls.create(destination=BOB)
    call.wait(timeout_s=10)
    assert "a listener runs on the thread of the switch" in str(told[0])
    stop()
    stop()
    count = len(told)
    switch.calls.create(destination=BOB).wait(timeout_s=10)
    assert len(told) == count


def test_work_that_meets_the_close_is_told(switch):
    """Whoever asks while the switch closes gets an answer or SwitchClosed, and never waits for ever."""
    go = threading.Event()

    def ask():
        answers = 0
        go.wait()
        try:
            while True:
                switch.calls.list()
                answers += 1
        except SwitchClosed:
            return answers

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask) for _ in range(4)]
        go.set()
        switch.close()
        for future in asked:
            assert future.result(timeout=10) >= 0


def test_interpreter_that_ends_with_an_open_switch(root, tmp_path):
    code = f"""
from sipcore import Switch
from sipcore.testing.fake_engine import Caller, FakeEngine, FarEnd
engine = FakeEngine(); engine.far_end("rings", FarEnd(answer_after_s=None))
switch = Switch(engine=engine, store={str(tmp_path / "calls.sqlite")!r}, cache_dir={str(root / "cache")!r})
switch.open()
print(switch.calls.create(destination="sip:rings@192.0.2.9").id)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    with Switch(engine=FakeEngine(), store=str(tmp_path / "calls.sqlite"), cache_dir=root / "cache") as switch:
        record = switch.calls.get(done.stdout.strip())
    assert (record.status, record.hangup_by, record.hangup_reason) == ("hangup", "local", "cancel")


# ------------------------------------------------------------------------------------------------ calls from outside


def offered(switch, engine, to="+821000", caller=None):
    """A call that the switch took."""

    async def offer():
        return engine.offer(to, caller=caller or Caller()).call_id

    return switch.run(offer())


def ended(switch, call_id):
    """The final record."""

    async def wait():
        call = switch._switch.calls.live(call_id)
        return await (call.wait(10) if call else switch._switch.calls.get(call_id))

    return switch.run(wait())


def test_a_list_given_before_the_switch_is_open(root, engine):
    switch = Switch(engine=engine, synthesizer=Beeps(), cache_dir=root / "cache", media_root=root)
    switch.on_call(to="+82*", actions=[Answer(), Talk("a")])
    with switch:
        record = ended(switch, offered(switch, engine))
        assert (record.direction, record.hangup_reason, record.sip_code) == ("incoming", "normal", 200)


def test_handler_has_a_thread_of_its_own(switch, engine):
    threads = []

    @switch.on_call()
    def handler(call):
        threads.append(threading.current_thread())
        call.ring()
        call.answer()
        call.talk("a")
        assert call.connect("sip:bob@192.0.2.9") is not None

    engine.far_end("bob", FarEnd(hang_up_after_s=0))
    records = [ended(switch, call_id) for call_id in [offered(switch, engine), offered(switch, engine)]]
    assert [(record.hangup_by, record.hangup_reason) for record in records] == [("local", "normal")] * 2
    for thread in threads:
        thread.join(10)
    assert len(set(threads)) == 2
    assert switch._thread not in threads


def test_rejecting_handler(switch, engine):
    switch.on_call()(lambda call: call.reject(480))
    assert ended(switch, offered(switch, engine)).sip_code == 480


def test_end_of_the_call_ends_what_its_handler_waits_for(switch, engine):
    failed: queue.SimpleQueue[Exception] = queue.SimpleQueue()

    @switch.on_call()
    def handler(call):
        call.answer()
        try:
            call.play("long.wav")
        except InvalidState as error:
            failed.put(error)
            raise

    call_id = offered(switch, engine, caller=Caller(hang_up_after_s=0.2))
    assert "play is not possible while it is hangup" in str(failed.get(timeout=10))
    assert ended(switch, call_id).hangup_by == "remote"


def test_handler_that_fails(switch, engine, caplog):
    @switch.on_call()
    def handler(call):
        raise ZeroDivisionError

    assert ended(switch, offered(switch, engine)).hangup_reason == "failed"
    assert "ZeroDivisionError" in caplog.text


def test_switch_closes_under_a_handler(root, engine):
    seen: queue.SimpleQueue[Exception] = queue.SimpleQueue()
    with Switch(engine=engine, synthesizer=Beeps(), cache_dir=root / "cache", media_root=root) as switch:

        @switch.on_call()
        def handler(call):
            call.answer()
            try:
                call.play("long.wav")
            except InvalidState as error:
                seen.put(error)

        call = switch._switch.calls.live(offered(switch, engine))
        while call.record.status != "progressing":
            threading.Event().wait(0.01)
    assert isinstance(seen.get(timeout=10), InvalidState)
