"""A thief has one of Alice's keys that the chain knows: what it can do, what it cannot, and how that ends.

Each story is a line of the table in docs/threat-model.md. Mallory is the thief, and as bad a peer as can be: where it
helps him, he is Bob.
"""

import pytest
from msgspec.structs import replace

from l1.ground.faults import Fault
from l1.rules import fees
from l1.rules.commitment import channel_id
from l1.rules.fees import approve
from l1.rules.transactions import (
    CHANNEL,
    RECOVERY,
    ROOT,
    Challenge,
    ChannelHeads,
    Checkpoint,
    Close,
    Deposit,
    RevokeKey,
    SetParameters,
    Settle,
    Transfer,
)
from tests.unit.l1.rules.world import KEY_WINDOW_MS, WINDOW_MS, Party, World, refuses

FIRST_ROOT, FIRST_CHANNEL, RECOVERY_KEY = 0, 1, 4


class Town:
    """Alice, robbed; Bob, her peer; a channel between them; a recovery key in Alice's safe."""

    def __init__(self) -> None:
        self.world = World()
        self.channel = self.world.with_channel()
        self.world.do(self.alice.root, self.world.new_key(self.alice, RECOVERY, "alice recovery"))
        self.world.wait(KEY_WINDOW_MS)

    @property
    def alice(self) -> Party:
        return self.world.a

    def revoke(self, by: int, number: int) -> None:
        self.world.do(self.alice.keys[by], self.revocation(number))

    def revocation(self, number: int) -> RevokeKey:
        return RevokeKey(hospital=self.alice.id, number=number, compromised_since_ms=1)

    def register(self, by: int, kind: int, name: str) -> int:
        self.world.do(self.alice.keys[by], self.world.new_key(self.alice, kind, name))
        return max(self.alice.keys)

    def checkpoint(self, size: int, *, key: int, spent: int = 0) -> None:
        """Alice's log at that size, signed by that key, and Bob's word that he has seen it."""
        said = self.world.says(self.channel, 0, size, key=key, spent=spent)
        seen = self.world.says(self.channel, 1, size, seen=size)
        heads = ChannelHeads(channel=self.channel, commitments=(said, seen))
        self.world.do(self.world.registrar, Checkpoint(heads=(heads,)))

    def settle(self) -> None:
        self.world.wait(2 * WINDOW_MS)
        self.world.do(self.world.registrar, Settle(channel=self.channel))


@pytest.fixture
def town() -> Town:
    return Town()


# -- the root key ---------------------------------------------------------------------------------------------------


def test_root_thief_spends_the_credits_at_once_and_nothing_brings_them_back(town: Town) -> None:
    world, before = town.world, town.world.credits(town.alice)
    world.do(town.alice.root, Transfer(to=world.b.id, amount=before))
    assert world.credits(town.alice) == 0


def test_root_thief_cannot_touch_what_an_open_channel_holds(town: Town) -> None:
    world, before = town.world, town.world.credits(town.alice)
    world.do(town.alice.root, Close(channel=town.channel, own=None, peer=None, lost=False))
    town.settle()
    assert world.credits(town.alice) == before + 1_000 + 100  # closed, and paid out to Alice


def test_root_thief_brings_a_root_or_recovery_key_that_waits_and_alice_vetoes_both(town: Town) -> None:
    for kind in (ROOT, RECOVERY):
        thiefs = town.register(FIRST_ROOT, kind, f"mallory {kind}")
        town.revoke(RECOVERY_KEY, thiefs)
        town.world.wait(KEY_WINDOW_MS)
        with refuses(Fault.NOT_AUTHORISED):
            town.world.do(town.alice.keys[thiefs], town.world.new_key(town.alice, ROOT, f"more {kind}"))


def test_root_thief_cannot_end_the_recovery_key(town: Town) -> None:
    with refuses(Fault.NOT_AUTHORISED):
        town.revoke(FIRST_ROOT, RECOVERY_KEY)


