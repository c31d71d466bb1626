from typing import Any

import pytest
from msgspec.structs import replace

from l1.ground.faults import Fault
from l1.ground.limits import TIME_MS_MAX
from l1.rules.commitment import EMPTY_HEAD, channel_id
from l1.rules.phases import PHASES, after, diagram
from l1.rules.state import Phase
from l1.rules.transactions import (
    CHANNEL,
    ChannelHeads,
    Checkpoint,
    Deposit,
    Open,
    ResumeChannel,
    RevokeKey,
    Transfer,
    account_of,
)
from tests.unit.l1.rules.world import KEY_WINDOW_MS, World, head_of, refuses


@pytest.fixture
def admitted(world: World) -> World:
    world.admit(world.a)
    world.admit(world.b)
    return world


def _heads(channel: bytes, *commitments: object) -> Checkpoint:
    return Checkpoint(heads=(ChannelHeads(channel=channel, commitments=commitments),))  # type: ignore[arg-type]


def test_opening_locks_deposits_and_bonds(admitted: World) -> None:
    opening = admitted.opening()
    admitted.do(admitted.b.root, admitted.signed_opening(opening))
    channel = admitted.channel(channel_id(opening))
    assert channel.phase == Phase.OPEN
    assert (admitted.credits(admitted.a), admitted.credits(admitted.b)) == (10_000 - 1_100, 10_000 - 600)
    assert channel.opened_at == admitted.tip.height


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"version": 2}, Fault.WRONG_VERSION),
        ({"chain": bytes(32)}, Fault.WRONG_CHAIN),
        ({"expires": 1}, Fault.EXPIRED),
        ({"window_ms": 999}, Fault.OUT_OF_BOUNDS),
        ({"window_ms": TIME_MS_MAX}, Fault.OUT_OF_BOUNDS),
        ({"bond": 9}, Fault.OUT_OF_BOUNDS),
        ({"deposits": (10_000, 0)}, Fault.TOO_FEW_CREDITS),
        ({"deposits": (0, 10_000)}, Fault.TOO_FEW_CREDITS),
    ],
)
def test_terms_that_cannot_be_are_refused(admitted: World, change: dict[str, Any], fault: Fault) -> None:
    with refuses(fault):
        admitted.do(admitted.a.root, admitted.signed_opening(admitted.opening(**change)))


def test_a_channel_has_two_admitted_hospitals(admitted: World) -> None:
    with refuses(Fault.OUT_OF_BOUNDS):
        admitted.do(
            admitted.a.root, admitted.signed_opening(admitted.opening(hospitals=(admitted.a.id, admitted.a.id)))
        )
    with refuses(Fault.UNKNOWN_HOSPITAL):
        admitted.do(admitted.a.root, admitted.signed_opening(admitted.opening(hospitals=(admitted.a.id, bytes(20)))))


def test_both_root_keys_sign_the_opening(admitted: World) -> None:
    a, b = admitted.a, admitted.b
    for keys in ((a.root, a.root), (b.root, b.root), (a.channel, b.channel)):
        with refuses(Fault.BAD_SIGNATURE):
            admitted.do(a.root, admitted.signed_opening(admitted.opening(), keys=keys))


def test_an_opening_cannot_be_replayed(admitted: World) -> None:
    opening: Open = admitted.signed_opening(admitted.opening())
    admitted.do(admitted.a.root, opening)
    with refuses(Fault.ALREADY_DONE):
        admitted.do(admitted.a.root, opening)


def test_a_deposit_adds_to_ones_own_side(world: World) -> None:
    channel = world.with_channel()
    world.do(world.b.root, Deposit(channel=channel, amount=50))
    assert [side.deposit for side in world.channel(channel).sides] == [1_000, 550]
    assert world.credits(world.b) == 10_000 - 650


def test_a_channel_key_deposits_only_what_it_owns_itself(world: World) -> None:
    channel = world.with_channel()
    with refuses(Fault.TOO_FEW_CREDITS):
        world.do(world.a.channel, Deposit(channel=channel, amount=50))
    world.do(world.a.root, Transfer(to=account_of(world.a.channel.public_key), amount=50))
    world.do(world.a.channel, Deposit(channel=channel, amount=50))
    assert world.channel(channel).sides[0].deposit == 1_050


