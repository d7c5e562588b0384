"""Call people into one conference, and record it: the first leads it, and it is over when she leaves; the others may leave by the # key.

Make it ring:   python examples/conference.py sip:leader@192.0.2.10 sip:one@192.0.2.11 sip:two@192.0.2.12 ...
or without one: python examples/conference.py                 (three far ends on this machine, each with a tone of its own)
"""

import sys
from contextlib import ExitStack
from tempfile import TemporaryDirectory

from media.measure import tone_level_db
from sipcore import ConferenceJoin, ConferenceJoined, ConferenceLeft, Switch, Talk
from sipcore.testing.phone import Phone

TONES_HZ = {"leader": 500.0, "one": 1100.0, "two": 1450.0}
HEARD_DBFS = -45.0


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


def main() -> int:
    if len(sys.argv) > 2:
        with Switch() as switch:
            meet(switch, sys.argv[1], sys.argv[2:])
        return 0
    with ExitStack() as stack:
        phones = {name: stack.enter_context(Phone(name)) for name in TONES_HZ}
        for name, phone in phones.items():
            phone.tone(TONES_HZ[name], level_dbfs=-26)
        phones["leader"].hang_up_after(6)
        phones["two"].send_digits_after(4, "#")
        switch = stack.enter_context(Switch(sip_address="127.0.0.1:0", recordings_dir=stack.enter_context(TemporaryDirectory())))
        meet(switch, *(phones["leader"].uri, [phones["one"].uri, phones["two"].uri]))
        for name, phone in phones.items():
            heard = phone.last_call.heard()
            others = [other for other, hz in TONES_HZ.items() if tone_level_db(heard, hz, 8000) > HEARD_DBFS]
            print(f"{name} has heard: {', '.join(others)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
