"""Call somebody and connect them to whoever of two picks up first.

Make it ring:   python examples/hunt.py sip:caller@192.0.2.10 sip:one@192.0.2.11 sip:two@192.0.2.12
or without one: python examples/hunt.py                       (three far ends on this machine)
"""

import sys
from contextlib import ExitStack

from sipcore import ActionFinished, Connect, Switch, Talk
from sipcore.testing.phone import Phone


def main() -> int:
    with ExitStack() as stack:
        if len(sys.argv) == 4:
            caller, one, two, settings = *sys.argv[1:], {}
        else:
            phones = [stack.enter_context(Phone(name=name)) for name in ("caller", "one", "two")]
            phones[1].ring_for(30)  # rings, but "two" is faster
            phones[2].ring_for(1)
            phones[2].hang_up_after(1)
            caller, one, two = (phone.uri for phone in phones)
            settings = {"sip_address": "127.0.0.1:0"}
        switch = stack.enter_context(Switch(**settings))
        call = switch.calls.create(destination=caller, actions=[Talk("Please hold."), Connect([one, two], timeout_s=20), Talk("Goodbye.")])
        for event in call.events():
            if isinstance(event, ActionFinished) and event.type == "connect":
                for leg in event.legs:
                    print(f"{leg.destination}: {'answered' if leg.answered else leg.hangup_reason}")
        return 0 if call.wait().tm_progressing else 1


if __name__ == "__main__":
    sys.exit(main())
