"""kill -9, cut wires, full and failing disks, under load: nothing acknowledged is lost, no size has two heads.

A short storm; the long one is `python -m tests.processes.soak`.
"""

import platform
import resource
import signal
from pathlib import Path

import pytest
import trio

from client.demo.world import Hospital
from tests.processes.hospitals import (
    both_open,
    consents,
    ends_by_itself,
    open_channel,
    pair,
    run_arguments,
    write_until_it_ends,
)
from tests.processes.no_sync import SYSCALLS
from tests.processes.storm import open_storm

pytestmark = pytest.mark.slow

KILLS = 10
DEADLINE_S = 240


@pytest.mark.parametrize("seed", [20_261_122])
async def test_nothing_acknowledged_is_lost_in_a_storm(tmp_path: Path, seed: int) -> None:
    with trio.fail_after(DEADLINE_S):
        async with open_storm(tmp_path, seed) as storm:
            while storm.killed < KILLS:
                await storm.strike()
            await storm.end()
            assert storm.ledger.lost == []
            assert storm.ledger.double_heads == []
            assert storm.ledger.entries > 0
            assert len(storm.ledger.heads_seen) > KILLS


async def _comes_back(a: Hospital, b: Hospital, channel: str, known: int) -> None:
    """Started again, A has all that was acknowledged, and the channel goes on."""
    await a.close_desk()
    await a.start()
    await both_open(a, b, channel)
    assert (await a.desk.channel(channel)).own.size >= known
    assert (await b.desk.channel(channel)).theirs.size >= known
    await a.desk.append(channel, consents("after", 0, 10))
    assert (await a.desk.verify_log(channel)).ok
    assert (await b.desk.verify_log(channel)).ok


async def test_a_full_disk_ends_the_hospital_and_loses_nothing(tmp_path: Path) -> None:
    """The file may not grow past a limit: what a full disk looks like to the process."""
    async with pair(tmp_path) as (world, a, b):
        channel = await open_channel(a, b)
        await a.desk.append(channel, consents("before", 0, 1_000))
        limit = (a.folder / "channels.mdb").stat().st_size + 2**20
        resource.prlimit(a.node.pid, resource.RLIMIT_FSIZE, (limit, limit))
        with trio.fail_after(60):
            known = await write_until_it_ends(a, channel)
        assert known
        await ends_by_itself(world, a)
        await _comes_back(a, b, channel, known)


@pytest.mark.skipif(platform.machine() not in SYSCALLS, reason="its system calls are not known here")
async def test_a_failing_sync_ends_the_hospital_and_loses_nothing(tmp_path: Path) -> None:
    """From a moment on the kernel answers every sync of the process with EIO."""
    async with pair(tmp_path) as (world, a, b):
        channel = await open_channel(a, b)
        await a.stop()
        node = await world.start("A", ["tests.processes.no_sync", *run_arguments(a.folder)])
        a.take(node)
        await both_open(a, b, channel)
        await a.desk.append(channel, consents("before", 0, 1_000))
        node.signal(signal.SIGUSR1)
        with trio.fail_after(60):
            known = await write_until_it_ends(a, channel)
        await ends_by_itself(world, a)
        await _comes_back(a, b, channel, max(known, 1_000))
