"""Whatever is asked of the chain, in whatever order: credits are conserved, and a refusal leaves no trace.

`World.block` counts the credits after every block; `World.try_do` compares the state after every refusal.
"""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from l1.ground.faults import Refused
from l1.ground.signing import PrivateKey
from l1.rules.blocks import select
from l1.rules.closing import payouts
from l1.rules.commitment import channel_id
from l1.rules.state import Channel, Phase, SideState
from l1.rules.transactions import (
    CHANNEL,
    RECOVERY,
    ROOT,
    Challenge,
    ChannelHeads,
    Checkpoint,
    Close,
    Delegate,
    Deposit,
    ResumeChannel,
    RevokeKey,
    Settle,
    Transfer,
    account_of,
)
from tests.unit.l1.rules.world import World

SIDES = st.integers(0, 1)
SIZES = st.integers(0, 6)
AMOUNTS = st.integers(0, 3_000)
WORDS = st.fixed_dictionaries(
    {"size": SIZES, "seen": SIZES, "spent": AMOUNTS, "height": st.integers(0, 12), "key": st.sampled_from([1, 1, 1, 4])}
)


class Chain(RuleBasedStateMachine):
    """Two hospitals do anything with channels, keys and credits; most of it is refused, none of it makes credits."""

    channels = Bundle("channels")

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.world.admit(self.world.a)
        self.world.admit(self.world.b)
        self.floors: dict[bytes, tuple[int, int]] = {}
        self.opened = 0

    def _says(self, channel: bytes, side: int, words: dict[str, Any]) -> Any:
        known = words["key"] in self.world.side(side).keys
        return self.world.says(channel, side, **words | ({} if known else {"key": 1}))

    def _key(self, side: int, root: bool) -> PrivateKey:
        return self.world.side(side).root if root else self.world.side(side).channel

    @precondition(lambda self: self.opened < 4)
    @rule(target=channels, deposits=st.tuples(AMOUNTS, AMOUNTS), bond=st.integers(9, 500))
    def open(self, deposits: tuple[int, int], bond: int) -> bytes:
        self.opened += 1
        opening = self.world.opening(self.opened, deposits=deposits, bond=bond)
        self.world.try_do(self.world.a.root, self.world.signed_opening(opening))
        return channel_id(opening)

    @rule(channel=channels, side=SIDES, root=st.booleans(), amount=AMOUNTS)
    def deposit(self, channel: bytes, side: int, root: bool, amount: int) -> None:
        self.world.try_do(self._key(side, root), Deposit(channel=channel, amount=amount))

    @rule(side=SIDES, root=st.booleans(), to_channel_key=st.booleans(), amount=AMOUNTS)
    def transfer(self, side: int, root: bool, to_channel_key: bool, amount: int) -> None:
        peer = self.world.side(1 - side)
        to = account_of(peer.channel.public_key) if to_channel_key else peer.id
        self.world.try_do(self._key(side, root), Transfer(to=to, amount=amount))

    @rule(channel=channels, first=WORDS, second=WORDS)
    def checkpoint(self, channel: bytes, first: dict[str, Any], second: dict[str, Any]) -> None:
        second = second | {"seen": first["size"]}
        commitments = (self._says(channel, 0, first), self._says(channel, 1, second))
        heads = ChannelHeads(channel=channel, commitments=commitments)
        self.world.try_do(self.world.registrar, Checkpoint(heads=(heads,)))

    @rule(channel=channels, side=SIDES, own=WORDS | st.none(), peer=WORDS | st.none(), lost=st.booleans())
    def close(
        self, channel: bytes, side: int, own: dict[str, Any] | None, peer: dict[str, Any] | None, lost: bool
    ) -> None:
        action = Close(
            channel=channel,
            own=self._says(channel, side, own) if own else None,
            peer=self._says(channel, 1 - side, peer) if peer else None,
            lost=lost,
        )
        self.world.try_do(self.world.side(side).root, action)

    @rule(channel=channels, side=SIDES, words=WORDS)
    def challenge(self, channel: bytes, side: int, words: dict[str, Any]) -> None:
        action = Challenge(channel=channel, side=side, commitment=self._says(channel, side, words))
        self.world.try_do(self.world.registrar, action)

    @rule(channel=channels, first=WORDS, second=WORDS)
    def close_together(self, channel: bytes, first: dict[str, Any], second: dict[str, Any]) -> None:
        finals = (self._says(channel, 0, first), self._says(channel, 1, second))
        self.world.try_do(self.world.registrar, self.world.together(channel, finals))

    @rule(channel=channels, side=SIDES, size=SIZES, height=st.integers(0, 12))
    def resume(self, channel: bytes, side: int, size: int, height: int) -> None:
        action = ResumeChannel(channel=channel, resume=self.world.resume(channel, side, size, height))
        self.world.try_do(self.world.side(side).root, action)

    @rule(channel=channels, patient=st.booleans())
    def settle(self, channel: bytes, patient: bool) -> None:
        row = self.world.draft.get_channel(channel)
        if row is not None and patient:
            self.world.wait(row.closes_at_ms - self.world.tip.clock_ms)
        self.world.try_do(self.world.registrar, Settle(channel=channel))

    @rule(side=SIDES, kind=st.sampled_from([ROOT, CHANNEL, RECOVERY]), name=st.text("xyz", min_size=1, max_size=2))
    def register(self, side: int, kind: int, name: str) -> None:
        who = self.world.side(side)
        action = self.world.new_key(who, kind, name)
        if not self.world.try_do(who.root, action):
            del who.keys[max(who.keys)]

    @rule(side=SIDES, number=st.integers(0, 6))
    def revoke(self, side: int, number: int) -> None:
        who = self.world.side(side)
        self.world.try_do(who.root, RevokeKey(hospital=who.id, number=number, compromised_since_ms=None))

    @rule(side=SIDES, tower=SIDES, reward=st.integers(0, 500) | st.none())
    def delegate(self, side: int, tower: int, reward: int | None) -> None:
        who, towers = self.world.side(side), (self.world.registrar, self.world.side(1 - side).root)
        account = account_of(towers[tower].public_key)
        self.world.try_do(who.root, Delegate(hospital=who.id, tower=account, reward=reward))

    @rule(duration_ms=st.integers(1, 40_000))
    def wait(self, duration_ms: int) -> None:
        self.world.wait(duration_ms)

    @invariant()
    def floors_never_fall(self) -> None:
        for channel in [key[8:] for key in self.world.rows if key.startswith(b"channel/")]:
            row = self.world.channel(channel)
            now = (row.sides[0].settled.size, row.sides[1].settled.size)
            before = self.floors.get(channel, (0, 0))
            assert now[0] >= before[0]
            assert now[1] >= before[1]
            self.floors[channel] = now

    @invariant()
    def a_settled_channel_has_paid_out_all_it_held(self) -> None:
        for channel in self.floors:
            row = self.world.channel(channel)
            if row.phase == Phase.SETTLED:
                paid = sum(side.paid_out for side in row.sides) + row.reward
                assert paid == sum(side.deposit + side.bond for side in row.sides)


