"""Call people into one conference, and record it: the first leads it, and it is over when she leaves; the others may leave by the # key.

Make it ring:   python examples/conference.py sip:leader@192.0.2.10 sip:one@192.0.2.11 sip:two@192.0.2.12 ...
or without one: python examples/conference.py                 (three far ends on this machine, each with a tone of its own)
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from tempfile import TemporaryDirectory

from sipcore import ConferenceJoin, ConferenceJoined, ConferenceLeft, Switch, Talk
from sipcore.testing.phone import Phone

TONES_HZ = {"leader": 500.0, "one": 1100.0, "two": 1450.0}


def meet(switch: Switch, leader: str, guests: list[str]) -> None:
    """Call everybody, and tell who comes and goes until it is over."""
    welcome, bye = Talk("Welcome."), Talk("Goodbye.")
    lead = ConferenceJoin("meeting", moderator=True, end_when_moderator_leaves=True, record=True)
    follow = ConferenceJoin("meeting", leave_key="#")
    calls = [switch.calls.create(destination=leader, actions=[welcome, lead])]
    calls += [switch.calls.create(destination=guest, actions=[welcome, follow, bye]) for guest in guests]
    for call in calls:
        record = call.wait()
        for event in call.events():
            if isinstance(event, ConferenceJoined):
                print(f"{record.destination}: joined, {len(event.conference.members)} are there")
            elif isinstance(event, ConferenceLeft):
                print(f"{record.destination}: left, {event.reason}")
    for conference in switch.conferences.list().result:
        for recording_id in conference.recording_ids:
            print(f"recorded: {switch.recordings.wait(recording_id, 10).duration_s:.1f} s")


def take_part(phones: dict[str, Phone]) -> None:
    """Stay until everybody has heard all others; then one leaves by the key, and the leader hangs up."""
    calls = {name: phone.wait_call(20) for name, phone in phones.items()}
    for name, call in calls.items():
        others = [other for other in TONES_HZ if other != name]
        for other in others:
            call.wait_tone(TONES_HZ[other], 20)
        print(f"{name} has heard: {', '.join(others)}")
    calls["two"].send_digits("#")
    calls["two"].wait_ended(20)
    calls["leader"].hang_up()


def main() -> int:
    if len(sys.argv) > 2:
        with Switch() as switch:
            meet(switch, sys.argv[1], sys.argv[2:])
        return 0
    with ExitStack() as stack:
        phones = {name: stack.enter_context(Phone(name)) for name in TONES_HZ}
        for name, phone in phones.items():
            phone.tone(TONES_HZ[name], level_dbfs=-26)
            phone.hang_up_after(45)  # at the latest
        switch = stack.enter_context(Switch(sip_address="127.0.0.1:0", recordings_dir=stack.enter_context(TemporaryDirectory())))
        taking_part = stack.enter_context(ThreadPoolExecutor()).submit(take_part, phones)
        meet(switch, phones["leader"].uri, [phones["one"].uri, phones["two"].uri])
        taking_part.result()
    return 0


if __name__ == "__main__":
    sys.exit(main())
