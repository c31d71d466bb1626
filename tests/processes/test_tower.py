"""The tower scene: B is off, A closes stale, a tower that was itself killed answers, B comes back to its credits."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from client.demo.play import GIFT
from client.demo.records import BOND, DEPOSIT
from client.demo.world import Hospital, World, wait_until
from client.processes import Node
from l1.rules.state import Channel, Phase
from l2.desk.watch_words import TowerWanted
from l2.vigil import Watchtower
from tests.processes.hospitals import both_open, consents, open_channel, pair

pytestmark = pytest.mark.slow

WINDOW_MS = 15_000
PATIENCE_S = 90.0
PER_MILLE = 300
REWARD = BOND * PER_MILLE // 1_000


def interward(*arguments: object) -> dict[str, object]:
    """A command of the tower's, in JSON."""
    command = [sys.executable, "-m", "client", "tower", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


async def row_of(world: World, channel: str) -> Channel:
    row = await world.reader.channel(bytes.fromhex(channel))
    assert row is not None
    return row


async def credits_of(world: World, account: bytes) -> int:
    found = await world.reader.account(account)
    return 0 if found is None else found.credits


async def test_the_tower_scene(tmp_path: Path) -> None:
    async with pair(tmp_path) as (world, a, b):
        tower = await world.add_tower("T")
        channel = await open_channel(a, b, window_ms=WINDOW_MS)
        old = await _a_goes_on(a, b, channel)
        size = (await b.desk.channel(channel)).theirs.size
        await _b_is_watched(b, tower)
        await tower.kill()
        await b.kill()
        await a.stop()
        await world.run("A-older", ["l2.node", "close-from-folder", "--folder", str(old)])
        tower = await world.start_tower("T")

        async def answered() -> bool:
            return (await row_of(world, channel)).stale

        await wait_until("the tower has answered the stale close", answered, PATIENCE_S)
        row = await row_of(world, channel)
        assert row.closer is not None
        assert row.sides[row.closer].posted.size == size
        await _paid(world, channel, {bytes.fromhex(str(tower.ready["tower"])): REWARD}, a, b)
        await _b_comes_back(b, channel)
        await _is_proved(world, tower.url, channel, tmp_path)


async def _a_goes_on(a: Hospital, b: Hospital, channel: str) -> Path:
    """A's older folder: A wrote more since, and B acknowledged it."""
    await a.desk.append(channel, consents("old", 0, 20))
    await a.stop()
    old = a.copy("A-older")
    await a.start()
    await both_open(a, b, channel)
    await a.desk.append(channel, consents("new", 0, 50))
    return old


async def _b_is_watched(b: Hospital, tower: Node) -> None:
    view = await b.desk.add_tower(TowerWanted(url=tower.url, reward_per_mille=PER_MILLE))
    assert view.tower == tower.ready["tower"]

    async def handed() -> bool:
        [found] = await b.desk.towers()
        return found.channels == 1 and found.behind == 0 and not found.trouble

    await wait_until("the tower holds what B holds", handed, PATIENCE_S)


async def _paid(world: World, channel: str, earned: dict[bytes, int], a: Hospital, b: Hospital) -> None:
    async def settled() -> bool:
        return (await row_of(world, channel)).phase == Phase.SETTLED

    await wait_until("the tower has settled the channel", settled, PATIENCE_S)
    expected = {a.id: GIFT - BOND, b.id: GIFT + BOND - REWARD, **earned}
    assert {account: await credits_of(world, account) for account in expected} == expected


async def _b_comes_back(b: Hospital, channel: str) -> None:
    await b.start()

    async def found() -> bool:
        return (await b.desk.channel(channel)).state == "settled"

    await wait_until("B knows how its channel ended", found, PATIENCE_S)
    assert (await b.desk.settle(channel)).payout == DEPOSIT + 2 * BOND - REWARD


async def _is_proved(world: World, url: str, channel: str, folder: Path) -> None:
    proof = folder / "proof.json"
    interward("prove", channel[:8], "--save", proof, "--url", url)
    said = interward("verify", proof, "--genesis", world.genesis_file)
    assert (said["ok"], said["channel"]) == (True, channel)
    async with Watchtower(url) as asked:

        async def taken_in() -> bool:
            [answer] = await asked.answers()
            return (answer.stand, answer.settled, answer.reward) == ("answered", True, REWARD)

        await wait_until("the tower knows what it earned", taken_in, PATIENCE_S)
        assert (await asked.status()).watched == 0
