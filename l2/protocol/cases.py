"""Cases: proof that the peer misbehaved, found while receiving, kept durably, and filed with the chain.

A case holds evidence that our own copy of the chain's judge accepts; nothing less is ever filed. From the moment one is
found the channel is frozen: nothing is signed in it any more. Filing needs nobody: it is asked for again, ever less
often, until the chain's row shows the claim or the verdict. Rules CASE-1 to CASE-10 of docs/spec/disputes.md.
"""

from collections.abc import Sequence
from itertools import takewhile

from l1.ground.codec import Shape, decoder, encode
from l1.ground.faults import Fault, LocalError, Refused
from l1.ground.fields import Height, Size
from l1.ground.limits import EVIDENCE_BYTES_MAX
from l1.rules.accesses import CHARGES, judge_shown_access, open_entry
from l1.rules.commitment import Commitment, Signed, decode_commitment
from l1.rules.evidence import Charge, Evidence, Overspent, Shown, TwoWords, commitments_in, decode_evidence
from l1.rules.judge import contradict
from l1.rules.log.entries import Access, Entry, Grant
from l1.rules.log.marks import Void
from l1.rules.shown import is_below_resume
from l1.rules.state import Channel as L1Channel
from l1.rules.state import Claim
from l1.rules.state import Phase as L1Phase
from l1.rules.transactions import Report
from l2.protocol.channel import Channel, commitment_at
from l2.protocol.doubt import may_be_void
from l2.protocol.events import Charged, Effect, Froze, Submit
from l2.protocol.evidence import build_access, build_fork
from l2.protocol.phases import Cue
from l2.protocol.rows import Rows, case_key
from l2.protocol.state_rows import move

__all__ = [
    "Case",
    "Misconduct",
    "check_shown",
    "check_words",
    "decode_case",
    "ending_of",
    "file_cases",
    "is_denied",
    "keep_case",
    "overspent",
    "read_cases",
    "showable",
    "void_accesses",
]

CASES_MAX = 64  # of a channel: one is enough to take the bond, and the channel is frozen by the first
AGAIN_BLOCKS = 10  # first; doubled each time, so that a case which the chain will not take costs little


class Case(Shape, frozen=True):
    """What was found: the charge, the chain's height then, a sentence for people, and the canonical evidence."""

    number: Size
    charge: int
    height: Height
    detail: str
    evidence: bytes


decode_case = decoder(Case, bytes_max=EVIDENCE_BYTES_MAX + 1_024, what="case")


class Misconduct(Refused):
    """A fault of the peer that its own signatures prove."""

    def __init__(self, fault: Fault, detail: str, charge: Charge, evidence: Evidence) -> None:
        super().__init__(fault, detail)
        self.charge = charge
        self.evidence = evidence


# -- finding ----------------------------------------------------------------------------------------------------


def check_words(channel: Channel, signed: Signed, commitment: Commitment) -> None:
    """[CASE-1] Compare the peer's words with those that we hold. Raises `Misconduct`.

    [CASE-2] Words from below a resume that we gave are void, and showing them would be ours to pay for.
    """
    if _proves_nothing(channel, commitment):
        return
    newest = channel.peer.commitment
    if newest is not None and contradict(newest, commitment):
        held = channel.peer.signed
    else:
        held = commitment_at(channel, 1 - channel.side, commitment.size)
        held = None if held is None or not contradict(decode_commitment(held.body), commitment) else held
    if held is not None:
        detail = f"the peer signed two things at {commitment.size} entries that cannot both be true"
        raise Misconduct(Fault.EQUIVOCATION, detail, Charge.EQUIVOCATION, TwoWords(first=held, second=signed))


def _proves_nothing(channel: Channel, commitment: Commitment) -> bool:
    """[CASE-2], [START-10] Whether a `resume` that we gave, or may have given, makes the words void."""
    return commitment.height < channel.row.peer_floor or may_be_void(channel, commitment)


def check_shown(channel: Channel, signed: Signed, commitment: Commitment, shown: Shown) -> None:
    """[CASE-10] Compare an entry of the peer's log, proved in a tree that the peer signed for, with the one that we
    hold at that index. Raises `Misconduct`; what is not proved there says nothing."""
    held, peer = channel.peer.signed, 1 - channel.side
    if _proves_nothing(channel, commitment) or held is None or shown.index >= channel.peer.size:
        return
    try:
        open_entry(shown, commitment.head)
    except Refused:
        return
    evidence = build_fork((held, signed), shown.index, channel.readers[peer], shown)
    if evidence.leaves[0] != evidence.leaves[1]:
        detail = f"the peer signed two logs that differ at entry {shown.index}"
        raise Misconduct(Fault.EQUIVOCATION, detail, Charge.EQUIVOCATION, evidence)


def overspent(channel: Channel, signed: Signed, commitment: Commitment) -> Misconduct:
    """[CASE-3] The refusal of words that spend what is not there."""
    ours = commitment_at(channel, channel.side, commitment.seen_size)
    evidence = Overspent(commitment=signed, peer=ours)
    detail = "it spends more than its deposit and what it was paid"
    return Misconduct(Fault.NOT_COVERED, detail, Charge.OVERSPEND, evidence)


