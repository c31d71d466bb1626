"""A hospital reads from the chain what a block touched, and no more, however many channels it has."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio

from l1.ground.limits import TIME_MS_MAX
from l1.ground.signing import Context, Purpose, sign
from l1.rules import state as l1_state
from l1.rules.blocks import Header
from l1.rules.transactions import CHANNEL, Deposit, RegisterKey, Transfer, key_words
from l2.node.hospital import Hospital
from l2.node.keeper import Keeper
from l2.node.watcher import Watcher
from l2.protocol.events import BlockSeen, PeerKeysSeen
from l2.protocol.phases import Phase
from tests.idle import all_idle
from tests.unit.l1.rules.world import key_named
from tests.unit.l1.world import ALICE, account
from tests.unit.l2.tower.town import Town, in_town

CHANNELS = 12


class NotingKeeper:
    """What the watcher knows of a keeper, and what it was told."""

    def __init__(self, row: l1_state.Channel, side: int) -> None:
        self.channel = SimpleNamespace(
            id=row.id,
            side=side,
            row=SimpleNamespace(opening=row.opening),
            l1=None,
            coming=None,
            asked=None,
            resend_at=None,
        )
        self.own_keys: dict[int, bytes] = {}
        self.told: list[Any] = []

    async def offer(self, event: Any) -> None:
        await trio.lowlevel.checkpoint()
        self.told.append(event)

    @property
    def rows(self) -> list[l1_state.Channel]:
        return [event.row for event in self.told if isinstance(event, BlockSeen) and event.row is not None]

    @property
    def keys(self) -> list[dict[int, bytes]]:
        return [event.keys for event in self.told if isinstance(event, PeerKeysSeen)]


class Watching:
    """Bob's watcher on the town's chain."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.keepers: dict[bytes, NotingKeeper] = {}
        nothing = cast(Any, None)
        self.hospital = Hospital(
            id=town.b.id, name="bob", folder=nothing, config=nothing, keys=nothing, reader=town.reader(),
            store=nothing, bodies=nothing, started_ms=0, keepers=cast(dict[bytes, Keeper], self.keepers),
        )  # fmt: skip
        self.watcher = Watcher(self.hospital, self._adopt, self._cut)

    async def _adopt(self, row: l1_state.Channel) -> Keeper:
        await trio.lowlevel.checkpoint()
        self.keepers[row.id] = NotingKeeper(row, 1)
        return cast(Keeper, self.keepers[row.id])

    async def _cut(self, header: Header, *, keys_changed: bool) -> None:
        await trio.lowlevel.checkpoint()

    async def catch_up(self) -> None:
        """Until nothing moves any more: every keeper has heard of the chain's newest block then."""
        await all_idle()
        for keeper in self.keepers.values():
            heights = [event.height for event in keeper.told if isinstance(event, BlockSeen)]
            assert heights[-1] == self.town.chain.tip.height


@asynccontextmanager
async def watching(folder: Path) -> AsyncIterator[tuple[Town, Watching, list[bytes]]]:
    async with in_town(folder) as town, trio.open_nursery() as nursery:
        channels = await town.open(CHANNELS)
        watching = Watching(town)
        await nursery.start(watching.watcher.run)
        town.node.asked.clear()
        yield town, watching, channels
        nursery.cancel_scope.cancel()


async def test_at_the_start_every_keeper_hears_its_row_and_its_peers_keys(tmp_path: Path) -> None:
    async with watching(tmp_path) as (town, bob, channels):
        assert bob.keepers.keys() == set(channels)
        for keeper in bob.keepers.values():
            assert keeper.keys == [{1: town.a.channel.public_key}]
            assert keeper.own_keys == {1: town.b.channel.public_key}
            assert len(keeper.rows) == 1


async def test_a_block_about_one_channel_costs_one_row(tmp_path: Path) -> None:
    async with watching(tmp_path) as (town, bob, channels):
        await town.do(town.a.root, Deposit(channel=channels[3], amount=5))
        await bob.catch_up()
        assert town.node.asked["/v1/rows"] == 1
        assert town.node.asked["/v1/hospitals"] == 0
        assert [row.sides[0].deposit for row in bob.keepers[channels[3]].rows] == [100, 105]
        assert len(bob.keepers[channels[4]].rows) == 1


async def test_a_block_about_others_costs_no_row_and_everybody_hears_its_height(tmp_path: Path) -> None:
    async with watching(tmp_path) as (town, bob, channels):
        await town.do(ALICE, Transfer(to=account(ALICE), amount=1))
        await town.wait(3)
        await bob.catch_up()
        assert town.node.asked["/v1/rows"] == 0
        assert all(len(bob.keepers[channel].rows) == 1 for channel in channels)


async def test_a_quiet_channel_hears_of_other_peoples_blocks_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that waits for a block, for whatever reason, hears of it at once."""
    async with watching(tmp_path) as (town, bob, channels):
        busy, *quiet = (bob.keepers[channel] for channel in channels)
        for keeper in quiet:
            keeper.channel = SimpleNamespace(
                **vars(keeper.channel) | {"l1": keeper.rows[0], "phase": Phase.OPEN, "resumed": True, "coming": None}
            )
        monkeypatch.setattr("l2.node.watcher.QUIET_S", 3_600.0)
        heard = [len(keeper.told) for keeper in quiet]
        await town.do(ALICE, Transfer(to=account(ALICE), amount=1))
        await all_idle()
        assert busy.told[-1].height == town.chain.tip.height
        assert [len(keeper.told) for keeper in quiet] == heard
        await town.do(town.a.root, Deposit(channel=channels[3], amount=5))
        await all_idle()
        assert bob.keepers[channels[3]].rows[-1].sides[0].deposit == 105
        monkeypatch.setattr("l2.node.watcher.QUIET_S", 0.0)
        await town.do(ALICE, Transfer(to=account(ALICE), amount=1))
        await bob.catch_up()


async def test_a_new_channel_is_adopted(tmp_path: Path) -> None:
    async with watching(tmp_path) as (town, bob, _):
        [new] = await town.open()
        await bob.catch_up()
        assert bob.keepers[new].keys == [{1: town.a.channel.public_key}]
        assert len(bob.keepers) == CHANNELS + 1


async def test_a_peers_new_key_reaches_its_channels(tmp_path: Path) -> None:
    async with watching(tmp_path) as (town, bob, channels):
        key = key_named("alice's new key")
        words = key_words(hospital=town.a.id, kind=CHANNEL, key=key.public_key)
        new = RegisterKey(
            hospital=town.a.id, kind=CHANNEL, key=key.public_key, valid_from_ms=0, valid_until_ms=TIME_MS_MAX,
            possession=sign(key, Purpose.KEY, Context(chain=town.chain.id), words),
        )  # fmt: skip
        await town.do(town.a.root, new)
        await bob.catch_up()
        assert town.node.asked["/v1/rows"] == 1
        assert bob.keepers[channels[0]].keys[-1] == {1: town.a.channel.public_key, 4: key.public_key}
