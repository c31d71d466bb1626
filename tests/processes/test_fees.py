"""The whole life of a channel on a chain that takes fees: no key of a hospital's node needs a purse of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from client.demo.play import GIFT
from client.demo.records import BOND, DEPOSIT
from client.demo.world import CREDITS_TOTAL, Hospital, World, wait_until
from l1.rules.state import Channel, Phase
from l1.rules.transactions import CHANNEL, account_of
from l2.desk.watch_words import TowerWanted
from tests.processes.hospitals import consents, open_channel, pair

pytestmark = pytest.mark.slow

FEE = 3
WINDOW_MS = 3_000
PATIENCE_S = 90.0
TREASURY = bytes(20)


def interward(world: World, *words: object) -> Any:
    """A command of the founders', in JSON."""
    command = [sys.executable, "-m", "client", *map(str, words), "--json"]
    place = ["--folder", str(world.folder / "chain"), "--url", world.chain.url]
    done = subprocess.run(
        command + place, capture_output=True, text=True, check=False, timeout=120, env=os.environ | world.environment
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def credits_of(world: World, account: bytes) -> int:
    found = await world.reader.account(account)
    return 0 if found is None else found.credits


async def row_of(world: World, channel: str) -> Channel:
    row = await world.reader.channel(bytes.fromhex(channel))
    assert row is not None
    return row


async def test_a_channel_from_opening_to_payout_where_everything_costs(tmp_path: Path) -> None:
    async with pair(tmp_path, fee=FEE) as (world, a, b):
        assert interward(world, "chain", "parameters", "show")["fee"] == FEE
        tower = await world.add_tower("T")
        purse = interward(world, "chain", "pay", tower.ready["tower"], 1_000)
        assert purse["credits"] == 1_000
        channel = await open_channel(a, b, window_ms=WINDOW_MS)
        await b.desk.add_tower(TowerWanted(url=tower.url, reward_per_mille=100))
        await a.desk.append(channel, consents("first", 0, 10))
        await b.desk.append(channel, consents("second", 0, 10))
        await _all_held(a, b, channel)
        await a.desk.checkpoint(channel)
        await _a_key_without_a_purse_paid(world, a)
        changed = interward(world, "chain", "parameters", "set", "--fee", 5)
        assert (changed["fee"], changed["serial"]) == (5, 1)
        await b.desk.close(channel, alone=True)

        async def paid_out() -> bool:
            return (await row_of(world, channel)).phase == Phase.SETTLED

        await wait_until("the channel is paid out", paid_out, PATIENCE_S)
        assert [side.paid_out for side in (await row_of(world, channel)).sides] == [DEPOSIT + BOND] * 2
        await _books(world, a, b, bytes.fromhex(str(tower.ready["tower"])))


async def _all_held(a: Hospital, b: Hospital, channel: str) -> None:
    async def held() -> bool:
        views = [await each.desk.channel(channel) for each in (a, b)]
        return all(view.theirs.size >= 10 for view in views)

    await wait_until("either holds what the other wrote", held, PATIENCE_S)


async def _a_key_without_a_purse_paid(world: World, a: Hospital) -> None:
    """The checkpoint was asked by the channel key, which owns nothing; the hospital paid."""
    found = await world.reader.hospital(a.id)
    assert found is not None
    key = next(key.key for key in found.keys if key.kind == CHANNEL)
    asked = await world.reader.account(account_of(key))
    assert asked is not None
    assert asked.credits == 0
    assert asked.nonce >= 1


async def _books(world: World, a: Hospital, b: Hospital, tower: bytes) -> None:
    """Every credit is somewhere; what the hospitals lack went to the treasury."""
    accounts = (account_of(world.registrar.public_key), tower, TREASURY, a.id, b.id)
    held = {account: await credits_of(world, account) for account in accounts}
    assert sum(held.values()) == CREDITS_TOTAL
    assert held[a.id] < GIFT
    assert held[b.id] < GIFT
    assert held[TREASURY] > 0
