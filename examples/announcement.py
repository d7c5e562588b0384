"""Call somebody, speak, play a file, and say how it ended.

Make it ring:   python examples/announcement.py sip:you@192.0.2.10        (any SIP phone or PBX)
or without one: python examples/announcement.py                           (a far end on this machine answers)
"""

import sys
from contextlib import ExitStack

from sipcore import Switch, Talk
from sipcore.testing.phone import Phone


def main() -> int:
    with ExitStack() as stack:
        if len(sys.argv) > 1:
            destination, settings = sys.argv[1], {}
        else:
            destination, settings = stack.enter_context(Phone(name="bob")).uri, {"sip_address": "127.0.0.1:0"}
        switch = stack.enter_context(Switch(**settings))
        call = switch.calls.create(destination=destination, actions=[Talk("Hello. Your parcel is at the door.")])
        record = call.wait(timeout_s=120)
        print(f"{record.destination}: {record.hangup_reason} ({record.sip_code} {record.sip_phrase}), {record.duration_s:.1f} s")
        return 0 if record.tm_progressing else 1


if __name__ == "__main__":
    sys.exit(main())
