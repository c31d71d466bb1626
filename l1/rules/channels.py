"""A channel that is open: opening, deposits, checkpoints, resumes. How one ends is in `l1.rules.closing`.

Rules OPEN-1 to OPEN-6, CHECKPOINT-1 to CHECKPOINT-6, RESUME-1 to RESUME-4 of docs/spec/chain.md.
"""

from collections.abc import Sequence

from l1.ground.codec import encode
from l1.ground.faults import Fault, Refused, require
from l1.ground.limits import VERSION
from l1.ground.signing import Context, Purpose, open_signed
from l1.rules.accounts import Asking, asking_hospital, pay_from, take
from l1.rules.commitment import Commitment, Opening, Signed, channel_id, open_resume, other
from l1.rules.disputes import decide_due, lift_void
from l1.rules.keys import counting_keys, key_counts
from l1.rules.phases import Cue, after
from l1.rules.shown import (
    acting_side,
    channel_key_of,
    check_window_open,
    find_channel,
    hospital_on,
    open_shown,
    raise_spent,
    side_of,
    with_side,
)
from l1.rules.state import Channel, Draft, Hospital, Phase, SideState
from l1.rules.transactions import CHANNEL, ROOT, Checkpoint, Deposit, Open, ResumeChannel

__all__ = ["checkpoint", "deposit", "open_channel", "resume_channel"]


def open_channel(draft: Draft, asking: Asking, action: Open) -> None:
    """[OPEN-1] Both root keys signed the terms; each side's deposit and bond are locked."""
    opening = action.opening
    _check_terms(draft, asking, opening)
    channel = channel_id(opening)
    require(draft.get_channel(channel) is None, Fault.ALREADY_DONE, "a channel of this nonce was opened already")
    for side, hospital_id in enumerate(opening.hospitals):
        hospital = draft.get_hospital(hospital_id)
        if hospital is None:
            raise Refused(Fault.UNKNOWN_HOSPITAL, f"side {side} is not an admitted hospital")
        _check_root_signed(hospital, asking, opening, action.signatures[side])
        take(draft, hospital.id, opening.deposits[side] + opening.bond)
    first, second = (SideState(deposit=amount, bond=opening.bond) for amount in opening.deposits)
    draft.put_channel(
        Channel(
            id=channel,
            opening=opening,
            opened_at=asking.height,
            opened_at_ms=asking.clock_ms,
            phase=Phase.OPEN,
            sides=(first, second),
        )
    )


def _check_terms(draft: Draft, asking: Asking, opening: Opening) -> None:
    """[OPEN-2, 3] Terms meant for this chain, not expired, and inside its parameters."""
    parameters = draft.get_parameters()
    require(opening.version == VERSION, Fault.WRONG_VERSION, f"an opening of version {opening.version}")
    require(opening.chain == asking.chain, Fault.WRONG_CHAIN, "the opening is meant for another chain")
    require(asking.height <= opening.expires, Fault.EXPIRED, f"the opening expired at height {opening.expires}")
    require(len(set(opening.hospitals)) == 2, Fault.OUT_OF_BOUNDS, "a channel has two hospitals")
    in_bounds = parameters.window_ms_min <= opening.window_ms <= parameters.window_ms_max
    require(in_bounds, Fault.OUT_OF_BOUNDS, f"a window of {opening.window_ms} ms is outside the chain's bounds")
    require(opening.bond >= parameters.bond_min, Fault.OUT_OF_BOUNDS, f"the least bond is {parameters.bond_min}")


def _check_root_signed(hospital: Hospital, asking: Asking, opening: Opening, signature: bytes) -> None:
    """[OPEN-4] Signed by any root key of the hospital that counts now."""
    body, context = encode(opening), Context(chain=asking.chain)
    for root in counting_keys(hospital, ROOT, asking.clock_ms):
        try:
            open_signed(root.key, Purpose.OPENING, context, body, signature)
        except Refused:
            continue
        return
    raise Refused(Fault.BAD_SIGNATURE, "the opening is not signed by a root key of each side")


