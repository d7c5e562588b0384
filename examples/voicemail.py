"""A mailbox: a greeting, a beep, and a recording that a key, silence or a minute ends.

Make it ring:   python examples/voicemail.py 0.0.0.0:5060     then call sip:mailbox@<this machine> with any phone; Ctrl-C ends it
or without one: python examples/voicemail.py                  (a far end on this machine leaves a message: a tone, then #)
"""

import sys
import tempfile
import threading
from contextlib import ExitStack, suppress

import soundfile

from sipcore import Call, Switch
from sipcore.testing.phone import Phone


def take_message(switch: Switch, call: Call) -> None:
    call.talk("Please leave a message.")
    begun = call.start_recording(end_of_key="#", end_of_silence_s=3, duration_s=60, beep_start=True)
    message = switch.recordings.wait(begun.id, timeout_s=90)
    call.talk("Thank you.")
    samples, rate_hz = soundfile.read(switch.recordings.path(message))
    print(f"{message.filename}: {len(samples) / rate_hz:.1f} s, ended by {message.end_reason}, loudest {abs(samples).max():.2f}")


def serve(address: str) -> None:
    """Take messages from whoever calls."""
    with Switch(sip_address=address, accept_from=["0.0.0.0/0"]) as switch:

        @switch.on_call()
        def mailbox(call: Call) -> None:
            call.answer()
            take_message(switch, call)

        with suppress(KeyboardInterrupt):
            threading.Event().wait()


def main() -> int:
    if len(sys.argv) > 1:
        serve(sys.argv[1])
        return 0
    with ExitStack() as stack:
        phone = stack.enter_context(Phone(name="ann"))
        phone.tone(440.0)
        phone.send_digits_after(4.0, "#")
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        switch = stack.enter_context(Switch(sip_address="127.0.0.1:0", recordings_dir=folder))
        with switch.dial(phone.uri) as call:
            take_message(switch, call)
        (listed,) = switch.recordings.list().result
        print(f"listed: {listed.status}, of call {listed.reference_id == call.id and 'ann'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
