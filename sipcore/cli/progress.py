"""What a call does, one line at a time, while it does it."""

from __future__ import annotations

from datetime import datetime

from rich.console import Console
from rich.text import Text

from sipcore import events
from sipcore.record import CallRecord

_OUTCOME_STYLE = {"done": "green", "failed": "red", "interrupted": "yellow"}


class Progress:
    """Prints the events of a call, with the seconds since it was created."""

    def __init__(self, console: Console, name: str = "") -> None:
        self._console = console
        self._name = f"{name}  " if name else ""
        self._start: datetime | None = None
        self._action_start: datetime | None = None

    def show(self, event: events.CallEvent) -> None:
        """Print one event; those that say nothing to a person are left out."""
        self._start = self._start or event.at
        line = self._line(event)
        if line is not None:
            seconds = (event.at - self._start).total_seconds()
            self._console.print(Text(f"{seconds:7.2f} s  {self._name}", style="dim").append(line))

    def _line(self, event: events.CallEvent) -> Text | None:
        match event:
            case events.CallDialing(record=record):
                return Text(f"calling {record.destination} from {record.source}", style="not dim")
            case events.CallRinging(sip_code=code):
                return Text(f"ringing ({code})", style="not dim cyan")
            case events.CallAnswered():
                return Text("answered", style="not dim bold green")
            case events.ActionStarted(type=kind):
                self._action_start = event.at
                return Text(f"{kind} ...", style="not dim")
            case events.ActionFinished():
                return self._finished(event)
            case events.DigitReceived(digit=digit):
                return Text(f"digit {digit}", style="not dim magenta")
            case events.CallHangup(record=record):
                return Text(describe_end(record), style="not dim bold")
            case _:
                return None

    def _finished(self, event: events.ActionFinished) -> Text:
        lasted_s = (event.at - (self._action_start or event.at)).total_seconds()
        line = Text(f"{event.type} {event.outcome} after {lasted_s:.2f} s", style=f"not dim {_OUTCOME_STYLE[event.outcome]}")
        if event.detail:
            line.append(f": {event.detail}")
        for leg in event.legs:
            how = "answered" if leg.answered else f"not answered: {leg.hangup_reason}" + (f" ({leg.sip_code})" if leg.sip_code else "")
            line.append(f"\n{'':11}  {leg.destination} {how}", style="not dim")
        return line


def describe_end(record: CallRecord) -> str:
    """`ended by remote: normal (200 OK), 4.2 s talked`."""
    answer = f" ({record.sip_code} {record.sip_phrase})" if record.sip_code else f" ({record.sip_phrase})" if record.sip_phrase else ""
    cause = f", Q.850 cause {record.q850_cause}" if record.q850_cause is not None else ""
    talked = f", {record.duration_s:.1f} s talked" if record.tm_progressing else ""
    return f"ended by {record.hangup_by}: {record.hangup_reason}{answer}{cause}{talked}"