def test_strangers_and_revoked_keys_deposit_nothing(world: World) -> None:
    channel = world.with_channel()
    with refuses(Fault.NOT_AUTHORISED):
        world.do(world.registrar, Deposit(channel=channel, amount=1))
    world.do(world.a.root, RevokeKey(hospital=world.a.id, number=1, compromised_since_ms=None))
    with refuses(Fault.NOT_AUTHORISED):
        world.do(world.a.channel, Deposit(channel=channel, amount=1))
    with refuses(Fault.UNKNOWN_CHANNEL):
        world.do(world.a.root, Deposit(channel=bytes(32), amount=1))
    with refuses(Fault.OUT_OF_BOUNDS):
        world.do(world.a.root, Deposit(channel=channel, amount=0))


def test_heads_that_both_signed_are_settled(world: World) -> None:
    channel = world.with_channel()
    # alice wrote 7 and saw 3; bob wrote 3 and saw 7: each head has both signatures
    world.do(
        world.registrar,
        _heads(channel, world.says(channel, 0, 7, seen=3, spent=4), world.says(channel, 1, 3, seen=7)),
    )
    sides = world.channel(channel).sides
    assert [side.settled for side in sides] == [head_of(7, "a"), head_of(3, "b")]
    assert [side.spent for side in sides] == [4, 0]


def test_a_head_that_only_its_writer_signed_raises_no_floor(world: World) -> None:
    channel = world.with_channel()
    with refuses(Fault.NOT_SETTLED_HEAD):
        world.do(world.a.root, _heads(channel, world.says(channel, 0, 7), world.says(channel, 1, 3)))
    # bob's acknowledgement settles alice's head; his own stays private
    world.do(world.a.root, _heads(channel, world.says(channel, 0, 7, seen=1), world.says(channel, 1, 3, seen=7)))
    assert [side.settled for side in world.channel(channel).sides] == [head_of(7, "a"), EMPTY_HEAD]


def test_an_acknowledgement_of_another_root_settles_nothing(world: World) -> None:
    channel = world.with_channel()
    with refuses(Fault.NOT_SETTLED_HEAD):
        world.do(
            world.a.root,
            _heads(channel, world.says(channel, 0, 7, log="forged"), world.says(channel, 1, 3, seen=7)),
        )


def test_nobody_acknowledges_its_own_head(world: World) -> None:
    channel = world.with_channel()
    selfish = world.says(channel, 0, 7, seen=7, seen_log="a")
    with refuses(Fault.NOT_SETTLED_HEAD):
        world.do(world.a.root, _heads(channel, selfish, world.says(channel, 1, 3)))


def test_a_checkpoint_never_goes_back(world: World) -> None:
    channel = world.with_channel()
    newer = _heads(channel, world.says(channel, 0, 7, seen=3), world.says(channel, 1, 3, seen=7))
    older = _heads(channel, world.says(channel, 0, 5, seen=3), world.says(channel, 1, 3, seen=5))
    world.do(world.a.root, newer)
    for heads in (newer, older):
        with refuses(Fault.GOES_BACK):
            world.do(world.a.root, heads)


def test_another_root_at_the_settled_size_is_equivocation(world: World) -> None:
    channel = world.with_channel()
    world.do(world.a.root, _heads(channel, world.says(channel, 0, 7, seen=3), world.says(channel, 1, 3, seen=7)))
    forged = world.says(channel, 1, 3, seen=7, log="forged")
    with refuses(Fault.EQUIVOCATION):
        world.do(world.a.root, _heads(channel, world.says(channel, 0, 8, seen=3, seen_log="forged"), forged))


def test_one_channel_that_fails_fails_the_checkpoint(world: World) -> None:
    first = world.with_channel()
    second = channel_id(world.opening(2))
    world.do(world.a.root, world.signed_opening(world.opening(2)))

    def good(channel: bytes) -> ChannelHeads:
        return ChannelHeads(
            channel=channel,
            commitments=(world.says(channel, 0, 2, seen=2), world.says(channel, 1, 2, seen=2)),
        )

    bad = ChannelHeads(channel=second, commitments=(world.says(second, 0, 2), world.says(second, 1, 2)))
    assert not world.try_do(world.a.root, Checkpoint(heads=(good(first), bad)))
    world.do(world.a.root, Checkpoint(heads=(good(first), good(second))))
    assert world.channel(first).sides[0].settled == world.channel(second).sides[0].settled == head_of(2, "a")


