from typing import Any

import pytest

from l1.ground.faults import Fault
from l1.rules.state import Phase
from l1.rules.transactions import (
    CHANNEL,
    Challenge,
    ChannelHeads,
    Checkpoint,
    Close,
    Deposit,
    ResumeChannel,
    RevokeKey,
    Settle,
)
from tests.unit.l1.rules.world import WINDOW_MS, World, head_of, refuses

START = (10_000, 10_000)


def _credits(world: World) -> tuple[int, int]:
    return world.credits(world.a), world.credits(world.b)


def _close(world: World, channel: bytes, side: int, *, own: int, peer: int, spent: int = 0) -> Close:
    """`own` and `peer` are sizes; `spent` is the closer's. Each saw the other's."""
    return Close(
        channel=channel,
        own=world.says(channel, side, own, seen=peer, spent=spent),
        peer=world.says(channel, 1 - side, peer, seen=own),
        lost=False,
    )


def _challenge(world: World, channel: bytes, side: int, size: int, **more: Any) -> Challenge:
    return Challenge(channel=channel, side=side, commitment=world.says(channel, side, size, **more))


def _settle(world: World, channel: bytes) -> None:
    world.wait(max(world.channel(channel).closes_at_ms - world.tip.clock_ms, 0))
    world.do(world.registrar, Settle(channel=channel))


@pytest.fixture
def channel(world: World) -> bytes:
    return world.with_channel()


def test_together_pays_out_at_once(world: World, channel: bytes) -> None:
    finals = (world.says(channel, 0, 9, seen=4, spent=300), world.says(channel, 1, 4, seen=9, spent=50))
    world.do(world.registrar, world.together(channel, finals))
    assert _credits(world) == (START[0] - 250, START[1] + 250)
    closed = world.channel(channel)
    assert closed.phase == Phase.SETTLED
    assert closed.together
    assert [side.paid_out for side in closed.sides] == [1_000 - 250 + 100, 500 + 250 + 100]


def test_together_with_empty_logs(world: World, channel: bytes) -> None:
    world.do(world.a.root, world.together(channel, (world.says(channel, 0, 0), world.says(channel, 1, 0))))
    assert _credits(world) == START


def test_together_needs_both_over_the_same_two(world: World, channel: bytes) -> None:
    finals = (world.says(channel, 0, 2, seen=2), world.says(channel, 1, 2, seen=2))
    others = (world.says(channel, 0, 3, seen=2), world.says(channel, 1, 2, seen=2))
    mixed = world.together(channel, finals)
    swapped = type(mixed)(channel=channel, finals=others, closings=mixed.closings)
    with refuses(Fault.BAD_SIGNATURE):
        world.do(world.a.root, swapped)
    crossed = world.together(channel, (finals[1], finals[0]))
    with refuses(Fault.EVIDENCE_PROVES_NOTHING):
        world.do(world.a.root, crossed)


def test_together_waives_a_stale_close(world: World, channel: bytes) -> None:
    world.do(world.a.root, _close(world, channel, 0, own=2, peer=2))
    world.do(world.b.root, _challenge(world, channel, 0, 5))
    assert world.channel(channel).stale
    world.do(
        world.a.root, world.together(channel, (world.says(channel, 0, 5, seen=2), world.says(channel, 1, 2, seen=5)))
    )
    assert _credits(world) == START


def test_alone_waits_for_the_window(world: World, channel: bytes) -> None:
    world.do(world.a.root, _close(world, channel, 0, own=9, peer=4, spent=300))
    closing = world.channel(channel)
    assert (closing.phase, closing.closer, closing.closes_at_ms) == (Phase.CLOSING, 0, world.tip.clock_ms + WINDOW_MS)
    with refuses(Fault.WINDOW_OPEN):
        world.do(world.b.root, Settle(channel=channel))
    _settle(world, channel)
    assert _credits(world) == (START[0] - 300, START[1] + 300)


def test_alone_with_nothing_written(world: World, channel: bytes) -> None:
    world.do(world.b.root, Close(channel=channel, own=None, peer=None, lost=False))
    _settle(world, channel)
    assert _credits(world) == START


def test_a_window_does_not_lapse_while_the_authority_is_away(world: World, channel: bytes) -> None:
    world.do(world.a.root, Close(channel=channel, own=None, peer=None, lost=False))
    world.block(after_ms=86_400_000)
    world.do(world.b.root, _challenge(world, channel, 1, 1))


def test_a_stale_close_costs_the_closer_its_bond(world: World, channel: bytes) -> None:
    world.do(world.a.root, _close(world, channel, 0, own=2, peer=2, spent=10))
    world.do(world.registrar, _challenge(world, channel, 0, 9, seen=4, spent=300))
    assert world.channel(channel).stale
    _settle(world, channel)
    assert _credits(world) == (START[0] - 300 - 100, START[1] + 300 + 100)


