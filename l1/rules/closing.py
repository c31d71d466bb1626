"""How a channel ends: together, or alone with a window in which anyone may show what is newer, and who gets what.

Rules CLOSE-1 to CLOSE-12 of docs/spec/chain.md.
"""

from msgspec.structs import replace

from l1.ground.faults import Fault, require
from l1.ground.signing import Context
from l1.rules.accounts import Asking, give
from l1.rules.commitment import Commitment, Signed, decode_commitment, open_closing, other
from l1.rules.disputes import asks_for_side, claims_until_ms, decide_due, forfeits_by_showing
from l1.rules.phases import Cue, after
from l1.rules.shown import (
    acting_side,
    channel_key_of,
    check_window_open,
    find_channel,
    open_shown,
    raise_spent,
    with_side,
)
from l1.rules.state import Channel, Draft, Phase
from l1.rules.towers import rewarded, unrewarded
from l1.rules.transactions import Challenge, Close, CloseTogether, Settle

__all__ = ["challenge", "close_alone", "close_together", "payouts", "settle"]


def close_together(draft: Draft, asking: Asking, action: CloseTogether) -> None:
    """[CLOSE-1] Both signed the same two final commitments: paid out in this block, and claims are waived."""
    channel = find_channel(draft, action.channel)
    after(channel.phase, Cue.CLOSE_TOGETHER)
    for side in (0, 1):
        key = channel_key_of(draft, channel, side, action.closings[side].key, asking)
        open_closing(action.closings[side], Context(chain=asking.chain, channel=channel.id), key, action.finals)
        final = _open_newest(draft, channel, action.finals[side], side, asking)
        assert final is not None
        channel = with_side(
            channel, side, posted=final.head, posted_height=final.height, spent=final.spent, seen_size=final.seen_size
        )
    _pay_out(draft, unrewarded(replace(channel, stale=False, together=True, claims=())))


def close_alone(draft: Draft, asking: Asking, action: Close) -> None:
    """[CLOSE-2] The asking hospital posts the newest pair it holds; [CLOSE-7] a second close is a challenge."""
    channel = find_channel(draft, action.channel)
    after(channel.phase, Cue.CLOSE_ALONE)
    side = acting_side(draft, channel, asking)
    if action.peer is not None and forfeits_by_showing(draft, channel, asking, (action.peer,)):
        return
    own = _open_newest(draft, channel, action.own, side, asking)
    peer = _open_newest(draft, channel, action.peer, other(side), asking)
    if channel.phase == Phase.OPEN:
        draft.put_channel(_begin_closing(channel, side, own, peer, lost=action.lost, clock_ms=asking.clock_ms))
        return
    check_window_open(channel, asking)
    shown = channel
    for commitment in (own, peer):
        shown = shown if commitment is None else _show(shown, commitment, by=side)
    require(shown != channel, Fault.EVIDENCE_PROVES_NOTHING, "the second close shows nothing newer")
    draft.put_channel(shown)


def challenge(draft: Draft, asking: Asking, action: Challenge) -> None:
    """[CLOSE-6] Anyone shows a commitment that is newer, or spends more, than what was shown."""
    channel = find_channel(draft, action.channel)
    after(channel.phase, Cue.CHALLENGE)
    check_window_open(channel, asking)
    own = decode_commitment(action.commitment.body).side == action.side
    require(own, Fault.EVIDENCE_PROVES_NOTHING, "the commitment is of the other side")
    if forfeits_by_showing(draft, channel, asking, (action.commitment,)):
        return
    commitment = open_shown(draft, channel, action.commitment, asking)
    shown = _show(channel, commitment, by=asks_for_side(draft, channel, asking))
    require(shown != channel, Fault.EVIDENCE_PROVES_NOTHING, "the commitment is no newer than what was shown")
    if shown.stale and not channel.stale:
        shown = rewarded(draft, shown, asking.account)
    draft.put_channel(shown)


