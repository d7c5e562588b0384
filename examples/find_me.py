"""Find somebody who takes a call: the office first, then the mobile, and whoever picks up says so by a key.

A mailbox that picks up presses no key, so it never gets the caller.

Make it ring:   python examples/find_me.py sip:caller@192.0.2.10 sip:office@192.0.2.11 sip:mobile@192.0.2.12
or without one: python examples/find_me.py                    (three far ends on this machine)
"""

import sys
from contextlib import ExitStack

from sipcore import ActionFinished, Confirm, Connect, Switch, Talk
from sipcore.testing.phone import Phone

QUESTION = Confirm("Press one.", digit="1", timeout_s=4)


def main() -> int:
    with ExitStack() as stack:
        if len(sys.argv) == 4:
            caller, *places, settings = *sys.argv[1:], {}
        else:
            phones = [stack.enter_context(Phone(name=name)) for name in ("caller", "office", "mobile")]
            phones[1].ring_forever()
            phones[2].send_digits_after(2.5, "1")
            phones[2].hang_up_after(4)
            caller, *places = (phone.uri for phone in phones)
            settings = {"sip_address": "127.0.0.1:0"}
        switch = stack.enter_context(Switch(**settings))
        find = Connect(places, ring="in_order", leg_timeout_s=1 if len(sys.argv) == 1 else 15, confirm=QUESTION, source_name="Customer")
        call = switch.calls.create(destination=caller, actions=[Talk("One moment."), find, Talk("Goodbye.")])
        for event in call.events():
            if isinstance(event, ActionFinished) and event.type == "connect":
                print(f"connect: {event.outcome}")
                for leg in event.legs:
                    print(f"{leg.destination}: {'answered' if leg.answered else leg.hangup_reason}")
        return 0 if call.wait().tm_progressing else 1


if __name__ == "__main__":
    sys.exit(main())
