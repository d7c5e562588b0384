"""Rules of dialogs: order, tags, the end, the session timer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from sipcore.siplint.blame import about
from sipcore.siplint.finding import Finding
from sipcore.siplint.reading import FINAL, Conversation, Seen, Transaction

_MULTIPLE: Final = 300
_TRYING: Final = 100
_CHALLENGES: Final = frozenset({401, 407})
_CROSSING_S: Final = 0.5
"""What was on its way when the dialog ended is nobody's fault."""
_USAGES: Final = frozenset({"REFER", "SUBSCRIBE", "NOTIFY"})
"""RFC 5057: a subscription within the dialog goes on after its BYE."""
_EXPIRES: Final = re.compile(r"\s*(\d{1,9})")
_REFRESHER: Final = re.compile(r";\s*refresher\s*=\s*(uac|uas)", re.IGNORECASE)

_Tags = frozenset[str]


def dialog_findings(conversation: Conversation) -> Iterator[Finding]:
    """Of one Call-ID."""
    yield from _order(conversation)
    yield from _answer_tags(conversation)
    yield from _byes(conversation)
    yield from _after_end(conversation)
    if not conversation.has_gaps:
        yield from _unknown_tags(conversation)
        yield from _session_timer(conversation)


def _tags(seen: Seen) -> _Tags:
    return frozenset({seen.from_tag, seen.to_tag})


def _order(conversation: Conversation) -> Iterator[Finding]:
    last: dict[tuple[bool, str], Seen] = {}
    for transaction in conversation.transactions:
        request = transaction.request
        if transaction.method == "CANCEL":  # has the number of its INVITE
            continue
        earlier = last.get((request.is_sent, request.from_tag))
        # The same request to another server has the same number (RFC 3263 §4.3).
        is_tried_again = (
            earlier is not None and transaction.is_initial and earlier.cseq == request.cseq and earlier.method == request.method
        )
        if earlier is not None and request.cseq <= earlier.cseq and not is_tried_again:
            yield about("cseq-order", request, f"{request.name} has CSeq {request.cseq} after {earlier.name} had {earlier.cseq}")
            continue
        last[(request.is_sent, request.from_tag)] = request


def _answer_tags(conversation: Conversation) -> Iterator[Finding]:
    for transaction in conversation.transactions:
        request = transaction.request
        for answer in transaction.answers:
            if answer.from_tag != request.from_tag:
                yield about("tag-changed", answer, f"{answer.name} has another tag in From than its {request.name}")
            elif request.to_tag and answer.status > _TRYING and answer.to_tag not in {request.to_tag, ""}:
                yield about("tag-changed", answer, f"{answer.name} has another tag in To than its {request.name}")


def _unknown_tags(conversation: Conversation) -> Iterator[Finding]:
    known: set[_Tags] = set()
    for seen in conversation.seen:
        if not seen.is_request:
            if seen.status > _TRYING and seen.to_tag:
                known.add(_tags(seen))
        elif seen.to_tag and _tags(seen) not in known:
            yield about("tag-changed", seen, f"{seen.name} {seen.cseq} has tags of no dialog of this Call-ID")


def _byes(conversation: Conversation) -> Iterator[Finding]:
    byes = list(conversation.of("BYE"))
    for number, later in enumerate(byes):
        for earlier in byes[:number]:
            if _tags(earlier.request) == _tags(later.request) and (text := _second_bye(earlier, later)):
                yield about("bye-once", later.request, text)
                break


def _second_bye(earlier: Transaction, later: Transaction) -> str:
    """What is wrong with the later one; both sides may end a dialog at the same time."""
    final = earlier.final
    is_same_side = earlier.request.from_tag == later.request.from_tag
    if is_same_side:
        is_wrong = earlier.request.is_sent == later.request.is_sent and (final is None or final.status not in _CHALLENGES)
        return f"a second BYE, CSeq {later.request.cseq}" if is_wrong else ""
    is_late = final is not None and final.status < _MULTIPLE and later.request.time > final.time + _CROSSING_S
    return "a BYE of a dialog that the other side has ended" if is_late else ""


def _after_end(conversation: Conversation) -> Iterator[Finding]:
    ends = {_tags(bye.request): final for bye in conversation.of("BYE") if (final := bye.final) is not None and final.status < _MULTIPLE}
    has_usage = any(transaction.method in _USAGES for transaction in conversation.transactions)
    for transaction in conversation.transactions:
        request = transaction.request
        end = ends.get(_tags(request))
        is_allowed = transaction.method in {"BYE", "CANCEL"} or (has_usage and transaction.method in _USAGES)
        if end is not None and not is_allowed and request.time > end.time + _CROSSING_S:
            yield about("after-end", request, f"{request.name} {request.cseq}, {request.time - end.time:.2f} s after the dialog was ended")


def _session_timer(conversation: Conversation) -> Iterator[Finding]:
    refreshes = [
        (transaction, final)
        for transaction in conversation.of("INVITE", "UPDATE")
        if (final := transaction.final) is not None and FINAL <= final.status < _MULTIPLE
    ]
    ends = [bye.request.time for bye in conversation.of("BYE")]
    over_at = min([conversation.until, *ends])
    for number, (transaction, answer) in enumerate(refreshes):
        expires = _EXPIRES.match(answer.first("session-expires"))
        if expires is None:
            continue
        next_at = refreshes[number + 1][1].time if number + 1 < len(refreshes) else over_at
        if next_at - answer.time > int(expires[1]) + _CROSSING_S:
            refresher = _REFRESHER.search(answer.first("session-expires"))
            is_caller = refresher is None or refresher[1].lower() == "uac"
            is_ours = transaction.request.is_sent == is_caller
            text = f"the session was to be refreshed or ended within {expires[1]} s, and was not for {next_at - answer.time:.1f} s"
            yield about("session-expired", answer, text, is_ours=is_ours)
