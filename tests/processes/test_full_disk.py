"""A real file system that is full: a node ends or refuses with one line; nothing acknowledged is lost; it goes on."""

import random
from pathlib import Path

import pytest
import trio

from client.demo.world import Hospital, World, wait_until
from client.processes import run_once
from l1.ground.faults import LocalError, Refused
from tests.processes.hospitals import (
    both_open,
    consents,
    ends_by_itself,
    open_channel,
    pair,
    run_arguments,
    write_until_it_ends,
)
from tests.processes.small_disk import SmallDisk, small_disk

pytestmark = pytest.mark.slow

MIB = 1024 * 1024
ROOM_BYTES = 512 * 1024
DISK_MIB = 48
PATIENCE_S = 60.0
NO_MOUNT = "this machine allows no mount in a user namespace"


async def _start_on(disk: SmallDisk, world: World, hospital: Hospital) -> None:
    hospital.folder = disk.outside
    node = await world.start(hospital.name, disk.runs(*run_arguments(disk.folder)))
    hospital.take(node)


async def _refuses_a_record(hospital: Hospital) -> None:
    """What only this hospital would have: it is told that nothing was kept, and the hospital goes on."""
    with pytest.raises((LocalError, Refused), match=r"No space left.*disk"):
        await hospital.desk.add_record(random.Random(1).randbytes(2 * ROOM_BYTES), name="too large")
    assert hospital.node.is_running
    assert await hospital.desk.records() == []


async def _does_not_start(disk: SmallDisk, world: World, hospital: Hospital) -> None:
    log = world.folder / "full.log"
    arguments = disk.runs(*run_arguments(disk.folder))
    status, _ = await run_once(arguments, log=log, environment=world.environment)
    errors = [line for line in log.read_text().splitlines() if line.startswith("error: ")]
    assert (status, len(errors)) == (2, 1), log.read_text()
    assert "the disk did not take what had to be written" in errors[0]
    assert "damaged" not in errors[0]
    assert "Traceback" not in log.read_text()


async def test_a_full_file_system_ends_the_hospital_and_loses_nothing(tmp_path: Path) -> None:
    async with pair(tmp_path) as (world, a, b):
        channel = await open_channel(a, b)
        await a.stop()
        with small_disk(a.folder, DISK_MIB) as disk:
            if disk is None:
                pytest.skip(NO_MOUNT)
            await _start_on(disk, world, a)
            await both_open(a, b, channel)
            await a.desk.append(channel, consents("before", 0, 1_000))
            disk.fill(ROOM_BYTES)
            await _refuses_a_record(a)
            with trio.fail_after(PATIENCE_S):
                known = await write_until_it_ends(a, channel)
            await ends_by_itself(world, a)
            disk.fill(0)
            await _does_not_start(disk, world, a)
            disk.make_room()
            await a.close_desk()
            await _start_on(disk, world, a)
            await both_open(a, b, channel)
            assert (await a.desk.channel(channel)).own.size >= max(known, 1_000)
            await a.desk.append(channel, consents("after", 0, 10))
            assert (await a.desk.add_record(bytes(MIB), name="fits")).bytes == MIB
            for hospital in (a, b):
                assert (await hospital.desk.verify_log(channel)).ok
            await a.stop()


async def test_a_full_file_system_ends_the_chain_and_it_goes_on(tmp_path: Path) -> None:
    async with pair(tmp_path) as (world, a, b):
        port = world.chain.url.rpartition(":")[2]
        await world.chain.stop()
        with small_disk(tmp_path / "chain", DISK_MIB) as disk:
            if disk is None:
                pytest.skip(NO_MOUNT)
            arguments = disk.runs("l1.node", "run", "--folder", str(disk.folder), "--port", port)
            world.chain = await world.start("chain", arguments)
            channel = await open_channel(a, b)
            disk.fill(0)

            async def ended() -> bool:
                return not world.chain.is_running

            await wait_until("the chain's node has ended", ended, PATIENCE_S)
            said = world.log("chain").read_text()
            assert "Traceback" not in said
            # LMDB calls a write for which there was room in part an input/output error.
            assert "the disk failed" in [line for line in said.splitlines() if line.startswith("error: ")][-1]
            assert (await a.desk.append(channel, consents("meanwhile", 0, 100))).written == 100
            disk.make_room()
            world.chain = await world.start("chain", arguments)
            height = (await a.desk.status()).height

            async def goes_on() -> bool:
                return (await a.desk.status()).height > height + 1

            await wait_until("the chain goes on", goes_on, PATIENCE_S)
            assert (await a.desk.checkpoint(channel)).own_size >= 100
            await world.chain.stop()
