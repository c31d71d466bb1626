"""`interward bench channel`: one channel between two hospital processes, at full speed. Knows what is measured and how.

Bytes on the wire are those the secure lines sent; bytes on disk are blocks that the hospitals' folders grew by;
processor time is the kernel's count for each process.
"""

from pathlib import Path
from typing import Any

import trio

from client.bench.pair import Figures, collect_garbage, groundwork, open_channels, percentile, two_hospitals, write_all
from client.demo.world import open_world
from client.driver import Measured
from client.progress import Bars
from l2.desk.watch_words import TowerWanted

__all__ = ["bench_channel"]

LONE_UPDATES = 200
WARM_UP_UPDATES = 24_000  # interpreters, caches and files reach their steady state


async def bench_channel(
    folder: Path, updates: int, *, batch: int, seed: int, bars: Bars, both: bool = False, towers: int = 0
) -> dict[str, Any]:
    """Run it in an empty folder. A grants, B writes what is measured; `both`: each writes half of it. `towers`: so many
    watch for A, which receives."""
    async with open_world(folder) as world:
        with bars.stage("Start a chain and two hospitals"):
            a, b = await two_hospitals(world, batch)
            (channel,) = await open_channels(a, b)
            for number in range(towers):
                tower = await world.add_tower(f"T{number}")
                await a.desk.add_tower(TowerWanted(url=tower.url, reward_per_mille=100))
        each = updates // 2 if both else updates
        with bars.stage("Grants to refer to"):
            streams = await groundwork(a, b, channel, WARM_UP_UPDATES + each, seed)
        writers = list(zip((a, b), streams, strict=True))[0 if both else 1 :]
        with bars.stage("Warm up"):
            for hospital, stream in writers:
                await write_all(hospital, channel, stream.chunks(WARM_UP_UPDATES))
        prepared = [await trio.to_thread.run_sync(stream.chunks, each) for _, stream in writers]
        collect_garbage()
        before, measured = await Figures.of(a, b), list[Measured]()
        with bars.stage("Measure", each * len(writers)) as advance:

            async def measure(number: int) -> None:
                measured.append(await write_all(writers[number][0], channel, prepared[number], advance))

            async with trio.open_nursery() as nursery:
                for number in range(len(writers)):
                    nursery.start_soon(measure, number)
        after = await Figures.of(a, b)
        with bars.stage("Lone updates", LONE_UPDATES) as advance:
            lone = [await write_all(b, channel, [streams[1].chunk(1)], advance) for _ in range(LONE_UPDATES)]
    total, seconds = sum(one.updates for one in measured), max(one.seconds for one in measured)
    return {
        "updates": total,
        "both_ways": both,
        "towers": towers,
        "batch": batch,
        "seconds": round(seconds, 3),
        "updates_per_s": round(total / seconds),
        "latency_ms": {"p50": max(one.p50_ms for one in measured), "p99": max(one.p99_ms for one in measured)},
        "lone_latency_ms": {
            f"p{round(share * 100)}": percentile([one.p50_ms for one in lone], share) for share in (0.5, 0.99)
        },
        **before.until(after, total),
    }
