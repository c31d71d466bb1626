"""`interward bench hub`: how many updates a second one hospital takes in, with one worker and with several.

Its peer costs as little as can be, for it runs on the same cores: Mallory, who for once is honest, has written and
signed all batches of all channels beforehand, and only sends them, a window at a time, on a real line for each channel.
What the hub does is all there: TLS, every entry decoded, hashed, judged, synced, and answered with a signature.
"""

import json
import os
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import trio

from client.admission import admit, read_admission
from client.bench.floor_entries import entry_of
from client.bench.pair import UPDATES_PER_ENCOUNTER, collect_garbage, found_encounters, write
from client.bench.stream import Stream, consents_of, grants_of
from client.demo.encounters import Encounter
from client.demo.mallory import Mallory
from client.demo.mallory_pen import Pen
from client.demo.play import GIFT
from client.demo.workload import Workload
from client.demo.world import Hospital, World, now_ms, open_world
from client.processes import cpu_s_of
from client.progress import Bars
from l1.rules.log.entries import Entry, Terms
from l2.link import SLOTS
from l2.protocol.limits import WINDOW_BATCHES

__all__ = ["bench_hub"]

TERMS = {"deposit": 1_000, "bond": 1_000, "window_ms": 3_600_000}
WARM_UP_SHARE = 5  # one update in so many comes before what is measured

Batch = tuple[bytes, int]
"""A message, and the size of the log after it."""


async def bench_hub(
    folder: Path, counts: Sequence[int], *, channels: int, updates: int, batch: int, seed: int, bars: Bars
) -> dict[str, Any]:
    """For each number of workers, that many updates through all channels together. The ratio is to the first."""
    rows: list[dict[str, Any]] = []
    for number, workers in enumerate(counts):
        place = folder / f"{number}-{workers}"
        place.mkdir()
        rows.append(await _measure(place, workers, channels, updates // channels, batch, seed, bars))
    first = rows[0]["updates_per_s"]
    return {
        "channels": channels,
        "batch": batch,
        "rows": [row | {"ratio": round(row["updates_per_s"] / first, 2)} for row in rows],
    }


async def _measure(
    folder: Path, workers: int, channels: int, each: int, batch: int, seed: int, bars: Bars
) -> dict[str, Any]:
    async with open_world(folder) as world, trio.open_nursery() as nursery:
        with bars.stage(f"Open {channels} channels with {workers} workers", channels) as advance:
            hub, mallory = await _hub_and_peer(world, workers, nursery)
            warm, timed = list[tuple[Pen, list[Batch]]](), list[tuple[Pen, list[Batch]]]()
            for number in range(channels):
                pen, batches = await _prepare(hub, mallory, number % SLOTS, each, batch, seed)
                cut = len(batches) // WARM_UP_SHARE
                warm.append((pen, batches[:cut]))
                timed.append((pen, batches[cut:]))
                advance()
        await _replay_all(warm)
        collect_garbage()
        sizes = [pen.acknowledged for pen, _ in timed]
        pids = [one.pid for one in (await hub.desk.status()).workers] or [hub.node.pid]
        before, began = [cpu_s_of(pid) for pid in (*pids, os.getpid())], time.monotonic()
        with bars.stage("Measure", channels) as advance:
            await _replay_all(timed)
            seconds = time.monotonic() - began
        after = [cpu_s_of(pid) for pid in (*pids, os.getpid())]
        total = sum(batches[-1][1] - size for (_, batches), size in zip(timed, sizes, strict=True))
        used = [late - early for early, late in zip(before, after, strict=True)]
        nursery.cancel_scope.cancel()
    return {
        "workers": workers,
        "updates": total,
        "updates_per_s": round(total / seconds),
        "cpu_us_per_update": {
            "hub": round(sum(used[:-1]) * 1e6 / total, 2),
            "peer": round(used[-1] * 1e6 / total, 2),
        },
        "busy": [round(one / seconds, 2) for one in used[:-1]],
    }


async def _hub_and_peer(world: World, workers: int, nursery: trio.Nursery) -> tuple[Hospital, Mallory]:
    await world.found_chain(follower=False)
    hub = await world.make_hospital("Hub", GIFT, "--workers", str(workers))
    await hub.start()
    mallory = Mallory(world.reader, nursery)
    await admit(world.reader, world.registrar, read_admission(json.dumps(mallory.admission()).encode()), GIFT)
    return hub, mallory


async def _prepare(
    hub: Hospital, mallory: Mallory, slot: int, each: int, batch: int, seed: int
) -> tuple[Pen, list[Batch]]:
    """A channel in which the hub has granted, and the batches that its peer has written about these grants."""
    channel = (await mallory.open(hub.id.hex(), slot=slot, **TERMS))["channel"]
    pen = mallory.pen(channel)
    encounters = Workload(found_encounters(seed), seed, now_ms=now_ms()).next_encounters(
        max(1, each // UPDATES_PER_ENCOUNTER)
    )
    time_ms = now_ms()
    patients = list(dict.fromkeys(encounter.patient for encounter in encounters))
    own = dict(zip(patients, await write(hub, channel, consents_of(encounters, time_ms), wait="durable"), strict=True))
    granted = await write(hub, channel, grants_of(encounters, own, time_ms), wait="durable")
    while pen.peer.size <= granted[-1]:
        await pen.news.wait()
    return pen, await trio.to_thread.run_sync(_written, pen, encounters, granted, each, batch, seed)


def _written(
    pen: Pen, encounters: Sequence[Encounter], granted: Sequence[int], each: int, batch: int, seed: int
) -> list[Batch]:
    """In a thread: consents of the peer's own, then a stream of what care writes."""
    chance, time_ms = random.Random(seed), now_ms()  # noqa: S311 - what handles are does not matter here
    patients = list(dict.fromkeys(encounter.patient for encounter in encounters))
    consents = _entries(consents_of(encounters, time_ms), chance, time_ms)
    first = pen.write(*consents)
    own = {patient: first[1] - len(patients) + at for at, patient in enumerate(patients)}
    stream = Stream(encounters, granted=granted, consents=own, revocable=(), seed=seed, now_ms=time_ms)
    return [first, *(pen.write(*_entries(stream.take(batch), chance, time_ms)) for _ in range(each // batch))]


def _entries(drafts: Sequence[Any], chance: random.Random, time_ms: int) -> tuple[list[Entry], list[Terms]]:
    made = [entry_of(draft, chance, time_ms) for draft in drafts]
    return [entry for entry, _ in made], [terms for _, terms in made if terms is not None]


async def _replay_all(work: Sequence[tuple[Pen, list[Batch]]]) -> None:
    async with trio.open_nursery() as nursery:
        for pen, batches in work:
            nursery.start_soon(_replay, pen, batches)


async def _replay(pen: Pen, batches: Sequence[Batch]) -> None:
    """Send all, as the window lets through, and return once all are acknowledged."""
    sent = answered = 0
    while answered < len(batches):
        room = min(len(batches), answered + WINDOW_BATCHES) - sent
        if room:
            await pen.send([message for message, _ in batches[sent : sent + room]])
            sent += room
        news = pen.news
        while answered < sent and batches[answered][1] <= pen.acknowledged:
            answered += 1
        if answered < len(batches) and sent == min(len(batches), answered + WINDOW_BATCHES):
            await news.wait()