def settle(draft: Draft, asking: Asking, action: Settle) -> None:
    """[CLOSE-9] Anyone ends a channel whose windows are over, or decides what is due in an open one."""
    channel = find_channel(draft, action.channel)
    decided = decide_due(draft, channel, asking.clock_ms)
    if channel.phase == Phase.OPEN:
        after(channel.phase, Cue.DECIDE)
        require(decided != channel, Fault.WINDOW_OPEN, "no claim in this channel is due")
        draft.put_channel(decided)
        return
    after(channel.phase, Cue.SETTLE)
    left_ms = max(channel.closes_at_ms, claims_until_ms(channel)) - asking.clock_ms
    require(left_ms <= 0, Fault.WINDOW_OPEN, f"the window is open for {left_ms} ms more")
    _pay_out(draft, decided)


def payouts(channel: Channel) -> tuple[int, int]:
    """[CLOSE-10, 11] What each side gets if the channel ends as it stands; the rest is the tower's reward.

    Overspending is clamped, never wraps.
    """
    first, second = channel.sides
    both = first.deposit + second.deposit
    share = min(max(first.deposit - first.spent + second.spent, 0), both)
    bonds = [first.bond, second.bond]
    if channel.stale:
        assert channel.closer is not None
        bonds[other(channel.closer)] += bonds[channel.closer] - channel.reward
        bonds[channel.closer] = 0
    return share + bonds[0], both - share + bonds[1]


def _pay_out(draft: Draft, channel: Channel) -> None:
    for side, amount in enumerate(payouts(channel)):
        give(draft, channel.opening.hospitals[side], amount)
        channel = with_side(channel, side, paid_out=amount)
    if channel.tower is not None:
        give(draft, channel.tower, channel.reward)
    draft.put_channel(replace(channel, phase=Phase.SETTLED))


def _open_newest(draft: Draft, channel: Channel, signed: Signed | None, side: int, asking: Asking) -> Commitment | None:
    """[CLOSE-4] The side's commitment, no older than what is settled. None stays None."""
    if signed is None:
        return None
    commitment = open_shown(draft, channel, signed, asking)
    require(commitment.side == side, Fault.EVIDENCE_PROVES_NOTHING, f"the commitment is not of side {side}")
    settled = channel.sides[side].settled
    require(commitment.size >= settled.size, Fault.GOES_BACK, f"side {side} has settled {settled.size} entries")
    same_log = commitment.size > settled.size or commitment.root == settled.root
    require(same_log, Fault.EQUIVOCATION, f"side {side} signed another root at its settled size")
    return commitment


def _begin_closing(
    channel: Channel, side: int, own: Commitment | None, peer: Commitment | None, *, lost: bool, clock_ms: int
) -> Channel:
    require(not (lost and own), Fault.OUT_OF_BOUNDS, "who closes lost posts no commitment of its own")
    for each in (0, 1):
        channel = with_side(channel, each, posted=channel.sides[each].settled)
    for commitment in (own, peer):
        channel = channel if commitment is None else _raise(channel, commitment, by=side)
    for each, state in enumerate(channel.sides):
        # [CLOSE-5] Only the pair that the closer posts is compared: a `seen` that the peer never signed would
        # otherwise keep an honest side from closing. A lost closer cannot know how far its own log had come.
        covered = state.posted.size >= channel.sides[other(each)].seen_size
        require(covered or (lost and each == side), Fault.GOES_BACK, f"side {each} was shown to have signed more")
    return replace(
        channel,
        phase=Phase.CLOSING,
        closer=side,
        lost=lost,
        closed_size=channel.sides[side].posted.size,
        closes_at_ms=clock_ms + channel.opening.window_ms * (2 if lost else 1),
    )


def _show(channel: Channel, commitment: Commitment, *, by: int | None) -> Channel:
    """[CLOSE-8] The channel after a commitment was shown in the window: unchanged if it says nothing new."""
    newer_than_closed = commitment.side == channel.closer and commitment.size > channel.closed_size
    stale = channel.stale or (newer_than_closed and not channel.lost)
    return replace(_raise(channel, commitment, by=by), stale=stale)


def _raise(channel: Channel, commitment: Commitment, *, by: int | None) -> Channel:
    """`by` is the side that shows it; None for anybody else."""
    channel = raise_spent(channel, commitment)
    state = channel.sides[commitment.side]
    newer = commitment.size > state.posted.size
    return with_side(
        channel,
        commitment.side,
        posted=commitment.head if newer else state.posted,
        posted_height=commitment.height if newer else state.posted_height,
        posted_by_peer=by == other(commitment.side) if newer else state.posted_by_peer,
        seen_size=commitment.seen_size if newer else state.seen_size,
    )
