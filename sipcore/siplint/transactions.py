"""Rules of transactions: answers, ACKs, branches, retransmissions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from sipcore.siplint.blame import Limits, about
from sipcore.siplint.finding import Finding
from sipcore.siplint.reading import FINAL, Conversation, Seen, Transaction

T1_S: Final = 0.5
T2_S: Final = 4.0
_MULTIPLE: Final = 300
_TRYING: Final = 100
_MAGIC: Final = "z9hG4bK"
"""RFC 3261 §8.1.1.7: a branch without it is of an older kind, and need not be unique."""
_TOLERANCE: Final = {True: 0.8, False: 0.5}
"""Of what time a message was sent at: ours stand in the trace when they leave, those of the far end when they come."""
_MISSING_AFTER_S: Final = 4 * T1_S


def transaction_findings(conversation: Conversation, limits: Limits) -> Iterator[Finding]:
    """Of one Call-ID."""
    for transaction in conversation.transactions:
        yield from _answers(transaction)
        yield from _spacing(transaction)
        if not conversation.has_gaps:
            yield from _unanswered(transaction, conversation, limits)
            yield from _unrepeated(transaction, conversation)
    if not conversation.has_gaps:
        yield from _acks(conversation, limits)
    if limits.ringback_s is not None:
        yield from _ringback(conversation, limits.ringback_s)


def _answers(transaction: Transaction) -> Iterator[Finding]:
    """Nothing provisional after the final answer, and only one of those; a fork has a To tag of its own."""
    final_of: dict[str, Seen] = {}
    for answer in transaction.answers:
        earlier = final_of.get(answer.to_tag)
        if answer.status >= FINAL:
            if earlier is not None and earlier.status != answer.status:
                yield about("final-twice", answer, f"{transaction.method} got {answer.name} after {earlier.name}")
            final_of.setdefault(answer.to_tag, answer)
        elif earlier is not None and answer.status > _TRYING:
            yield about("provisional-after-final", answer, f"{transaction.method} got {answer.name} after {earlier.name}")


def _unanswered(transaction: Transaction, conversation: Conversation, limits: Limits) -> Iterator[Finding]:
    request = transaction.request
    since = request.time
    if transaction.final is not None:
        return
    if transaction.method == "INVITE" and transaction.answers:  # it may ring for as long as it likes, but not after a CANCEL
        cancels = [found for found in conversation.of("CANCEL") if found.request.branch == request.branch and found.final]
        if not cancels:
            return
        since = cancels[0].request.time
    if (waited_s := conversation.until - since) > limits.patience_s:
        text = f"{transaction.method} {request.cseq} has no final answer after {waited_s:.1f} s"
        yield about("request-unanswered", request, text, is_ours=not request.is_sent)


def _unrepeated(transaction: Transaction, conversation: Conversation) -> Iterator[Finding]:
    """Only ours: a repetition of the far end's may have been lost on its way."""
    request = transaction.request
    is_alone = request.is_sent and not transaction.answers and len(transaction.copies) == 1
    waited_s = conversation.until - request.time
    if is_alone and request.message.transport == "udp" and waited_s > _MISSING_AFTER_S:
        yield about("retransmission-missing", request, f"{request.name} {request.cseq} was not repeated in {waited_s:.1f} s without answer")


def _spacing(transaction: Transaction) -> Iterator[Finding]:
    wait_s = T1_S
    if transaction.request.message.transport != "udp":
        return
    for earlier, later in pairwise(transaction.copies):
        gap_s = later.time - earlier.time
        if gap_s < wait_s * _TOLERANCE[later.is_sent]:
            text = f"{later.name} {later.cseq} was repeated after {gap_s:.3f} s, which is to be {wait_s:g} s"
            yield about("retransmission-early", later, text)
        wait_s = 2 * wait_s if transaction.method == "INVITE" else min(2 * wait_s, T2_S)


def _acks(conversation: Conversation, limits: Limits) -> Iterator[Finding]:
    invites = list(conversation.of("INVITE"))
    for invite in invites:
        final = invite.final
        if final is None or _acks_of(invite, final, conversation.acks):
            continue
        if (waited_s := conversation.until - final.time) > limits.patience_s:
            text = f"{final.name} of INVITE {final.cseq} has no ACK after {waited_s:.1f} s"
            yield about("ack-missing", final, text, is_ours=not final.is_sent)
    for ack in conversation.acks:
        if not any(invite.request.cseq == ack.cseq and invite.request.is_sent == ack.is_sent and invite.final for invite in invites):
            yield about("ack-cseq", ack, f"ACK {ack.cseq} is for no INVITE that was answered")


def _acks_of(invite: Transaction, final: Seen, acks: Sequence[Seen]) -> list[Seen]:
    of_it = [ack for ack in acks if ack.is_sent == invite.request.is_sent and ack.cseq == final.cseq]
    return of_it if final.status < _MULTIPLE else [ack for ack in of_it if ack.branch == invite.request.branch]


def _ringback(conversation: Conversation, limit_s: float) -> Iterator[Finding]:
    for invite in conversation.of("INVITE"):
        told = next((answer for answer in invite.answers if answer.status > _TRYING), None)
        at = conversation.until if told is None else told.time
        if invite.is_initial and (waited_s := at - invite.request.time) > limit_s:
            said = "nothing but 100" if told is None else told.name
            text = f"{said} came {waited_s:.2f} s after the INVITE, more than {limit_s:g} s"
            yield about("ringback-late", told or invite.request, text, is_ours=not invite.request.is_sent)


def branch_findings(conversations: Sequence[Conversation]) -> Iterator[Finding]:
    """Of all together: a branch is unique for ever, whatever the call."""
    owners: dict[tuple[bool, str], Transaction] = {}
    for conversation in conversations:
        for transaction in conversation.transactions:
            request = transaction.request
            if not request.branch.startswith(_MAGIC) or transaction.method == "CANCEL":
                continue
            owner = owners.setdefault((request.is_sent, request.branch), transaction)
            if owner is not transaction:
                text = f"{request.name} {request.cseq} has the branch of {owner.method} {owner.request.cseq}"
                yield about("branch-reused", request, text)
    for conversation in conversations:
        yield from _ack_branches(conversation, owners)


def _ack_branches(conversation: Conversation, owners: dict[tuple[bool, str], Transaction]) -> Iterator[Finding]:
    """The ACK of a refusal belongs to the INVITE's transaction; that of a 2xx is one of its own (RFC 3261 §17.1.1.3, §13.2.2.4)."""
    for ack in conversation.acks:
        owner = owners.get((ack.is_sent, ack.branch)) if ack.branch.startswith(_MAGIC) else None
        if owner is None:
            continue
        is_own = owner.method == "INVITE" and owner.request.cseq == ack.cseq and owner.request.call_id == ack.call_id
        final = owner.final
        if not is_own:
            yield about("branch-reused", ack, f"ACK {ack.cseq} has the branch of {owner.method} {owner.request.cseq}")
        elif final is not None and final.status < _MULTIPLE:
            yield about("branch-reused", ack, f"ACK {ack.cseq} of {final.name} has the branch of its INVITE")
