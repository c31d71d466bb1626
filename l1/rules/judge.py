"""Is a side guilty? One pure question: evidence, what the chain knows of the channel, and the chain clock.

The same for both parties: who is accused follows from the evidence, never from who brings it. It is total: whatever
decodes gives a verdict. An access is judged by the very rule of the fold that both hospitals applied when it was
written; two commitments by what no honest signer ever signs. Rules JUDGE-1 to JUDGE-9 of docs/spec/disputes.md.
"""

from typing import NamedTuple, assert_never

from l1.ground.faults import Fault, Refused, require
from l1.ground.merkle import verify_inclusion
from l1.rules.accesses import judge_shown_access
from l1.rules.commitment import Commitment, Signed, other
from l1.rules.evidence import AccessShown, Charge, Evidence, Forked, Overspent, TwoWords
from l1.rules.shown import Court, open_words

__all__ = ["Guilty", "Unproven", "Verdict", "contradict", "judge"]


class Guilty(NamedTuple):
    """`side` is guilty of `charge`. If it `waits`, one window passes first, in which a `resume` may void one of
    `words`: sizes and heights of the commitments that the verdict stands on."""

    side: int
    charge: Charge
    waits: bool = False
    words: tuple[tuple[int, int], ...] = ()


class Unproven(NamedTuple):
    """The evidence proves nothing, and why: the fault is its sender's."""

    fault: Fault
    detail: str


Verdict = Guilty | Unproven


def judge(evidence: Evidence, court: Court, clock_ms: int) -> Verdict:
    """[JUDGE-1] The verdict. Pure, and total over whatever decodes."""
    try:
        return _judge(evidence, court, clock_ms)
    except Refused as refusal:
        return Unproven(refusal.fault, refusal.detail)


def _judge(evidence: Evidence, court: Court, clock_ms: int) -> Guilty:
    match evidence:
        case TwoWords():
            return _two_words(evidence, court, clock_ms)
        case Forked():
            return _forked(evidence, court, clock_ms)
        case Overspent():
            return _overspent(evidence, court, clock_ms)
        case AccessShown():
            commitment = open_words(court, evidence.commitment, clock_ms)
            return Guilty(commitment.side, judge_shown_access(evidence, commitment))
        case _:
            assert_never(evidence)


def contradict(first: Commitment, second: Commitment) -> bool:
    """[JUDGE-3] Whether no honest side signs both: another root, `spent` or `seen` at one size, or a greater size
    with a smaller `spent` or `seen_size`. Heights may differ: batches are signed again after a start."""
    if first.size == second.size:
        return (first.root, first.spent, first.seen) != (second.root, second.spent, second.seen)
    small, large = sorted((first, second), key=lambda each: each.size)
    return large.spent < small.spent or large.seen_size < small.seen_size


def _of_one_side(signed: tuple[Signed, Signed], court: Court, clock_ms: int) -> tuple[Commitment, Commitment]:
    """[JUDGE-2] Equivocation is by side, not by key: either may be signed by any of its keys that counts."""
    first, second = (open_words(court, each, clock_ms) for each in signed)
    require(first.side == second.side, Fault.EVIDENCE_PROVES_NOTHING, "the commitments are of different sides")
    return first, second


def _equivocation(first: Commitment, second: Commitment) -> Guilty:
    """[JUDGE-5] It waits: a hospital restored from a backup may show that its peer signed a `resume`."""
    words = ((first.size, first.height), (second.size, second.height))
    return Guilty(first.side, Charge.EQUIVOCATION, waits=True, words=words)


def _two_words(evidence: TwoWords, court: Court, clock_ms: int) -> Guilty:
    first, second = _of_one_side((evidence.first, evidence.second), court, clock_ms)
    require(contradict(first, second), Fault.EVIDENCE_PROVES_NOTHING, "both commitments can be true")
    return _equivocation(first, second)


def _forked(evidence: Forked, court: Court, clock_ms: int) -> Guilty:
    """[JUDGE-4] A proof's length is fixed by index and size, so what it proves is a leaf and not a node above."""
    first, second = _of_one_side((evidence.first, evidence.second), court, clock_ms)
    differ = evidence.leaves[0] != evidence.leaves[1]
    require(differ, Fault.EVIDENCE_PROVES_NOTHING, "both trees have the same leaf there")
    for commitment, leaf, path in zip((first, second), evidence.leaves, evidence.paths, strict=True):
        verify_inclusion(leaf, evidence.index, commitment.size, path, commitment.root)
    return _equivocation(first, second)


def _overspent(evidence: Overspent, court: Court, clock_ms: int) -> Guilty:
    """[JUDGE-8] It waits: the peer may be shown to have signed two totals at that head, and the charge falls."""
    commitment = open_words(court, evidence.commitment, clock_ms)
    income, words = 0, ((commitment.size, commitment.height),)
    if evidence.peer is not None:
        peer = open_words(court, evidence.peer, clock_ms)
        require(peer.side == other(commitment.side), Fault.EVIDENCE_PROVES_NOTHING, "both are of one side")
        same = peer.size > 0 and peer.head == commitment.seen
        require(same, Fault.EVIDENCE_PROVES_NOTHING, "the peer's commitment is not of the head that was seen")
        income = peer.spent
    else:
        require(commitment.seen_size == 0, Fault.EVIDENCE_PROVES_NOTHING, "the peer's commitment is missing")
    covered = commitment.spent <= court.channel.sides[commitment.side].deposit + income
    require(not covered, Fault.EVIDENCE_PROVES_NOTHING, "what it spent is covered")
    return Guilty(commitment.side, Charge.OVERSPEND, waits=True, words=words)
