"""Rules of what we say of a call: its events and its record agree with its messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from sipcore.flight.record import FlightCall, FlightNote, FlightRecord
from sipcore.siplint.blame import about, about_call
from sipcore.siplint.finding import Finding
from sipcore.siplint.media import sample_findings
from sipcore.siplint.reading import FINAL, Conversation, Transaction

_MULTIPLE: Final = 300
_SETTLED_S: Final = 0.5
"""The last messages of a call are in the trace so long after its end."""
_REASONS: Final = {486: {"busy"}, 600: {"busy"}, 480: {"noanswer"}, 603: {"noanswer"}, 408: {"noanswer", "failed"}}
"""Of a refusal by the far end; any other 4xx, 5xx and 6xx is `failed`."""
_LATE_EVENTS: Final = frozenset({"RecordingFinished"})


def call_findings(record: FlightRecord, conversations: Sequence[Conversation]) -> Iterator[Finding]:
    """Of a record of one call; messages of several are not told apart, so of those only what the events say."""
    for call in record.calls:
        notes = [note for note in record.notes if note.call_id == call.id]
        yield from _ended_once(call, notes)
    if len(record.calls) != 1 or not conversations or any(found.has_gaps for found in conversations):
        return
    call = record.calls[0]
    for conversation in conversations:
        if bye := next((found.request for found in conversation.of("BYE")), None):
            yield from sample_findings(record, bye)
    if (ended_at := _end_of(record)) is not None and record.taken_at > ended_at + _SETTLED_S:
        yield from _bye_missing(ended_at, conversations)
        has_asked = any(note.name == "CallHangingUp" for note in record.notes)
        yield from _reason(call, ended_at, conversations, has_asked=has_asked)


def _ended_once(call: FlightCall, notes: Sequence[FlightNote]) -> Iterator[Finding]:
    ends = [index for index, note in enumerate(notes) if note.name == "CallHangup"]
    if len(ends) > 1:
        yield about_call("leg-ended-once", notes[ends[1]].at, f"call {call.id} has ended {len(ends)} times")
    if ends and (late := [note for note in notes[ends[0] + 1 :] if note.name not in _LATE_EVENTS and note.name != "CallHangup"]):
        yield about_call("leg-ended-once", late[0].at, f"{late[0].name} of call {call.id} after its end")
    if notes and not ends and call.status == "hangup":
        yield about_call("leg-ended-once", notes[-1].at, f"call {call.id} is over, and nobody was told so")


def _end_of(record: FlightRecord) -> float | None:
    return next((note.at for note in record.notes if note.name == "CallHangup"), None)


def _bye_missing(ended_at: float, conversations: Sequence[Conversation]) -> Iterator[Finding]:
    for conversation in conversations:
        answered = next((found.final for found in conversation.of("INVITE") if _is_good(found)), None)
        if answered is not None and not list(conversation.of("BYE")):
            yield about(
                "bye-missing", answered, f"the call was over {ended_at - answered.time:.2f} s after it, without a BYE", is_ours=True
            )


def _is_good(transaction: Transaction) -> bool:
    return transaction.final is not None and FINAL <= transaction.final.status < _MULTIPLE


def _reason(call: FlightCall, ended_at: float, conversations: Sequence[Conversation], *, has_asked: bool) -> Iterator[Finding]:
    byes = [bye.request for found in conversations for bye in found.of("BYE")]
    if byes and len({bye.is_sent for bye in byes}) == 1:
        who = "local" if byes[0].is_sent else "remote"
        if call.hangup_by != who and not has_asked:  # whoever asked first has ended it, though the other's BYE may come first
            yield about_call(
                "reason-mismatch", ended_at, f"ended by {call.hangup_by}, the BYE was {'sent' if byes[0].is_sent else 'received'}"
            )
        return
    invites = [invite for found in conversations for invite in found.of("INVITE") if invite.is_initial and invite.request.is_sent]
    was_cancelled = any(list(found.of("CANCEL")) for found in conversations)
    refusal = invites[-1].final if invites and call.hangup_by == "remote" and not was_cancelled else None
    if refusal is None or refusal.status < 400:
        return
    expected = _REASONS.get(refusal.status, {"failed"})
    if call.hangup_reason not in expected:
        text = f"ended as {call.hangup_reason}, and was refused with {refusal.name}: {' or '.join(sorted(expected))}"
        yield about_call("reason-mismatch", ended_at, text)