def test_root_thief_is_out_one_window_after_alice_recovers_whatever_he_does_meanwhile(town: Town) -> None:
    mine = town.register(RECOVERY_KEY, ROOT, "alice root 2")
    with refuses(Fault.NOT_AUTHORISED):
        town.revoke(FIRST_ROOT, mine)
    thiefs = town.register(FIRST_ROOT, CHANNEL, "mallory channel")
    town.world.wait(KEY_WINDOW_MS)
    with refuses(Fault.NOT_AUTHORISED):
        town.world.do(town.alice.root, Transfer(to=town.world.b.id, amount=1))
    with refuses(Fault.NOT_AUTHORISED):
        town.world.do(town.alice.root, Close(channel=town.channel, own=None, peer=None, lost=False))
    town.revoke(mine, thiefs)  # the registry says who brought it: `by`
    assert town.world.hospital(town.alice).keys[thiefs].by == FIRST_ROOT


def test_root_thief_of_a_hospital_without_a_recovery_key_waits_too_before_he_outranks_it() -> None:
    world = World()
    world.admit(world.a)
    world.do(world.a.root, world.new_key(world.a, RECOVERY, "mallory recovery"))
    with refuses(Fault.NOT_AUTHORISED):
        world.do(world.a.keys[4], world.new_key(world.a, ROOT, "mallory root"))
    world.do(world.a.root, RevokeKey(hospital=world.a.id, number=4, compromised_since_ms=None))
    world.wait(KEY_WINDOW_MS)
    del world.a.keys[5]
    with refuses(Fault.NOT_AUTHORISED):
        world.do(world.a.keys[4], world.new_key(world.a, ROOT, "mallory root"))


# -- the recovery key -----------------------------------------------------------------------------------------------


def test_recovery_thief_spends_nothing_signs_nothing_and_ends_nothing_that_counts(town: Town) -> None:
    for action in (Transfer(to=town.world.b.id, amount=1), Deposit(channel=town.channel, amount=1)):
        assert not town.world.try_do(town.alice.keys[RECOVERY_KEY], action)
    for number in (FIRST_ROOT, FIRST_CHANNEL):
        with refuses(Fault.NOT_AUTHORISED):
            town.revoke(RECOVERY_KEY, number)
    with refuses(Fault.UNKNOWN_KEY):
        town.checkpoint(3, key=RECOVERY_KEY)


def test_recovery_thief_takes_the_hospital_over_one_window_later_and_alice_saves_the_credits(town: Town) -> None:
    world = town.world
    thiefs = town.register(RECOVERY_KEY, ROOT, "mallory root")
    world.do(town.alice.root, Transfer(to=world.b.id, amount=world.credits(town.alice)))
    world.do(town.alice.channel, Close(channel=town.channel, own=None, peer=None, lost=False))
    world.wait(KEY_WINDOW_MS)
    with refuses(Fault.NOT_AUTHORISED):
        town.revoke(FIRST_ROOT, thiefs)
    with refuses(Fault.TOO_FEW_CREDITS):
        world.do(town.alice.keys[thiefs], Transfer(to=world.b.id, amount=1))


def test_thief_of_root_and_recovery_key_has_the_hospital_but_not_what_channels_hold_for_the_peer(town: Town) -> None:
    thiefs = town.register(RECOVERY_KEY, ROOT, "mallory root")
    town.world.wait(KEY_WINDOW_MS)
    before = town.world.credits(town.world.b)
    town.world.do(town.alice.keys[thiefs], Close(channel=town.channel, own=None, peer=None, lost=False))
    town.settle()
    assert town.world.credits(town.world.b) == before + 500 + 100


# -- a channel key --------------------------------------------------------------------------------------------------


def test_channel_thief_spends_at_most_the_deposit_and_alice_bears_it(town: Town) -> None:
    world, before = town.world, town.world.credits(town.alice)
    town.checkpoint(3, key=FIRST_CHANNEL, spent=2**40)
    world.do(world.b.root, Close(channel=town.channel, own=None, peer=None, lost=False))
    town.settle()
    assert world.credits(town.alice) == before + 100  # the deposit is gone, the bond is not