def test_a_commitment_of_another_channel_or_key_is_refused(world: World) -> None:
    channel = world.with_channel()
    fine = world.says(channel, 1, 3, seen=7)
    with refuses(Fault.BAD_SIGNATURE):
        world.do(world.a.root, _heads(channel, world.says(bytes(32), 0, 7, seen=3), fine))
    with refuses(Fault.BAD_SIGNATURE):
        world.do(world.a.root, _heads(channel, world.says(channel, 0, 7, seen=3, signer=world.b.channel), fine))
    with refuses(Fault.UNKNOWN_KEY):
        world.do(world.a.root, _heads(channel, replace(world.says(channel, 0, 7, seen=3), key=0), fine))


def _rotated(world: World, channel: bytes) -> None:
    """alice's key 4 has signed a checkpoint, after her key 1."""
    world.do(world.a.root, _heads(channel, world.says(channel, 0, 1), world.says(channel, 1, 1, seen=1)))
    world.do(world.a.root, world.new_key(world.a, CHANNEL, "alice channel 2"))
    world.do(world.a.root, _heads(channel, world.says(channel, 0, 2, key=4), world.says(channel, 1, 2, seen=2)))
    assert world.channel(channel).sides[0].newest_key == 4


def test_an_older_key_counts_one_window_more_and_then_never_again(world: World) -> None:
    channel = world.with_channel()
    _rotated(world, channel)
    world.wait(KEY_WINDOW_MS - 100)
    world.do(world.a.root, _heads(channel, world.says(channel, 0, 3), world.says(channel, 1, 3, seen=3)))
    world.wait(200)
    late = _heads(channel, world.says(channel, 0, 4), world.says(channel, 1, 4, seen=4))
    with refuses(Fault.EXPIRED):
        world.do(world.a.root, late)
    assert world.channel(channel).sides[0].newest_key == 4


def test_a_revoked_key_still_binds_its_owner_but_retires_no_other(world: World) -> None:
    channel = world.with_channel()
    world.do(world.a.root, world.new_key(world.a, CHANNEL, "alice channel 2"))
    world.do(world.a.root, RevokeKey(hospital=world.a.id, number=4, compromised_since_ms=1))
    world.do(world.a.root, _heads(channel, world.says(channel, 0, 2, key=4), world.says(channel, 1, 2, seen=2)))
    state = world.channel(channel).sides[0]
    assert state.settled.size == 2
    assert state.newest_key < 4


def test_a_key_revoked_before_the_opening_never_counts_in_the_channel(world: World) -> None:
    world.admit(world.a)
    world.admit(world.b)
    world.do(world.a.root, world.new_key(world.a, CHANNEL, "alice channel 2"))
    world.do(world.a.root, RevokeKey(hospital=world.a.id, number=1, compromised_since_ms=None))
    world.do(world.a.root, world.signed_opening(world.opening()))
    channel = channel_id(world.opening())
    with refuses(Fault.EXPIRED):
        world.do(world.a.root, _heads(channel, world.says(channel, 0, 1), world.says(channel, 1, 1, seen=1)))


def test_an_expired_key_still_settles(world: World) -> None:
    channel = world.with_channel()
    until_ms = world.tip.clock_ms + 20_000
    world.do(world.a.root, world.new_key(world.a, CHANNEL, "short", until_ms=until_ms))
    world.wait(30_000)
    world.do(world.a.root, _heads(channel, world.says(channel, 0, 2, key=4), world.says(channel, 1, 2, seen=2)))
    assert world.channel(channel).sides[0].settled.size == 2


def test_what_was_signed_before_a_resume_and_lies_beyond_it_is_void(world: World) -> None:
    channel = world.with_channel()
    height = world.tip.height
    world.do(world.a.root, ResumeChannel(channel=channel, resume=world.resume(channel, 0, 5, height)))
    void = world.says(channel, 0, 6, height=height - 1)
    with refuses(Fault.BELOW_RESUME):
        world.do(world.a.root, _heads(channel, void, world.says(channel, 1, 1, seen=6)))
    for size, signed_at in ((5, height - 1), (6, height)):
        good = world.says(channel, 0, size, height=signed_at)
        world.do(world.a.root, _heads(channel, good, world.says(channel, 1, size, seen=size)))


