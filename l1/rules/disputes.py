"""Disputes: what follows from a verdict. Reports, demands and their answers, and who gets the bond.

Whether somebody is guilty is `l1.rules.judge`'s to say. A verdict that need not wait moves the bond at once; one that
waits stands in the channel's row as a claim, until its window is over or a resume lifts it. Rules DISPUTE-1 to
DISPUTE-9 and DEMAND-1 to DEMAND-6 of docs/spec/disputes.md.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import assert_never

from msgspec.structs import replace

from l1.ground.faults import Fault, Refused, require
from l1.ground.limits import DEMANDS_WAITING_MAX
from l1.ground.signing import Context
from l1.rules.accesses import open_hidden
from l1.rules.accounts import Asking, give, hospital_of
from l1.rules.commitment import Signed, decode_commitment, open_commitment, other
from l1.rules.evidence import Charge, Shown, commitments_in
from l1.rules.judge import Guilty, Unproven, judge
from l1.rules.log.entries import Grant, Pay, Receipt, Revoke, Withdraw
from l1.rules.phases import Cue, after
from l1.rules.shown import (
    acting_side,
    channel_key_of,
    check_window_open,
    court_of,
    find_channel,
    is_below_resume,
    open_shown,
    raise_spent,
    with_side,
)
from l1.rules.state import Channel, Claim, Demanded, Draft, Phase
from l1.rules.towers import reward_of, unrewarded
from l1.rules.transactions import CHANNEL, ROOT, Demand, Ended, Report, Reveal, Secret

__all__ = [
    "asks_for_side",
    "claims_until_ms",
    "decide_due",
    "demand",
    "forfeits_by_showing",
    "lift_void",
    "report",
    "reveal",
]


def report(draft: Draft, asking: Asking, action: Report) -> None:
    """[DISPUTE-1] Anyone proves misconduct. [DISPUTE-2] A verdict that need not wait moves the bond in this block."""
    channel = _find_open(draft, asking, action.channel, Cue.REPORT)
    if forfeits_by_showing(draft, channel, asking, commitments_in(action.evidence)):
        return
    match judge(action.evidence, court_of(draft, channel, asking), asking.clock_ms):
        case Unproven(fault, detail):
            raise Refused(fault, detail)
        case Guilty() as verdict:
            draft.put_channel(_convict(draft, asking, channel, verdict))


def _find_open(draft: Draft, asking: Asking, channel_id: bytes, cue: Cue) -> Channel:
    """The channel, its due claims decided; while it closes, only within the window."""
    channel = find_channel(draft, channel_id)
    if after(channel.phase, cue) == Phase.CLOSING:
        check_window_open(channel, asking)
    return decide_due(draft, channel, asking.clock_ms)


def _convict(draft: Draft, asking: Asking, channel: Channel, verdict: Guilty) -> Channel:
    side = verdict.side
    require(not channel.sides[side].guilty, Fault.ALREADY_DONE, f"side {side} has forfeited its bond already")
    tower, reward = reward_of(draft, channel, side, asking.account)
    if not verdict.waits:
        return _forfeit(draft, channel, side, verdict.charge, tower, reward)
    waiting = any(isinstance(claim, Claim) and claim.side == side for claim in channel.claims)
    require(not waiting, Fault.ALREADY_DONE, f"a claim against side {side} waits for its window already")
    if verdict.charge is Charge.EQUIVOCATION:
        channel = _drop_overspend(channel, other(side), asking.clock_ms)
    claim = Claim(
        charge=verdict.charge,
        side=side,
        until_ms=asking.clock_ms + channel.opening.window_ms,
        words=verdict.words,
        by_peer=asks_for_side(draft, channel, asking) == other(side),
        tower=tower,
        reward=reward,
    )
    return replace(channel, claims=(*channel.claims, claim))


def _drop_overspend(channel: Channel, side: int, clock_ms: int) -> Channel:
    """[DISPUTE-5] Who signed two totals at one head cannot charge the other with having believed one of them."""
    kept = tuple(
        claim
        for claim in channel.claims
        if not (isinstance(claim, Claim) and claim.side == side and claim.charge == Charge.OVERSPEND)
    )
    return _window_anew(replace(channel, claims=kept), clock_ms) if kept != channel.claims else channel


def _window_anew(channel: Channel, clock_ms: int) -> Channel:
    """What was lifted may have covered better evidence, which can still be shown."""
    if channel.phase != Phase.CLOSING:
        return channel
    return replace(channel, closes_at_ms=max(channel.closes_at_ms, clock_ms + channel.opening.window_ms))


def _forfeit(
    draft: Draft, channel: Channel, side: int, charge: Charge, tower: bytes | None = None, reward: int = 0
) -> Channel:
    """[DISPUTE-3] The guilty side's bond goes to the other, less its watchtower's share. The caller puts the row.

    [DISPUTE-4] A side forfeits once: what else is claimed against it falls.
    """
    bond = channel.sides[side].bond
    assert reward <= bond
    give(draft, channel.opening.hospitals[other(side)], bond - reward)
    if tower is not None:
        give(draft, tower, reward)
    kept = tuple(claim for claim in channel.claims if claim.side != side)
    channel = with_side(replace(channel, claims=kept), side, bond=0, guilty=int(charge))
    return unrewarded(channel) if channel.stale and channel.closer == side else channel


def claims_until_ms(channel: Channel) -> int:
    """When the last of the waiting claims can be decided; 0 if none waits."""
    return max((claim.until_ms for claim in channel.claims), default=0)


def decide_due(draft: Draft, channel: Channel, clock_ms: int) -> Channel:
    """[DISPUTE-6] The channel with every claim decided whose window is over, oldest first. The caller puts the row."""
    for claim in channel.claims:
        if claim.until_ms > clock_ms or channel.sides[claim.side].guilty:
            continue
        match claim:
            case Claim():
                channel = _forfeit(draft, channel, claim.side, Charge(claim.charge), claim.tower, claim.reward)
            case Demanded():
                channel = _forfeit(draft, channel, claim.side, Charge.KEPT_BACK_RELEASE)
            case _:
                assert_never(claim)
    return channel


# -- what a resume voids ----------------------------------------------------------------------------------------


def lift_void(draft: Draft, channel: Channel, side: int, clock_ms: int) -> Channel:
    """[RESUME-4] What the side's newest resume voids counts no more, and the window begins anew; [RESUME-5] a peer
    that itself showed it forfeits."""
    state = channel.sides[side]
    posted_void = is_below_resume(state, state.posted.size, state.posted_height)
    spent_void = is_below_resume(state, state.spent_size, state.spent_height)
    lifted = [
        claim
        for claim in channel.claims
        if isinstance(claim, Claim)
        and claim.side == side
        and any(is_below_resume(state, *word) for word in claim.words)
    ]
    lied = (posted_void and state.posted_by_peer) or any(claim.by_peer for claim in lifted)
    if not (posted_void or spent_void or lifted):
        return channel
    if posted_void:
        channel = with_side(channel, side, posted=state.settled, posted_height=0, posted_by_peer=False, seen_size=0)
        if channel.closer == side:
            channel = unrewarded(replace(channel, stale=False))
    if spent_void:
        channel = with_side(channel, side, spent=state.settled_spent, spent_size=0, spent_height=0)
    channel = replace(channel, claims=tuple(claim for claim in channel.claims if claim not in lifted))
    channel = _window_anew(channel, clock_ms)
    if lied and not channel.sides[other(side)].guilty:
        return _forfeit(draft, channel, other(side), Charge.LYING_RESUME)
    return channel


def forfeits_by_showing(draft: Draft, channel: Channel, asking: Asking, shown: Sequence[Signed]) -> bool:
    """[RESUME-6] A side that shows, by its own key, words of the other that its own `resume` denies, forfeits.

    Nothing else comes of what it asked. True if that is what happened.
    """
    liar = asks_for_side(draft, channel, asking)
    if liar is None or channel.sides[liar].guilty:
        return False
    for signed in shown:
        commitment = decode_commitment(signed.body)
        victim = other(liar)
        void = is_below_resume(channel.sides[victim], commitment.size, commitment.height)
        if commitment.side == victim and void:
            key = channel_key_of(draft, channel, victim, signed.key, asking)
            open_commitment(signed, Context(chain=asking.chain, channel=channel.id), key)
            draft.put_channel(_forfeit(draft, channel, liar, Charge.LYING_RESUME))
            return True
    return False


def asks_for_side(draft: Draft, channel: Channel, asking: Asking) -> int | None:
    """Which side itself asks, by a root or channel key that is not revoked: a thief of an old key speaks for none."""
    found = hospital_of(draft, asking.account)
    if found is None or found[0].id not in channel.opening.hospitals:
        return None
    key = found[1]
    acts = key.kind in (ROOT, CHANNEL) and key.revoked_at_ms is None and key.valid_from_ms <= asking.clock_ms
    return channel.opening.hospitals.index(found[0].id) if acts else None


# -- a release that is kept back --------------------------------------------------------------------------------


def demand(draft: Draft, asking: Asking, action: Demand) -> None:
    """[DEMAND-1] The recipient shows its receipt, its payment and the grant, and has the chain ask for the secret."""
    channel = _find_open(draft, asking, action.channel, Cue.DEMAND)
    recipient = acting_side(draft, channel, asking)
    custodian = other(recipient)
    require(not channel.sides[custodian].guilty, Fault.ALREADY_DONE, "the custodian has forfeited its bond already")
    own = open_shown(draft, channel, action.commitment, asking)
    theirs = open_shown(draft, channel, action.custodian, asking)
    sides = (own.side, theirs.side) == (recipient, custodian)
    require(sides, Fault.EVIDENCE_PROVES_NOTHING, "a recipient shows its own commitment and the custodian's")
    receipt: Receipt = open_hidden(action.receipt, own.head, Receipt)
    grant: Grant = open_hidden(action.grant, theirs.head, Grant)
    require(receipt.grant == action.grant.index, Fault.EVIDENCE_PROVES_NOTHING, "the receipt is for another grant")
    _check_paid(action, own.spent, grant, None if action.pay is None else open_hidden(action.pay, own.head, Pay))
    demanded = Demanded(
        side=custodian,
        until_ms=asking.clock_ms + channel.opening.window_ms,
        grant=action.grant.index,
        consent=grant.consent,
        lock=grant.lock,
    )
    _check_room(channel, demanded)
    channel = replace(channel, claims=(*channel.claims, demanded))
    draft.put_channel(raise_spent(channel, own))


def _check_paid(action: Demand, spent: int, grant: Grant, pay: Pay | None) -> None:
    """[DEMAND-2] As in the fold, a fee is paid by the entry right before the receipt; and it counts from now on."""
    if grant.fee == 0:
        require(pay is None, Fault.SHOWS_TOO_MUCH, "the grant is free")
        return
    right = pay is not None and (pay.grant, pay.amount) == (action.grant.index, grant.fee)
    assert action.pay is not None or not right
    before = action.pay is not None and action.pay.index + 1 == action.receipt.index
    paid = right and before and spent >= grant.fee
    require(paid, Fault.EVIDENCE_PROVES_NOTHING, "the fee is not paid right before the receipt")


def _check_room(channel: Channel, wanted: Demanded) -> None:
    """[DEMAND-3] One demand a grant at a time, and few at once: one unanswered is enough to forfeit the bond."""
    waiting = [claim for claim in channel.claims if isinstance(claim, Demanded) and claim.side == wanted.side]
    asked = any(claim.grant == wanted.grant for claim in waiting)
    require(not asked, Fault.ALREADY_DONE, "this grant's secret is demanded already")
    room = len(waiting) < DEMANDS_WAITING_MAX
    require(room, Fault.OUT_OF_BOUNDS, f"at most {DEMANDS_WAITING_MAX} demands of a side wait at once")


def reveal(draft: Draft, asking: Asking, action: Reveal) -> None:
    """[DEMAND-4] Anyone answers a demand: by the secret, or by showing that grant or consent ended."""
    channel = find_channel(draft, action.channel)
    after(channel.phase, Cue.REVEAL)
    channel = decide_due(draft, channel, asking.clock_ms)
    asked = next(
        (c for c in channel.claims if isinstance(c, Demanded) and (c.side, c.grant) == (action.side, action.grant)),
        None,
    )
    if asked is None:
        raise Refused(Fault.NOT_DEMANDED, "no demand for this grant waits for an answer")
    match action.answer:
        case Secret(secret=secret):
            opens = sha256(secret).digest() == asked.lock
            require(opens, Fault.BAD_DIGEST, "the secret does not open the grant's lock")
        case Ended(commitment=signed, ending=ending):
            _check_ended(draft, channel, asking, asked, signed, ending)
        case _:
            assert_never(action.answer)
    draft.put_channel(replace(channel, claims=tuple(claim for claim in channel.claims if claim != asked)))


def _check_ended(draft: Draft, channel: Channel, asking: Asking, asked: Demanded, signed: Signed, shown: Shown) -> None:
    """[DEMAND-5] By an entry of the custodian's log, behind what it ends."""
    commitment = open_shown(draft, channel, signed, asking)
    require(commitment.side == asked.side, Fault.EVIDENCE_PROVES_NOTHING, "the commitment is of the other side")
    ending = open_hidden(shown, commitment.head, Revoke, Withdraw)
    ended, target = (ending.grant, asked.grant) if isinstance(ending, Revoke) else (ending.consent, asked.consent)
    ends = ended == target and shown.index > ended
    require(ends, Fault.EVIDENCE_PROVES_NOTHING, "that ends something else")