def test_channel_thief_burns_one_allowance_a_key_window_and_alice_still_answers(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chain has fees. He floods it at her expense until the chain lends him no more; her root key pays."""
    monkeypatch.setattr(fees, "FEES_LENT", 2)
    world = town.world
    now = world.draft.get_parameters()
    wanted = replace(now, fee=40, serial=now.serial + 1)
    approval = approve(world.registrar, world.chain, wanted)
    world.do(world.registrar, SetParameters(parameters=wanted, approvals=(approval,)))
    before = world.credits(town.alice)
    world.do(town.alice.channel, Close(channel=town.channel, own=None, peer=None, lost=False))
    for size in (1, 2):
        newer = Challenge(channel=town.channel, side=1, commitment=world.says(town.channel, 1, size))
        if size == 1:
            world.do(town.alice.channel, newer)
            continue
        with refuses(Fault.TOO_FEW_CREDITS):
            world.do(town.alice.channel, newer)
        world.do(town.alice.root, newer)
    assert world.credits(town.alice) == before - 3 * 40
    town.revoke(FIRST_ROOT, FIRST_CHANNEL)
    world.wait(KEY_WINDOW_MS)
    with refuses(Fault.TOO_FEW_CREDITS):
        world.do(town.alice.channel, Settle(channel=town.channel))


def test_channel_thief_cannot_spend_the_account_nor_register_a_key(town: Town) -> None:
    thief = town.alice.channel
    with refuses(Fault.TOO_FEW_CREDITS):
        town.world.do(thief, Transfer(to=town.world.b.id, amount=1))
    with refuses(Fault.TOO_FEW_CREDITS):
        town.world.do(thief, Deposit(channel=town.channel, amount=1))
    action = town.world.new_key(town.alice, CHANNEL, "mallory channel")
    with refuses(Fault.NOT_AUTHORISED):
        town.world.do(thief, action)


def test_channel_thief_backdates_in_vain_and_alice_repudiates_in_vain(town: Town) -> None:
    town.revoke(FIRST_ROOT, FIRST_CHANNEL)
    town.checkpoint(3, key=FIRST_CHANNEL)  # her own words from before, or his: the chain asks no date
    assert town.world.channel(town.channel).sides[0].settled.size == 3


def test_channel_thief_counts_nowhere_one_window_after_a_checkpoint_by_the_later_key(town: Town) -> None:
    later = town.register(FIRST_ROOT, CHANNEL, "alice channel 2")
    town.revoke(FIRST_ROOT, FIRST_CHANNEL)
    town.checkpoint(3, key=later)
    town.checkpoint(4, key=FIRST_CHANNEL)  # within the window the peer may still bring what it holds
    town.world.wait(KEY_WINDOW_MS + 100)
    with refuses(Fault.EXPIRED):
        town.checkpoint(5, key=FIRST_CHANNEL)
    town.checkpoint(5, key=later)


def test_channel_thief_whose_key_is_revoked_neither_closes_nor_retires_the_owners_key(town: Town) -> None:
    stolen = town.register(FIRST_ROOT, CHANNEL, "alice channel 2")
    town.revoke(FIRST_ROOT, stolen)
    with refuses(Fault.NOT_AUTHORISED):
        town.world.do(town.alice.keys[stolen], Close(channel=town.channel, own=None, peer=None, lost=False))
    town.checkpoint(3, key=stolen)
    town.world.wait(KEY_WINDOW_MS + 100)
    town.checkpoint(4, key=FIRST_CHANNEL)


def test_channel_thief_whose_key_was_revoked_before_a_channel_opened_never_counts_there(town: Town) -> None:
    world = town.world
    town.register(FIRST_ROOT, CHANNEL, "alice channel 2")
    town.revoke(FIRST_ROOT, FIRST_CHANNEL)
    opening = world.opening(2)
    world.do(world.a.root, world.signed_opening(opening))
    town.channel = channel_id(opening)
    with refuses(Fault.EXPIRED):
        town.checkpoint(3, key=FIRST_CHANNEL)


def test_an_expired_channel_key_still_closes(town: Town) -> None:
    world = town.world
    until_ms = world.tip.clock_ms + 10_000
    world.do(town.alice.root, world.new_key(town.alice, CHANNEL, "short", until_ms=until_ms))
    short = max(town.alice.keys)
    world.wait(20_000)
    own = world.says(town.channel, 0, 3, key=short)
    world.do(town.alice.keys[short], Close(channel=town.channel, own=own, peer=None, lost=False))
    town.settle()