def test_showing_the_peers_newer_commitment_is_no_charge(world: World, channel: bytes) -> None:
    world.do(world.a.root, _close(world, channel, 0, own=2, peer=2))
    world.do(world.b.root, _challenge(world, channel, 1, 9, spent=70))
    assert not world.channel(channel).stale
    _settle(world, channel)
    assert _credits(world) == (START[0] + 70, START[1] - 70)


def test_a_second_close_is_a_challenge(world: World, channel: bytes) -> None:
    world.do(world.a.root, _close(world, channel, 0, own=2, peer=2))
    with refuses(Fault.EVIDENCE_PROVES_NOTHING):
        world.do(world.b.root, _close(world, channel, 1, own=2, peer=2))
    world.do(world.b.root, _close(world, channel, 1, own=3, peer=5))
    closing = world.channel(channel)
    assert closing.stale
    assert closing.closer == 0
    assert [side.posted for side in closing.sides] == [head_of(5, "a"), head_of(3, "b")]


def test_the_greatest_spent_counts_even_out_of_an_older_commitment(world: World, channel: bytes) -> None:
    world.do(world.a.root, _close(world, channel, 0, own=9, peer=4, spent=10))
    world.do(world.b.root, _challenge(world, channel, 0, 5, spent=300))
    assert not world.channel(channel).stale
    _settle(world, channel)
    assert _credits(world) == (START[0] - 300, START[1] + 300)


def test_a_challenge_says_something_new(world: World, channel: bytes) -> None:
    world.do(world.a.root, _close(world, channel, 0, own=9, peer=4, spent=10))
    for side, size in ((0, 9), (0, 3), (1, 4)):
        with refuses(Fault.EVIDENCE_PROVES_NOTHING):
            world.do(world.b.root, _challenge(world, channel, side, size))
    with refuses(Fault.EVIDENCE_PROVES_NOTHING):
        commitment = world.says(channel, 0, 12)
        world.do(world.b.root, Challenge(channel=channel, side=1, commitment=commitment))


def test_after_the_window_nothing_is_shown(world: World, channel: bytes) -> None:
    world.do(world.a.root, _close(world, channel, 0, own=2, peer=2))
    world.wait(WINDOW_MS)
    with refuses(Fault.WINDOW_OVER):
        world.do(world.b.root, _challenge(world, channel, 0, 9))
    with refuses(Fault.WINDOW_OVER):
        world.do(world.b.root, _close(world, channel, 1, own=3, peer=5))
    with refuses(Fault.WINDOW_OVER):
        world.do(world.a.root, ResumeChannel(channel=channel, resume=world.resume(channel, 0, 5, 3)))


def test_the_posted_pair_must_cover_each_other(world: World, channel: bytes) -> None:
    own, peer = world.says(channel, 0, 5, seen=3), world.says(channel, 1, 3, seen=5)
    old_peer, old_own = world.says(channel, 1, 2, seen=1), world.says(channel, 0, 4, seen=1)
    for pair in ((own, old_peer), (own, None), (old_own, peer), (None, peer)):
        with refuses(Fault.GOES_BACK):
            world.do(world.a.root, Close(channel=channel, own=pair[0], peer=pair[1], lost=False))
    world.do(world.a.root, Close(channel=channel, own=own, peer=peer, lost=False))


def test_a_lost_closer_waits_twice_and_is_not_stale(world: World, channel: bytes) -> None:
    peer = world.says(channel, 1, 3, seen=5)
    with refuses(Fault.OUT_OF_BOUNDS):
        world.do(world.a.root, Close(channel=channel, own=world.says(channel, 0, 1), peer=peer, lost=True))
    world.do(world.a.root, Close(channel=channel, own=None, peer=peer, lost=True))
    assert world.channel(channel).closes_at_ms == world.tip.clock_ms + 2 * WINDOW_MS
    world.do(world.b.root, _challenge(world, channel, 0, 5, spent=300))
    assert not world.channel(channel).stale
    _settle(world, channel)
    assert _credits(world) == (START[0] - 300, START[1] + 300)


def _checkpointed(world: World, channel: bytes) -> None:
    heads = ChannelHeads(
        channel=channel, commitments=(world.says(channel, 0, 7, seen=3, spent=40), world.says(channel, 1, 3, seen=7))
    )
    world.do(world.a.root, Checkpoint(heads=(heads,)))


