"""Peers that are there and say nothing: a wire that swallows one direction, a process that is stuck."""

from pathlib import Path

import pytest
import trio

from client.demo.play import GIFT
from client.demo.world import Hospital, World, wait_until
from tests.processes.hospitals import both_open, consents, open_channel, run_arguments
from tests.processes.proxy import open_wire
from tests.processes.stuck import write_beside_a_stuck_peer
from tests.processes.worlds import open_world

pytestmark = pytest.mark.slow

SILENT_S = 4
NOTICED_S = 90.0
GROWN_MIB_MAX = 400  # 200,000 queued entries of a kilobyte in memory, and what is on its way


async def _start_impatient(world: World, hospital: Hospital) -> None:
    arguments = ["tests.processes.impatient", str(SILENT_S), *run_arguments(hospital.folder)]
    hospital.take(await world.start(hospital.name, arguments))


async def _noticed(hospital: Hospital, channel: str, since: str, log: Path, *, by_itself: bool) -> None:
    async def noticed() -> bool:
        said = log.read_text().removeprefix(since)  # noqa: ASYNC240 - a few lines of a log
        away = (await hospital.desk.channel(channel)).state == "connecting"
        return away and (not by_itself or f"said nothing for {SILENT_S} s" in said)

    await wait_until(f"{hospital.name} has noticed", noticed, NOTICED_S)


@pytest.mark.parametrize("answers", [True, False])
async def test_a_wire_that_swallows_one_direction_is_noticed_at_both_ends(tmp_path: Path, *, answers: bool) -> None:
    async with open_world(tmp_path) as world, open_wire(0) as wire:
        await world.found_chain(follower=False)
        a = await world.make_hospital("A", GIFT)
        b = await world.make_hospital("B", GIFT, "--endpoint", f"127.0.0.1:{wire.port}")
        for hospital in (a, b):
            await _start_impatient(world, hospital)
        wire.target = int(str(b.node.ready["endpoint"]).rpartition(":")[2])
        channel = await open_channel(a, b)
        for hospital in (a, b):
            await hospital.desk.append(channel, consents(hospital.name, 0, 100))
        deaf = a if answers else b  # who hears nothing any more
        before = world.log(deaf.name).read_text()
        wire.swallow(answers=answers)
        async with trio.open_nursery() as nursery:
            for hospital in (a, b):
                nursery.start_soon(hospital.desk.append, channel, consents("meanwhile", 0, 100))
            for hospital in (a, b):
                await _noticed(hospital, channel, before, world.log(hospital.name), by_itself=hospital is deaf)
            wire.swallow(answers=None)
        await both_open(a, b, channel)
        for hospital in (a, b):
            view = await hospital.desk.channel(channel)
            assert min(view.own.size, view.theirs.size) >= 200
            assert (await hospital.desk.verify_log(channel)).ok


async def test_a_stuck_peer_slows_no_other_channel_and_fills_no_memory(tmp_path: Path) -> None:
    with trio.fail_after(300):
        found = await write_beside_a_stuck_peer(tmp_path, rounds=3)
    assert found.ratio > 0.1, "beside a stuck peer the other channel works"
    assert found.grown_mib < GROWN_MIB_MAX
    assert found.lost == 0
