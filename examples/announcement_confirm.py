"""Tell several people something, and find out who has heard it: "press one" makes sure that it was no mailbox.

Make it ring:   python examples/announcement_confirm.py sip:ann@192.0.2.11 sip:bob@192.0.2.12 ...
or without one: python examples/announcement_confirm.py              (two far ends on this machine: ann presses a key, bob just hangs up)
"""

import sys
from contextlib import ExitStack

from sipcore import ConditionVariable, DigitsReceive, Goto, Hangup, Switch, Talk, VariableSet
from sipcore.testing.phone import Phone

ANNOUNCEMENT = [
    Talk("The water is off tomorrow. Press one if you have heard it.", barge_in="1", id="say"),
    DigitsReceive(length=1, duration_ms=4000),
    ConditionVariable("==", "digits", "again", value_string="1"),
    VariableSet("heard", "yes"),
    Talk("Thank you."),
    Hangup(),
    Goto("say", loop_count=1, id="again"),
]


def main() -> int:
    with ExitStack() as stack:
        if len(sys.argv) > 1:
            destinations, settings = sys.argv[1:], {}
        else:
            ann, bob = (stack.enter_context(Phone(name=name)) for name in ("ann", "bob"))
            ann.send_digits_after(1.5, "1")
            bob.hang_up_after(2.0)
            destinations, settings = [ann.uri, bob.uri], {"sip_address": "127.0.0.1:0"}
        switch = stack.enter_context(Switch(**settings))
        calls = [switch.calls.create(destination=destination, actions=ANNOUNCEMENT) for destination in destinations]
        for call in calls:
            record = call.wait(timeout_s=120)
            print(f"{record.destination}: {'has heard it' if call.variables.get('heard') else 'has not confirmed it'}")
        return 0 if all(call.record.tm_progressing for call in calls) else 1


if __name__ == "__main__":
    sys.exit(main())
