"""`interward bench channels`: many channels between two hospital processes at once, each with its own line and log."""

import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import trio

from client.bench.pair import collect_garbage, groundwork, open_channels, two_hospitals, write_all
from client.demo.world import open_world
from client.progress import Advance, Bars

__all__ = ["bench_channels"]

CHUNK_ENTRIES = 2_000  # drafts in one message to the desk, at most
WARM_UP_SHARE = 8  # one update in so many comes before what is measured
AT_ONCE = 16  # channels whose requests are under way together


async def bench_channels(folder: Path, counts: Sequence[int], updates: int, *, seed: int, bars: Bars) -> dict[str, Any]:
    """For each count, that many channels share the updates. The ratio is to the first count."""
    rows: list[dict[str, Any]] = []
    for count in counts:
        place = folder / str(count)
        place.mkdir()
        rate = await _measure(place, count, updates, seed, bars)
        rows.append({"channels": count, "updates": updates // count * count, "updates_per_s": round(rate)})
    first = rows[0]["updates_per_s"]
    return {"rows": [row | {"ratio": round(row["updates_per_s"] / first, 2)} for row in rows]}


async def _measure(folder: Path, count: int, updates: int, seed: int, bars: Bars) -> float:
    each = updates // count
    async with open_world(folder) as world:
        with bars.stage(f"Open {count} channels"):
            a, b = await two_hospitals(world)
            channels = await open_channels(a, b, count)
        chunks: dict[str, list[bytes]] = {}

        async def prepare(channel: str) -> None:
            _, stream = await groundwork(a, b, channel, each + each // WARM_UP_SHARE, seed)
            await write_all(b, channel, stream.chunks(max(1, each // WARM_UP_SHARE)))
            chunks[channel] = stream.chunks(each, CHUNK_ENTRIES)

        with bars.stage("Grants to refer to", count) as advance:
            await _in_lanes(channels, prepare, advance)
        collect_garbage()
        began = time.monotonic()
        with bars.stage("Measure", count) as advance:
            await _in_lanes(channels, lambda channel: write_all(b, channel, chunks[channel]), advance)
        return each * count / (time.monotonic() - began)


async def _in_lanes(channels: Sequence[str], job: Callable[[str], Awaitable[object]], advance: Advance) -> None:
    """The job for each channel, for some of them at a time."""
    waiting = iter(channels)

    async def lane() -> None:
        for channel in waiting:
            await job(channel)
            advance()

    async with trio.open_nursery() as nursery:
        for _ in range(min(AT_ONCE, len(channels))):
            nursery.start_soon(lane)
