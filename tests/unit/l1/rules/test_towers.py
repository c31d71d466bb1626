"""Watchtowers on the chain: who names them, what they may, what they earn."""

import pytest

from l1.ground.faults import Fault
from l1.ground.limits import TOWERS_PER_HOSPITAL_MAX
from l1.rules.state import Phase
from l1.rules.touched import touched_by
from l1.rules.transactions import CHANNEL, Challenge, Close, Delegate, ResumeChannel, Settle, Transfer, account_of
from tests.unit.l1.rules.world import World, key_named, refuses

START = 10_000
BOND = 100
TOWER, SECOND = key_named("tower"), key_named("second tower")


def account(key: object = TOWER) -> bytes:
    return account_of(key.public_key)  # type: ignore[attr-defined]


def names(world: World, reward: int | None, *, tower: object = TOWER) -> Delegate:
    """Bob's words: this is my tower."""
    return Delegate(hospital=world.b.id, tower=account(tower), reward=reward)


def closes_stale(world: World, channel: bytes) -> None:
    """Alice posts size 2, though she signed 9."""
    close = Close(channel=channel, own=world.says(channel, 0, 2, seen=2), peer=world.says(channel, 1, 2), lost=False)
    world.do(world.a.root, close)


def newer(world: World, channel: bytes, size: int = 9, height: int = 0) -> Challenge:
    return Challenge(channel=channel, side=0, commitment=world.says(channel, 0, size, seen=2, height=height))


def settles(world: World, channel: bytes) -> None:
    world.wait(max(world.channel(channel).closes_at_ms - world.tip.clock_ms, 0))
    world.do(world.registrar, Settle(channel=channel))


def held(world: World, key: object = TOWER) -> int:
    return world.draft.get_account(account(key)).credits


@pytest.fixture
def channel(world: World) -> bytes:
    return world.with_channel()


def test_a_tower_without_credits_answers_and_earns_its_share(world: World, channel: bytes) -> None:
    world.do(world.b.root, names(world, 250))
    closes_stale(world, channel)
    world.do(TOWER, newer(world, channel))
    settles(world, channel)
    assert held(world) == 25
    assert world.credits(world.b) == START + BOND - 25
    assert world.credits(world.a) == START - BOND
    assert world.channel(channel).sides[1].paid_out == 500 + 2 * BOND - 25


def test_the_first_of_several_towers_earns_and_the_second_does_no_harm(world: World, channel: bytes) -> None:
    world.do(world.b.root, names(world, 100))
    world.do(world.b.root, names(world, 500, tower=SECOND))
    closes_stale(world, channel)
    world.do(SECOND, newer(world, channel, 8))
    with refuses(Fault.EVIDENCE_PROVES_NOTHING):
        world.do(TOWER, newer(world, channel, 8))
    world.do(TOWER, newer(world, channel, 9))  # newer still: it counts, but the charge stood already
    settles(world, channel)
    assert (held(world), held(world, SECOND)) == (0, 50)


def test_nobody_else_earns_by_answering(world: World, channel: bytes) -> None:
    world.do(world.a.root, Delegate(hospital=world.a.id, tower=account(), reward=500))  # the cheat's own tower
    closes_stale(world, channel)
    world.do(TOWER, newer(world, channel))
    settles(world, channel)
    assert held(world) == 0
    assert world.credits(world.b) == START + BOND


def test_showing_what_is_newer_of_an_honest_closers_peer_earns_nothing(world: World, channel: bytes) -> None:
    world.do(world.b.root, names(world, 500))
    close = Close(channel=channel, own=world.says(channel, 0, 2), peer=None, lost=False)
    world.do(world.a.root, close)
    world.do(TOWER, Challenge(channel=channel, side=1, commitment=world.says(channel, 1, 5)))
    settles(world, channel)
    assert held(world) == 0


def test_who_is_named_no_more_earns_nothing_and_what_is_earned_stays(world: World, channel: bytes) -> None:
    world.do(world.b.root, names(world, 500))
    world.do(world.b.root, names(world, None))
    assert world.draft.get_towers(world.b.id) == ()
    with refuses(Fault.ALREADY_DONE):
        world.do(world.b.root, names(world, None))
    world.do(world.b.root, names(world, 500))
    closes_stale(world, channel)
    world.do(TOWER, newer(world, channel))
    world.do(world.b.root, names(world, None))  # too late to cheat the tower
    settles(world, channel)
    assert held(world) == 50


def test_a_tower_has_no_power_over_the_hospital(world: World, channel: bytes) -> None:
    world.do(world.b.root, names(world, 500))
    with refuses(Fault.TOO_FEW_CREDITS):
        world.do(TOWER, Transfer(to=account(), amount=1))
    for action in (Close(channel=channel, own=None, peer=None, lost=False), names(world, 100)):
        with refuses(Fault.NOT_AUTHORISED):
            world.do(TOWER, action)


def test_only_a_root_key_that_counts_names_towers(world: World, channel: bytes) -> None:
    for key in (world.b.channel, world.a.root):
        with refuses(Fault.NOT_AUTHORISED):
            world.do(key, names(world, 100))
    world.do(world.b.root, world.new_key(world.b, CHANNEL, "another"))
    with refuses(Fault.NOT_AUTHORISED):
        world.do(world.b.keys[4], names(world, 100))


def test_a_hospital_has_a_bounded_number_of_towers(world: World, channel: bytes) -> None:
    for number in range(TOWERS_PER_HOSPITAL_MAX):
        world.do(world.b.root, names(world, 100, tower=key_named(f"tower {number}")))
    with refuses(Fault.OUT_OF_BOUNDS):
        world.do(world.b.root, names(world, 100))
    world.do(world.b.root, names(world, 200, tower=key_named("tower 3")))  # a new share is no new tower
    assert sorted(each.reward for each in world.draft.get_towers(world.b.id)) == [100] * 7 + [200]


def test_a_lifted_charge_earns_nothing(world: World, channel: bytes) -> None:
    world.do(world.b.root, names(world, 500))
    height = world.tip.height
    closes_stale(world, channel)
    world.do(TOWER, newer(world, channel, height=height - 1))
    assert world.channel(channel).reward == 50
    world.do(world.a.root, ResumeChannel(channel=channel, resume=world.resume(channel, 0, 5, height)))
    assert (world.channel(channel).tower, world.channel(channel).reward) == (None, 0)
    settles(world, channel)
    assert held(world) == 0


def test_closing_together_after_all_waives_the_reward_too(world: World, channel: bytes) -> None:
    world.do(world.b.root, names(world, 500))
    closes_stale(world, channel)
    world.do(TOWER, newer(world, channel))
    finals = (world.says(channel, 0, 9, seen=2), world.says(channel, 1, 2, seen=9))
    world.do(world.a.root, world.together(channel, finals))
    assert held(world) == 0
    assert world.channel(channel).phase == Phase.SETTLED


def test_what_a_block_touches_is_found_in_its_transactions(world: World, channel: bytes) -> None:
    touched = touched_by(
        [
            world.sign(world.b.root, names(world, 100)),
            world.sign(world.a.root, Close(channel=channel, own=None, peer=None, lost=False)),
            world.sign(world.a.root, world.signed_opening(world.opening(7))),
            world.sign(world.registrar, Transfer(to=account(), amount=1)),
        ],
        world.chain,
    )
    assert touched.hospitals == {world.b.id}
    assert channel in touched.channels
    assert len(touched.channels) == 2
    assert [opening.nonce for opening in touched.opened] == [world.opening(7).nonce]
