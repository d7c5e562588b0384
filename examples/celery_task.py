"""Calls from Celery: a task that calls somebody, speaks, and returns how it ended.

Run a worker: celery -A examples.celery_task worker            (with a broker of yours in place of memory://)
or just look: python examples/celery_task.py                   (a worker in this process, a far end on this machine)

Every worker process has a switch of its own, opened by its first task: that is after Celery has forked it.
"""

import functools
import sys

from celery import Celery
from celery.contrib.testing.worker import start_worker
from celery.signals import worker_process_shutdown

from sipcore import CapacityError, Switch, Talk
from sipcore.testing.phone import Phone

app = Celery("calls", broker="memory://", backend="cache+memory://")


@functools.cache
def switch() -> Switch:
    opened = Switch(sip_address="127.0.0.1:0")
    opened.open()
    return opened


@worker_process_shutdown.connect
def close(**_: object) -> None:
    if switch.cache_info().currsize:
        switch().close()


@app.task(autoretry_for=(CapacityError,), retry_backoff=True)
def tell(destination: str, text: str) -> dict[str, object]:
    """Call somebody and speak; tried again later when there is no room for the call."""
    record = switch().calls.create(destination=destination, actions=[Talk(text)]).wait(timeout_s=120)
    return {"answered": record.tm_progressing is not None, "reason": str(record.hangup_reason), "seconds": round(record.duration_s)}


def try_it() -> int:
    with Phone(name="bob") as phone, start_worker(app, perform_ping_check=False):
        print(tell.delay(phone.uri, "Your build is green.").get(timeout=60))
        switch().close()
    return 0


if __name__ == "__main__":
    sys.exit(try_it())