Chain.TestCase.settings = settings(
    max_examples=80, stateful_step_count=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestChain = Chain.TestCase


def _channel(deposits: tuple[int, int], spent: tuple[int, int], bond: int) -> Channel:
    world = World()
    opening = world.opening(deposits=deposits, bond=bond)
    first, second = (SideState(deposit=deposits[side], bond=bond, spent=spent[side]) for side in (0, 1))
    return Channel(
        id=channel_id(opening), opening=opening, opened_at=1, opened_at_ms=1, phase=Phase.CLOSING, sides=(first, second)
    )


MONEY = st.integers(0, 2**53 - 1)


@given(
    deposits=st.tuples(MONEY, MONEY),
    spent=st.tuples(MONEY, MONEY),
    bond=MONEY,
    closer=SIDES,
    stale=st.booleans(),
    share=st.integers(0, 1_000),
)
@settings(deadline=None)
def test_payouts_share_out_everything_and_do_not_know_who_is_who(
    deposits: tuple[int, int], spent: tuple[int, int], bond: int, closer: int, stale: bool, share: int
) -> None:
    reward = bond * share // 1_000 if stale else 0
    channel = replace(_channel(deposits, spent, bond), closer=closer, stale=stale, reward=reward)
    swapped = replace(_channel(deposits[::-1], spent[::-1], bond), closer=1 - closer, stale=stale, reward=reward)
    first, second = payouts(channel)
    assert first >= 0
    assert second >= 0
    assert first + second + reward == sum(deposits) + 2 * bond
    assert payouts(swapped) == (second, first)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_bytes_give_a_refusal_and_the_process_lives(data: st.DataObject) -> None:
    world = World()
    good = world.sign(world.registrar, Transfer(to=world.a.id, amount=1))
    cut = data.draw(st.integers(0, len(good) - 1))
    mutant = bytearray(good)
    mutant[cut] ^= data.draw(st.integers(1, 255))
    candidates = [bytes(mutant), good[:cut], data.draw(st.binary(max_size=80))]
    accepted, refused = select(world, world.tip, candidates, world.tip.time_ms)
    assert accepted == []
    assert all(isinstance(why, Refused) for _, why in refused)
    assert len(refused) == 3
