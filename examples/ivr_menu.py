"""A menu by keys: a key stops the prompt, a wrong one has it said again, at most twice.

Make it ring:   python examples/ivr_menu.py sip:you@192.0.2.10        (any SIP phone or PBX; press 1 or 2)
or without one: python examples/ivr_menu.py                           (a far end on this machine presses a wrong key, then 2)
"""

import sys
from contextlib import ExitStack

from sipcore import ActionFinished, Branch, DigitsGathered, DigitsReceive, Goto, Hangup, Switch, Talk
from sipcore.testing.phone import Phone

MENU = [
    Talk("Welcome. For sales, press one. For our opening hours, press two.", barge_in="any", id="menu"),
    DigitsReceive(length=1, duration_ms=5000),
    Branch({"1": "sales", "2": "hours"}, default_target_id="again"),
    Talk("Sales call you back.", id="sales"),
    Hangup(),
    Talk("We are here from nine to five.", id="hours"),
    Hangup(),
    Talk("Once more.", id="again"),
    Goto("menu", loop_count=2),
    Talk("Goodbye."),
]


def main() -> int:
    with ExitStack() as stack:
        if len(sys.argv) > 1:
            destination, settings = sys.argv[1], {}
        else:
            phone = stack.enter_context(Phone(name="ann"))
            phone.send_digits_after(1.0, "92")
            destination, settings = phone.uri, {"sip_address": "127.0.0.1:0"}
        switch = stack.enter_context(Switch(**settings))
        call = switch.calls.create(destination=destination, actions=MENU)
        for event in call.events():
            match event:
                case DigitsGathered(digits=digits):
                    print(f"pressed: {digits or 'nothing'}")
                case ActionFinished(type="talk"):
                    print(f"said: {event.action_id or 'goodbye'}")
        return 0 if call.wait().tm_progressing else 1


if __name__ == "__main__":
    sys.exit(main())