def void_accesses(
    channel: Channel, signed: Signed, first: int, entries: Sequence[Entry], voids: Sequence[tuple[int, Void]]
) -> list[Effect]:
    """[CASE-4] The first access of a batch that the fold calls void and that the chain would punish.

    Others (an emergency after its end, an access to a void grant) are void, and that is all. Nor is anything charged by
    words that may be void [START-10].
    """
    if may_be_void(channel, decode_commitment(signed.body)):
        return []
    for index, reason in voids:
        entry = entries[index - first]
        if not isinstance(entry, Access) or reason not in CHARGES:
            continue
        try:
            evidence = build_access(channel.readers, signed, index, reason, ending_of(channel, entry, reason))
            charge = judge_shown_access(evidence, decode_commitment(signed.body))
        except (LocalError, Refused):
            continue
        return keep_case(channel, charge, evidence, f"access {index} of the peer's log: {charge.name.lower()}")
    return []


def ending_of(channel: Channel, access: Access, reason: Void) -> int | None:
    """Where our log ended what the access names."""
    endings = channel.fold.logs[channel.side].endings
    if reason is Void.ENDED:
        return endings[access.grant]
    if reason is Void.CONSENT_WITHDRAWN:
        grant, _ = channel.readers[channel.side].entry(access.grant)
        assert isinstance(grant, Grant)
        assert grant.consent is not None
        return endings[grant.consent]
    return None


def is_denied(channel: Channel, *shown: Signed) -> bool:
    """[WATCH-5] Whether some of these words of the peer are void by a `resume` on the chain: one that we gave, even if
    our disk forgot it. Showing them would cost us our bond (RESUME-6)."""
    side = 1 - channel.side
    if channel.l1 is None:
        return False
    said = [decode_commitment(signed.body) for signed in shown]
    return any(each.side == side and is_below_resume(channel.l1.sides[side], each.size, each.height) for each in said)


def showable(channel: Channel) -> Signed | None:
    """The newest words of the peer that may be shown; [START-10] those that our disk held before, if newer ones may be
    void."""
    newest, said = channel.peer.signed, channel.peer.commitment
    if said is not None and may_be_void(channel, said):
        newest = commitment_at(channel, 1 - channel.side, channel.trusted or 0)
    return None if newest is None or is_denied(channel, newest) else newest


# -- keeping ----------------------------------------------------------------------------------------------------


def keep_case(
    channel: Channel, charge: Charge, evidence: Evidence, detail: str, fault: Fault = Fault.MISCONDUCT
) -> list[Effect]:
    """[CASE-5] Durable, then told; and nothing is signed from now on."""
    effects: list[Effect] = []
    kept, written = read_cases(channel.rows), encode(evidence)
    if len(kept) < CASES_MAX and all(case.evidence != written for case in kept):
        case = Case(number=len(kept), charge=int(charge), height=channel.height, detail=detail, evidence=written)
        effects += [channel.persist([(case_key(case.number), encode(case))])]
        effects += [Charged(case.number, charge, evidence, detail)]
    moved = move(channel, Cue.PEER_FAULT, detail)
    effects += [Froze(fault, detail)] if moved is None else [moved, Froze(fault, detail)]
    return effects + file_cases(channel)


def read_cases(rows: Rows) -> list[Case]:
    """The cases of a channel, oldest first. Raises `Refused` for damaged rows."""
    found = takewhile(lambda row: row is not None, (rows.get(case_key(number)) for number in range(CASES_MAX)))
    return [decode_case(row) for row in found if row is not None]


# -- filing -----------------------------------------------------------------------------------------------------


def file_cases(channel: Channel) -> list[Effect]:
    """[CASE-6] Report what the chain does not know yet, if it can still be reported."""
    row = channel.l1
    if row is None or channel.height < channel.report_again_at or not _may_report(channel, row):
        return []
    for case in sorted(read_cases(channel.rows), key=lambda case: case.charge in _WAITING):
        evidence = decode_evidence(case.evidence)
        waits = case.charge in _WAITING and _is_waiting(row, 1 - channel.side)
        if waits or is_denied(channel, *commitments_in(evidence)):
            continue
        channel.report_pause = 2 * channel.report_pause or AGAIN_BLOCKS
        channel.report_again_at = channel.height + channel.report_pause
        return [Submit(Report(channel=channel.id, evidence=evidence), f"case {case.number}: {case.detail}")]
    return []


_WAITING = (Charge.EQUIVOCATION, Charge.OVERSPEND)


def _may_report(channel: Channel, row: L1Channel) -> bool:
    in_time = row.phase == L1Phase.OPEN or (row.phase == L1Phase.CLOSING and channel.clock_ms < row.closes_at_ms)
    return in_time and not row.sides[1 - channel.side].guilty


def _is_waiting(row: L1Channel, side: int) -> bool:
    return any(isinstance(claim, Claim) and claim.side == side for claim in row.claims)
