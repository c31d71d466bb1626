"""What an operator asks about disputes: the cases we keep, how the chain stands to them, and filing one by hand.

Finding, keeping and filing by itself is the core's (`l2.protocol.cases`); this shows it, and builds evidence out of
stored logs where somebody asks for it.
"""

from typing import Literal

from l1.ground.codec import encode
from l1.ground.faults import Fault, LocalError, Refused
from l1.rules.accesses import CHARGES, judge_shown_access
from l1.rules.commitment import decode_commitment
from l1.rules.evidence import Charge, Shown, decode_evidence
from l1.rules.log.entries import Access
from l1.rules.log.marks import Void
from l1.rules.state import Channel as L1Channel
from l1.rules.state import Claim
from l1.rules.state import Phase as L1Phase
from l1.rules.transactions import Report
from l2.desk.watch_words import CaseFiled, CaseProof, CaseView, Quarrel
from l2.node.hospital import Hospital
from l2.node.keeper import Keeper
from l2.protocol.answers import ask_secret
from l2.protocol.cases import Case, ending_of, read_cases
from l2.protocol.channel import Channel
from l2.protocol.events import WordsSeen
from l2.protocol.evidence import build_access
from l2.protocol.proofs import EntryProof
from l2.protocol.rows import void_key

__all__ = ["case_views", "demand_release", "file_case", "learn", "prove_access", "quarrels", "show_case"]

SEND_S = 60.0

Stand = Literal["to be reported", "claimed", "decided", "too late"]


def charge_name(charge: int) -> str:
    return Charge(charge).name.lower().replace("_", " ")


def case_views(hospital: Hospital) -> list[CaseView]:
    """Every case of every channel."""
    return [_view(hospital, keeper, case) for keeper in hospital.keepers.values() for case in _cases(hospital, keeper)]


def _cases(hospital: Hospital, keeper: Keeper) -> list[Case]:
    return read_cases(hospital.store.rows(keeper.channel.id))


def _view(hospital: Hospital, keeper: Keeper, case: Case) -> CaseView:
    peer = hospital.peer_of(keeper)
    registered = hospital.registry.get(peer)
    return CaseView(
        channel=keeper.channel.id.hex(),
        peer=peer.hex(),
        peer_name="" if registered is None else registered.name,
        number=case.number,
        charge=charge_name(case.charge),
        detail=case.detail,
        height=case.height,
        bytes=len(case.evidence),
        stand=_stand(keeper.channel),
    )


def _stand(channel: Channel) -> Stand:
    row = channel.l1
    if row is None:
        return "to be reported"
    peer = 1 - channel.side
    if row.sides[peer].guilty:
        return "decided"
    if any(isinstance(claim, Claim) and claim.side == peer for claim in row.claims):
        return "claimed"
    open_still = row.phase == L1Phase.OPEN or (row.phase == L1Phase.CLOSING and channel.clock_ms < row.closes_at_ms)
    return "to be reported" if open_still else "too late"


def show_case(hospital: Hospital, channel: bytes, number: int) -> CaseProof:
    """Raises `LocalError` where there is no such case."""
    case = _case(hospital, channel, number)
    return CaseProof(channel=channel.hex(), charge=charge_name(case.charge), evidence=case.evidence.hex())


def _case(hospital: Hospital, channel: bytes, number: int) -> Case:
    cases = _cases(hospital, hospital.keeper(channel))
    if number >= len(cases):
        raise LocalError(f"the channel has {len(cases)} cases, numbered from 0", "See `interward dispute list`.")
    return cases[number]


async def file_case(hospital: Hospital, channel: bytes, number: int) -> CaseFiled:
    """Report a case now. Raises `Refused` with the chain's fault: it may have been reported already."""
    case = _case(hospital, channel, number)
    action = Report(channel=channel, evidence=decode_evidence(case.evidence))
    included = await hospital.ask_chain(action, SEND_S)
    return CaseFiled(height=included.height)


async def demand_release(hospital: Hospital, channel: bytes, receipt: int) -> CaseFiled:
    """Have the chain demand the secret that our receipt is for. Unanswered within a window, the peer forfeits."""
    submit = ask_secret(hospital.keeper(channel).channel, receipt)
    included = await hospital.ask_chain(submit.action, SEND_S)
    return CaseFiled(height=included.height)


async def learn(hospital: Hospital, proof: EntryProof) -> list[CaseView]:
    """[CASE-10] Compare what the peer signed, as an auditor or another hospital was shown it, with what we hold. The
    cases that it made, durable. Raises `Refused` (UNKNOWN_CHANNEL)."""
    keeper = hospital.keeper(proof.channel)
    before = len(_cases(hospital, keeper))
    shown = Shown(index=proof.index, public=proof.public, private=proof.private, path=proof.inclusion)
    for signed, entry in ((proof.commitment, shown), (proof.acknowledgement, None), (proof.anchor, None)):
        if signed is not None:
            await keeper.ask(WordsSeen(signed, entry))
    found = len(read_cases(keeper.channel.rows))
    await keeper.wait_until(lambda _: len(_cases(hospital, keeper)) >= found, SEND_S, "writing the case")
    return [_view(hospital, keeper, case) for case in _cases(hospital, keeper)[before:]]


def prove_access(hospital: Hospital, channel: bytes, index: int) -> CaseProof:
    """Evidence out of the stored logs that the peer's access at this index is one that the chain punishes."""
    held = hospital.keeper(channel).channel
    peer = 1 - held.side
    if index >= held.peer.size:
        raise LocalError(f"the peer's log has {held.peer.size} entries", "See `interward audit log`.")
    entry, _ = held.readers[peer].entry(index)
    why = hospital.store.rows(channel).get(void_key(peer, index))
    reason = None if why is None else Void(why[0])
    if not isinstance(entry, Access) or reason not in CHARGES:
        raise Refused(Fault.EVIDENCE_PROVES_NOTHING, "the fold finds nothing that the chain would punish in that entry")
    assert reason is not None
    signed = held.peer.signed
    assert signed is not None, "a log with entries is signed"
    evidence = build_access(held.readers, signed, index, reason, ending_of(held, entry, reason))
    charge = judge_shown_access(evidence, decode_commitment(signed.body))
    return CaseProof(channel=channel.hex(), charge=charge_name(charge), evidence=encode(evidence).hex())


def quarrels(keeper: Keeper) -> list[Quarrel]:
    """How the chain stands to both sides of a channel: ours first."""
    row = keeper.channel.l1
    if row is None:
        return []
    return [_quarrel(keeper, row, side) for side in (keeper.channel.side, 1 - keeper.channel.side)]


def _quarrel(keeper: Keeper, row: L1Channel, side: int) -> Quarrel:
    state = row.sides[side]
    claims = [
        (charge_name(claim.charge if isinstance(claim, Claim) else Charge.KEPT_BACK_RELEASE), claim.until_ms)
        for claim in row.claims
        if claim.side == side
    ]
    return Quarrel(
        channel=row.id.hex(),
        side="own" if side == keeper.channel.side else "peer",
        hospital=row.opening.hospitals[side].hex(),
        phase=L1Phase(row.phase).name.lower(),
        bond=state.bond,
        guilty=charge_name(state.guilty) if state.guilty else None,
        stale=row.stale and row.closer == side,
        claims=claims,
    )
