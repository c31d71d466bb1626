"""Large bodies and small ones from one peer at once, at the rate that it allows: the small ones need not wait until the
large ones are through. Progress is compared, not time."""

import random
import re
from pathlib import Path

import pytest
import trio

from client.demo.play import GIFT
from client.demo.world import Hospital, wait_until
from l1.ground.codes import RecordClass
from l2.desk import words
from tests.processes.hospitals import consented, open_channel
from tests.processes.worlds import open_world

pytestmark = pytest.mark.slow

MIB = 1024 * 1024
RATE = 2 * MIB  # a second, to each peer: far below what any disk does, so that it alone decides, on a busy machine too
LARGE, SMALL = 40 * MIB, MIB // 4
LARGE_ONES, SMALL_ONES = 2, 4  # two large ones have all four lines; without turns the small ones would get none
FAR_S = 90.0


async def grant(a: Hospital, channel: str, content: bytes) -> int:
    added = await a.desk.add_record(content, name=f"scan of {len(content)}")
    return (await a.desk.share(added.record, words.Share(channel=channel, purposes=("TREAT",)))).grant


async def test_small_bodies_do_not_wait_for_large_ones(tmp_path: Path) -> None:
    noise = random.Random(1).randbytes(LARGE)
    async with open_world(tmp_path) as world:
        await world.found_chain(follower=False)
        a, b = [await world.make_hospital(name, GIFT) for name in "AB"]
        config = a.folder / "hospital.toml"
        config.write_text(re.sub(r"record_bytes_per_s = \d+", f"record_bytes_per_s = {RATE}", config.read_text()))
        for hospital in (a, b):
            await hospital.start()
        channel = await open_channel(a, b)
        await consented(a, channel, "", tuple(one.name for one in RecordClass))
        large = [await grant(a, channel, bytes([number]) + noise[1:]) for number in range(LARGE_ONES)]
        small = [await grant(a, channel, bytes([number]) + noise[1:SMALL]) for number in range(SMALL_ONES)]

        async def done() -> dict[int, int]:
            """Bytes of the large ones that are here, of those that are under way."""
            return {one.grant: one.bytes_done for one in await b.desk.transfers() if one.grant in large}

        async def have_begun() -> bool:
            return len(found := await done()) == LARGE_ONES and all(found.values())

        async with trio.open_nursery() as nursery:
            for each in large:
                nursery.start_soon(b.desk.fetch, channel, each)
            await wait_until("the large ones are on their way", have_begun, FAR_S)
            before = await done()
            async with trio.open_nursery() as others:
                for each in small:
                    others.start_soon(b.desk.fetch, channel, each)
            after = await done()
            assert set(after) == set(large), f"of {before} is left {after}"
            # The small ones are an eightieth of what the large ones are; these went on meanwhile, but not as if alone.
            assert all(before[each] <= after[each] for each in large), (before, after)
            assert sum(after.values()) < LARGE_ONES * LARGE * 3 // 4, (before, after)
            assert [view.bytes for view in await b.desk.records()] == [SMALL] * SMALL_ONES
            nursery.cancel_scope.cancel()