def deposit(draft: Draft, asking: Asking, action: Deposit) -> None:
    """[OPEN-5, 6] Only a side adds, only to its own deposit, and pays from what the asking key may spend."""
    channel = find_channel(draft, action.channel)
    after(channel.phase, Cue.DEPOSIT)
    hospital, key = asking_hospital(draft, asking)
    side = side_of(channel, hospital.id)
    acts = key.kind in (ROOT, CHANNEL) and key_counts(hospital, key.number, key.kind, asking.clock_ms)
    require(acts, Fault.NOT_AUTHORISED, f"key {key.number} does not act for the hospital now")
    require(action.amount > 0, Fault.OUT_OF_BOUNDS, "a deposit of nothing")
    take(draft, pay_from(draft, asking), action.amount)
    draft.put_channel(with_side(channel, side, deposit=channel.sides[side].deposit + action.amount))


def checkpoint(draft: Draft, asking: Asking, action: Checkpoint) -> None:
    """[CHECKPOINT-1] Anyone brings heads that both sides signed; one channel that fails fails the transaction."""
    for heads in action.heads:
        channel = find_channel(draft, heads.channel)
        after(channel.phase, Cue.CHECKPOINT)
        draft.put_channel(_settle_heads(draft, asking, channel, heads.commitments))


def _settle_heads(draft: Draft, asking: Asking, channel: Channel, shown: Sequence[Signed]) -> Channel:
    opened = [(open_shown(draft, channel, signed, asking), signed.key) for signed in shown]
    settled = channel
    signed_by_both = False
    for side in (0, 1):
        acknowledged = {commitment.seen for commitment, _ in opened if commitment.side != side}
        acknowledged.add(channel.sides[side].settled)
        own = [(c, key) for c, key in opened if c.side == side and c.head in acknowledged]
        if own:
            signed_by_both = True
            newest, number = max(own, key=lambda pair: (pair[0].size, pair[1], pair[0].height))
            settled = _settle_head(draft, asking, settled, newest, number)
    require(signed_by_both, Fault.NOT_SETTLED_HEAD, "none of these heads is signed by both sides")
    require(settled != channel, Fault.GOES_BACK, "these heads are no newer than what is settled")
    return settled


def _settle_head(draft: Draft, asking: Asking, channel: Channel, commitment: Commitment, number: int) -> Channel:
    """[CHECKPOINT-3] The floor rises, never falls; [CHECKPOINT-5] and a later key begins to end the earlier ones."""
    side = commitment.side
    state = channel.sides[side]
    if commitment.size < state.settled.size:
        return channel
    same_log = commitment.size > state.settled.size or commitment.root == state.settled.root
    require(same_log, Fault.EQUIVOCATION, f"side {side} signed another root at its settled size")
    # A revoked key must not retire the others: its thief could lock the owner out.
    later = number > state.newest_key and key_counts(
        hospital_on(draft, channel, side), number, CHANNEL, asking.clock_ms
    )
    return with_side(
        raise_spent(channel, commitment),
        side,
        settled=commitment.head,
        settled_height=commitment.height if commitment.size > state.settled.size else state.settled_height,
        settled_spent=max(state.settled_spent, commitment.spent),
        newest_key=number if later else state.newest_key,
        newest_key_at_ms=asking.clock_ms if later else state.newest_key_at_ms,
    )


def resume_channel(draft: Draft, asking: Asking, action: ResumeChannel) -> None:
    """[RESUME-1] The side that resumed shows what its peer signed; [RESUME-4] it clears what it voids."""
    channel = decide_due(draft, find_channel(draft, action.channel), asking.clock_ms)
    side = acting_side(draft, channel, asking)
    if after(channel.phase, Cue.RESUME) == Phase.CLOSING and not any(claim.side == side for claim in channel.claims):
        check_window_open(channel, asking)
    key = channel_key_of(draft, channel, other(side), action.resume.key, asking)
    resume = open_resume(action.resume, Context(chain=asking.chain, channel=channel.id), key)
    state = channel.sides[side]
    require(resume.side == side, Fault.BAD_RESUME, "the resume is for the other side")
    require(resume.height <= asking.height, Fault.BAD_RESUME, "the resume names a height that is not reached yet")
    require(resume.height > state.resume_height, Fault.GOES_BACK, "a resume as new is posted already")
    # [RESUME-2] The peer's disk may have forgotten what both settled before: that stays, and void is what lies beyond.
    forgot = state.settled_height < resume.height
    size = max(resume.size, state.settled.size) if forgot else resume.size
    changed = with_side(channel, side, resume_height=resume.height, resume_size=size)
    draft.put_channel(lift_void(draft, changed, side, asking.clock_ms))
