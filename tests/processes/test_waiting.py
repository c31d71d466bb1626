"""Nodes that start before the chain does: they say that they wait, refuse what needs the chain, and go on with it."""

from pathlib import Path

import pytest

from client.demo.world import World, wait_until
from client.processes import run_once
from l1.ground.faults import LocalError, Refused
from l1.reader.answers import StatusAnswer
from l1.reader.transport import Transport
from tests.processes.cheap import cheaply
from tests.processes.hospitals import both_open, consents, open_channel, pair

pytestmark = pytest.mark.slow


async def _start_chain(world: World, folder: str, port: str) -> None:
    arguments = ["l1.node", "run", "--folder", str(world.folder / folder), "--port", port]
    world.chain = await world.start("chain", arguments)


async def test_a_hospital_waits_for_the_chain_and_goes_on(tmp_path: Path) -> None:
    async with pair(tmp_path) as (world, a, b):
        channel = await open_channel(a, b)
        await a.desk.append(channel, consents("before", 0, 100))
        port = world.chain.url.rpartition(":")[2]
        await a.stop()
        await b.stop()
        await world.chain.stop()
        await a.start()
        status = await a.desk.status()
        assert status.waiting is not None
        assert f"the chain at {world.chain.url} does not answer" in status.waiting
        assert (status.name, status.height) == ("A", 0)
        for asked in (a.desk.channels, lambda: a.desk.channel(channel), a.desk.keys):
            with pytest.raises((LocalError, Refused), match="does not answer"):
                await asked()
        with pytest.raises((LocalError, Refused), match="does not answer"):
            await a.desk.append(channel, consents("closed", 0, 1))
        assert "waiting for the chain" in world.log("A").read_text()
        await b.start()
        await _start_chain(world, "chain", port)
        await _nobody_waits(world)
        await both_open(a, b, channel)
        assert (await a.desk.append(channel, consents("after", 0, 100))).written == 100
        assert (await a.desk.status()).waiting is None


async def _nobody_waits(world: World) -> None:
    async def nobody() -> bool:
        return not [one for one in world.hospitals if (await one.desk.status()).waiting]

    await wait_until("nobody waits for the chain", nobody, 60)


async def test_a_follower_waits_for_its_source_and_knows_another_chain(tmp_path: Path) -> None:
    async with pair(tmp_path) as (world, _, _):
        port = world.chain.url.rpartition(":")[2]
        words = ["--folder", str(tmp_path / "follower"), "--genesis", str(world.genesis_file), "--port", "0"]
        arguments = ["l1.node", "follow", *words, "--from", world.chain.url]
        await world.chain.stop()
        node = await world.start("follower", arguments)
        follower = Transport(node.url)
        assert (await follower.get("/v1/status", StatusAnswer)).height == 0
        await _start_chain(world, "chain", port)

        async def has_followed() -> bool:
            return (await follower.get("/v1/status", StatusAnswer)).height > 0

        await wait_until("the follower has blocks", has_followed, 60)
        await world.chain.stop()
        await run_once(
            cheaply("l1.node", "init", "--folder", str(tmp_path / "other"), "--name", "other", "--block-ms", "50"),
            log=world.log("other"),
            environment=world.environment,
        )
        await _start_chain(world, "other", port)

        async def has_ended() -> bool:
            return not node.is_running

        await wait_until("the follower has ended", has_ended, 60)
        assert "serves another chain" in world.log("follower").read_text()
        await follower.aclose()
