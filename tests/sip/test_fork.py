"""The user's process forks while a call is up: the fork can do nothing to it, and its end ends nothing. Both switches are real."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.sip

SCRIPT = """
import asyncio, faulthandler, multiprocessing, os, sys, time
from sipcore import Answer, AsyncSwitch, Stop, Switch, SwitchClosed

PORTS = tuple(int(port) for port in sys.argv[1:])

def attempt(name, work):
    try:
        work()
    except SwitchClosed as error:
        return f"{name}: {error}"
    return f"{name}: nothing"

def in_fork(switch, call, outcome):
    faulthandler.dump_traceback_later(25, exit=True)
    outcome.send(attempt("create", lambda: switch.calls.create(destination="sip:1@127.0.0.1")))
    outcome.send(attempt("hangup", call.hangup))
    outcome.send(attempt("run", lambda: asyncio.run(call._call.play("no.wav"))))
    outcome.send(attempt("reopen", switch.open))
    outcome.send(attempt("close", switch.close))
    with Switch(rtp_ports=PORTS) as own:
        outcome.send(f"own: {own.sip_address != ''}")
    faulthandler.cancel_dump_traceback_later()

def main():
    with Switch(rtp_ports=PORTS) as callee, Switch(rtp_ports=PORTS) as switch:
        callee.on_call(actions=[Answer(), Stop()])
        with switch.dial(f"sip:1@{callee.sip_address}", ring_timeout_s=10) as call:
            context = multiprocessing.get_context("fork")
            outcomes, outcome = context.Pipe(duplex=False)
            child = context.Process(target=in_fork, args=(switch, call, outcome))
            child.start()
            outcome.close()  # so that the end of a child that says nothing more is seen
            for _ in range(6):
                print(outcomes.recv())
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


@pytest.mark.timeout(90)
def test_a_fork_has_no_part_in_the_calls(tmp_path, rtp_ports):
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path), "PYTHONWARNINGS": "error"}
    command = [sys.executable, "-c", SCRIPT, *map(str, rtp_ports)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    for name, line in zip(("create", "hangup", "run", "reopen"), lines, strict=False):
        assert line.startswith(f"{name}: the switch belongs to process "), line
    assert lines[4:] == ["close: nothing", "own: True", "child 0", "fork 7", "progressing 1", "local normal 200"]
