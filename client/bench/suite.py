"""`interward bench --all`: every instrument in turn, with the ratio to the bare pipeline of the same run."""

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from client.bench.chain import bench_chain
from client.bench.channel import bench_channel
from client.bench.channels import bench_channels
from client.bench.floor import bench_floor
from client.bench.hub import bench_hub
from client.bench.latency import bench_latency
from client.bench.log import bench_log
from client.bench.machine import machine
from client.bench.records import bench_records
from client.progress import Bars

__all__ = ["bench_all", "with_ratio"]

BATCH = 1_000
SMALL_BATCH = 100
RATES = (10_000, 50_000)
COUNTS = (1, 10, 100)  # `interward bench channels --channels 1000` opens as many for some minutes
WORKERS, HUB_CHANNELS = (1, 2), 8
RECORD_MIB = (64,)  # `interward bench records` also carries bodies of 2 GiB
RECORDS = 8_192


async def bench_all(folder: Path, *, updates: int, runs: int, entries: int, seed: int, bars: Bars) -> dict[str, Any]:
    """Medians of `runs` where a rate is measured. `updates` are those of one run."""

    def place(name: str) -> Path:
        made = folder / name
        made.mkdir(parents=True)
        return made

    async def middle(name: str, job: Callable[[Path], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        done = [await job(place(f"{name}-{run}")) for run in range(runs)]
        rates = [one["updates_per_s"] for one in done]
        return min(done, key=lambda one: abs(one["updates_per_s"] - median(rates))) | {"runs": rates}

    async def floor(at: Path) -> dict[str, Any]:
        return await bench_floor(at, updates, batch=BATCH, seed=seed, bars=bars)

    async def channel(at: Path, batch: int = BATCH, *, both: bool = False) -> dict[str, Any]:
        return await bench_channel(at, updates, batch=batch, both=both, seed=seed, bars=bars)

    said: dict[str, Any] = {"machine": machine(), "floor": await middle("floor", floor)}
    limit = said["floor"]["updates_per_s"]
    said["one_way"] = with_ratio(await middle("one-way", channel), limit)
    said["small_batches"] = with_ratio(await middle("small", lambda at: channel(at, SMALL_BATCH)), limit)
    said["both_ways"] = with_ratio(await middle("both-ways", lambda at: channel(at, both=True)), limit)
    said["channels"] = await bench_channels(place("channels"), COUNTS, updates, seed=seed, bars=bars)
    hub = partial(bench_hub, channels=HUB_CHANNELS, updates=2 * updates, batch=BATCH, seed=seed, bars=bars)
    said["hub"] = await hub(place("hub"), WORKERS)
    said["latency"] = await bench_latency(place("latency"), RATES, 4.0, seed=seed, bars=bars)
    said["log"] = await bench_log(place("log"), entries, seed=seed, bars=bars)
    said["records"] = await bench_records(place("records"), RECORD_MIB, RECORDS, bars=bars)
    said["chain"] = await bench_chain(place("chain"), 10_000, bars=bars)
    return said


def with_ratio(figures: dict[str, Any], floor_per_s: int) -> dict[str, Any]:
    """Figures of a rate, and what share of the bare pipeline's it is."""
    return figures | {"ratio_to_floor": round(figures["updates_per_s"] / floor_per_s, 2)}