def test_a_resume_is_shown_by_its_side_and_never_goes_back(world: World) -> None:
    channel = world.with_channel()
    height = world.tip.height
    good = ResumeChannel(channel=channel, resume=world.resume(channel, 0, 5, height))
    with refuses(Fault.NOT_AUTHORISED):
        world.do(world.registrar, good)
    with refuses(Fault.BAD_SIGNATURE):  # bob cannot show it: as side 1 he would need alice's signature
        world.do(world.b.root, good)
    for bad in (world.resume(channel, 0, 5, height + 99), world.resume(channel, 1, 5, height, signer=1)):
        with refuses(Fault.BAD_RESUME):
            world.do(world.a.root, ResumeChannel(channel=channel, resume=bad))
    world.do(world.a.root, RevokeKey(hospital=world.a.id, number=1, compromised_since_ms=None))
    with refuses(Fault.NOT_AUTHORISED):
        world.do(world.a.channel, good)
    world.do(world.a.root, good)
    with refuses(Fault.GOES_BACK):
        world.do(world.a.root, good)


def test_the_same_head_under_a_later_key_is_enough_to_end_the_older_one(world: World) -> None:
    channel = world.with_channel()
    world.do(world.a.root, world.new_key(world.a, CHANNEL, "alice channel 2"))
    words = (world.says(channel, 0, 2, key=1), world.says(channel, 0, 2, key=4), world.says(channel, 1, 2, seen=2))
    world.do(world.a.root, _heads(channel, *words))
    assert world.channel(channel).sides[0].newest_key == 4


def test_a_resume_that_says_less_than_both_had_settled_voids_what_lies_beyond_that(world: World) -> None:
    """Its signer went back to an older disk. What is settled stays, and the side that resumed can go on."""
    channel = world.with_channel()
    height = world.tip.height
    settled = _heads(channel, world.says(channel, 0, 7, seen=3, height=height), world.says(channel, 1, 3, seen=7))
    world.do(world.a.root, settled)
    world.do(world.a.root, ResumeChannel(channel=channel, resume=world.resume(channel, 0, 6, world.tip.height)))
    state = world.channel(channel).sides[0]
    assert (state.resume_size, state.settled.size) == (7, 7)
    with refuses(Fault.BELOW_RESUME):
        beyond = world.says(channel, 0, 8, seen=3, height=height)
        world.do(world.b.root, _heads(channel, beyond, world.says(channel, 1, 4, seen=8)))


def test_a_resume_stands_below_what_was_settled_after_it(world: World) -> None:
    """A peer that lied about what it holds would otherwise keep old words alive by settling newer ones."""
    channel = world.with_channel()
    height = world.tip.height
    resume = ResumeChannel(channel=channel, resume=world.resume(channel, 0, 5, height))
    settled_after = _heads(channel, world.says(channel, 0, 7, height=height), world.says(channel, 1, 7, seen=7))
    world.do(world.a.root, settled_after)
    world.do(world.a.root, resume)
    with refuses(Fault.BELOW_RESUME):
        world.do(
            world.b.root,
            _heads(channel, world.says(channel, 0, 9, height=height - 1), world.says(channel, 1, 9, seen=9)),
        )


def test_a_settled_head_is_as_new_as_its_newest_signature(world: World) -> None:
    channel = world.with_channel()
    height = world.tip.height
    both = (world.says(channel, 0, 7, height=height - 1), world.says(channel, 0, 7, height=height))
    world.do(world.a.root, _heads(channel, *both, world.says(channel, 1, 7, seen=7)))
    assert world.channel(channel).sides[0].settled_height == height


def test_every_phase_has_a_row_and_can_reach_settled() -> None:
    assert set(PHASES) == set(Phase)
    for phase in Phase:
        reached = {phase}
        for _ in Phase:
            reached |= {following for at in reached for following in PHASES[at].values()}
        assert Phase.SETTLED in reached
    assert not PHASES[Phase.SETTLED]


def test_a_cue_out_of_place_is_refused_and_the_diagram_shows_every_cue() -> None:
    drawn = diagram()
    for phase, cues in PHASES.items():
        for cue, following in cues.items():
            assert after(phase, cue) is following
            assert f"{phase.name} --> {following.name}: {cue.value}" in drawn
