"""The user's process forks while a call is up: the fork can do nothing to it, and its end ends nothing. Both switches are real."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.sip

SCRIPT = """
import asyncio, multiprocessing, os, sys, time
from sipcore import Answer, AsyncSwitch, Stop, Switch, SwitchClosed

def attempt(name, work):
    try:
        work()
    except SwitchClosed as error:
        return f"{name}: {error}"
    return f"{name}: nothing"

def in_fork(switch, call, outcome):
    outcome.put(attempt("create", lambda: switch.calls.create(destination="sip:1@127.0.0.1")))
    outcome.put(attempt("hangup", call.hangup))
    outcome.put(attempt("run", lambda: asyncio.run(call._call.play("no.wav"))))
    outcome.put(attempt("reopen", switch.open))
    outcome.put(attempt("close", switch.close))
    with Switch() as own:
        outcome.put(f"own: {own.sip_address != ''}")

def main():
    with Switch() as callee, Switch() as switch:
        callee.on_call(actions=[Answer(), Stop()])
        with switch.dial(f"sip:1@{callee.sip_address}", ring_timeout_s=10) as call:
            context = multiprocessing.get_context("fork")
            outcome = context.SimpleQueue()
            child = context.Process(target=in_fork, args=(switch, call, outcome))
            child.start()
            for _ in range(6):
                print(outcome.get())
            child.join(20)
            print("child", child.exitcode)
            if (pid := os.fork()) == 0:
                sys.exit(7)  # through every with block above
            print("fork", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            call.beep()
            time.sleep(0.3)
            print(call.record.status, len(callee.calls.list().result))
    print(call.record.hangup_by, call.record.hangup_reason, call.record.sip_code)

main()
"""


def test_a_fork_has_no_part_in_the_calls(tmp_path):
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path), "PYTHONWARNINGS": "error"}
    result = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    for name, line in zip(("create", "hangup", "run", "reopen"), lines, strict=False):
        assert line.startswith(f"{name}: the switch belongs to process "), line
    assert lines[4:] == ["close: nothing", "own: True", "child 0", "fork 7", "progressing 1", "local normal 200"]