def test_no_close_below_the_settled_floor(world: World, channel: bytes) -> None:
    _checkpointed(world, channel)
    with refuses(Fault.GOES_BACK):
        world.do(world.a.root, _close(world, channel, 0, own=6, peer=3))
    with refuses(Fault.GOES_BACK):
        world.do(world.b.root, _close(world, channel, 1, own=3, peer=6))
    forged = world.says(channel, 0, 7, seen=3, log="forged")
    with refuses(Fault.EQUIVOCATION):
        world.do(world.a.root, Close(channel=channel, own=forged, peer=None, lost=False))
    world.do(world.a.root, Close(channel=channel, own=None, peer=None, lost=False))
    assert [side.posted for side in world.channel(channel).sides] == [head_of(7, "a"), head_of(3, "b")]
    _settle(world, channel)
    assert _credits(world) == (START[0] - 40, START[1] + 40)


def test_a_commitment_of_the_peer_that_saw_what_nobody_wrote_keeps_nobody_from_closing(
    world: World, channel: bytes
) -> None:
    # bob acknowledges alice's honest head; alice then settles it by a twin of hers that claims to have seen 999
    twin = world.says(channel, 0, 7, seen=999)
    heads = ChannelHeads(channel=channel, commitments=(twin, world.says(channel, 1, 3, seen=7)))
    world.do(world.a.root, Checkpoint(heads=(heads,)))
    world.do(world.b.root, _close(world, channel, 1, own=3, peer=7))


def test_overspending_is_clamped(world: World, channel: bytes) -> None:
    world.do(world.a.root, _close(world, channel, 0, own=9, peer=4, spent=2**53 - 1))
    _settle(world, channel)
    assert _credits(world) == (START[0] - 1_000, START[1] + 1_000)


def test_only_a_side_closes_and_not_by_a_revoked_key(world: World, channel: bytes) -> None:
    close = Close(channel=channel, own=None, peer=None, lost=False)
    with refuses(Fault.NOT_AUTHORISED):
        world.do(world.registrar, close)
    until_ms = world.tip.clock_ms + 1_000
    world.do(world.a.root, world.new_key(world.a, CHANNEL, "short", until_ms=until_ms))
    world.do(world.a.root, RevokeKey(hospital=world.a.id, number=1, compromised_since_ms=None))
    with refuses(Fault.NOT_AUTHORISED):
        world.do(world.a.channel, close)
    world.wait(5_000)
    world.do(world.a.keys[4], close)  # expired: still closes
    assert world.channel(channel).phase == Phase.CLOSING


def test_a_resume_clears_the_stale_close_that_it_voids_and_opens_the_window_anew(world: World, channel: bytes) -> None:
    height = world.tip.height
    world.do(world.a.root, _close(world, channel, 0, own=5, peer=2))
    world.do(world.b.root, _challenge(world, channel, 0, 8, height=height - 1))
    assert world.channel(channel).stale
    world.do(world.a.root, ResumeChannel(channel=channel, resume=world.resume(channel, 0, 5, height)))
    cleared = world.channel(channel)
    assert not cleared.stale
    assert cleared.closes_at_ms == world.tip.clock_ms + WINDOW_MS
    with refuses(Fault.BELOW_RESUME):
        world.do(world.b.root, _challenge(world, channel, 0, 9, height=height - 1))


def test_a_cheat_cannot_hide_its_stale_close_behind_a_void_commitment(world: World, channel: bytes) -> None:
    height = world.tip.height
    world.do(world.a.root, _close(world, channel, 0, own=2, peer=2))
    world.do(world.a.root, _challenge(world, channel, 0, 8, height=height - 1))
    world.do(world.a.root, ResumeChannel(channel=channel, resume=world.resume(channel, 0, 5, height)))
    world.do(world.b.root, _challenge(world, channel, 0, 6, height=height))
    assert world.channel(channel).stale


def test_a_resume_does_not_clear_what_it_does_not_void(world: World, channel: bytes) -> None:
    height = world.tip.height
    world.do(world.a.root, _close(world, channel, 0, own=2, peer=2))
    world.do(world.b.root, _challenge(world, channel, 0, 8, height=height))
    world.do(world.a.root, ResumeChannel(channel=channel, resume=world.resume(channel, 0, 5, height)))
    assert world.channel(channel).stale


def test_a_channel_that_ended_stays_ended(world: World, channel: bytes) -> None:
    world.do(world.a.root, Close(channel=channel, own=None, peer=None, lost=False))
    with refuses(Fault.WRONG_PHASE):
        world.do(world.a.root, Deposit(channel=channel, amount=1))
    _settle(world, channel)
    for action in (
        Settle(channel=channel),
        Deposit(channel=channel, amount=1),
        _close(world, channel, 0, own=2, peer=2),
        _challenge(world, channel, 0, 9),
        world.together(channel, (world.says(channel, 0, 0), world.says(channel, 1, 0))),
        ResumeChannel(channel=channel, resume=world.resume(channel, 0, 5, 3)),
    ):
        with refuses(Fault.WRONG_PHASE):
            world.do(world.a.root, action)
