"""`interward bench channel`: one channel between two hospital processes, at full speed. Knows what is measured and how.

Bytes on the wire are those the secure lines sent; bytes on disk are blocks that the hospitals' folders grew by;
processor time is the kernel's count for each process.
"""

import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli_w
import trio

from client.bench.stream import REVOKED_EVERY, Stream, consents_of, grants_of
from client.demo.encounters import find_encounters
from client.demo.patients import generate_patients
from client.demo.play import GIFT
from client.demo.records import BOND, DEPOSIT
from client.demo.workload import Workload, indices_of
from client.demo.world import Hospital, World, now_ms, open_world
from client.driver import Measured
from client.progress import Advance, Bars
from l1.ground.faults import Fault, LocalError, Refused
from l2.desk import words
from l2.desk.drafts import DRAFTS_MAX, Draft
from l2.protocol.limits import BATCH_ENTRIES_AIM

__all__ = ["bench_channel"]

PATIENTS = 24
UPDATES_PER_ENCOUNTER = 6  # a receipt, some accesses, now and then a grant
CHUNK_BATCHES = 8  # drafts in one request to the desk, in batches
LANES = 4  # requests to the desk at once: enough to keep the window full
LONE_UPDATES = 200
WARM_UP_UPDATES = 20_000  # interpreters, caches and files reach their steady state


async def bench_channel(folder: Path, updates: int, *, batch: int, seed: int, bars: Bars) -> dict[str, Any]:
    """Run it in an empty folder. A grants, B writes what is measured."""
    async with open_world(folder) as world:
        with bars.stage("Start a chain and two hospitals"):
            a, b = await _two_hospitals(world, batch)
            channel = await _open(a, b)
        total = WARM_UP_UPDATES + updates
        with bars.stage("Grants to refer to", 2) as advance:
            stream = await _groundwork(a, b, channel, total, seed, advance)
        chunks = await trio.to_thread.run_sync(_prepare, stream, total, CHUNK_BATCHES * batch)
        warm = WARM_UP_UPDATES // (CHUNK_BATCHES * batch) + 1
        with bars.stage("Warm up", WARM_UP_UPDATES) as advance:
            await _write_all(b, channel, chunks[:warm], advance)
        before = [await _Figures.of(hospital) for hospital in (a, b)]
        with bars.stage("Measure", updates) as advance:
            measured = await _write_all(b, channel, chunks[warm:], advance)
        after = [await _Figures.of(hospital) for hospital in (a, b)]
        with bars.stage("Lone updates", LONE_UPDATES) as advance:
            lone = [await _write_all(b, channel, [stream.chunk(1)], advance) for _ in range(LONE_UPDATES)]
    return _result(measured, before, after, batch) | {"lone_latency_ms": _percentiles([one.p50_ms for one in lone])}


async def _groundwork(a: Hospital, b: Hospital, channel: str, total: int, seed: int, advance: Advance) -> Stream:
    """Consents at both, a grant of A's for each encounter, some grants of B's that it can take back."""
    files = generate_patients(seed, PATIENTS)
    found = [found for file in files for found in find_encounters(file.content, file.name)]
    encounters = Workload(found, seed, now_ms=now_ms()).next_encounters(max(1, total // UPDATES_PER_ENCOUNTER))
    time_ms = now_ms()
    patients = list(dict.fromkeys(encounter.patient for encounter in encounters))
    consents = [
        dict(zip(patients, await _write(hospital, channel, consents_of(encounters, time_ms)), strict=True))
        for hospital in (a, b)
    ]
    granted = await _write(a, channel, grants_of(encounters, consents[0], time_ms))
    advance(1)
    revocable = await _write(b, channel, grants_of(encounters[::REVOKED_EVERY], consents[1], time_ms))
    advance(1)
    return Stream(encounters, granted=granted, consents=consents[1], revocable=revocable, seed=seed, now_ms=time_ms)


async def _write(hospital: Hospital, channel: str, drafts: Sequence[Draft]) -> list[int]:
    """Write drafts; the indices at which they stand."""
    indices: list[int] = []
    for at in range(0, len(drafts), DRAFTS_MAX):
        written = await hospital.desk.append(channel, drafts[at : at + DRAFTS_MAX])
        indices += indices_of(written.runs)
    if len(indices) != len(drafts):
        raise LocalError("the hospital did not write all that it was given", "Report this as a bug.")
    return indices


def _prepare(stream: Stream, total: int, chunk: int) -> list[bytes]:
    return [stream.chunk(chunk) for _ in range(-(-total // chunk))]


async def _write_all(hospital: Hospital, channel: str, chunks: Sequence[bytes], advance: Advance) -> Measured:
    """Write all chunks, a few at a time, until every one is acknowledged."""
    waiting = iter(chunks)
    answers: list[words.Written] = []

    async def lane() -> None:
        for chunk in waiting:
            written = await hospital.desk.append_encoded(channel, chunk)
            if written.refused_count:
                raise Refused(Fault.UNEXPECTED, f"the hospital refused an update: {written.refused[0].reason}")
            answers.append(written)
            advance(written.written)

    began = time.monotonic()
    async with trio.open_nursery() as nursery:
        for _ in range(LANES):
            nursery.start_soon(lane)
    seconds = time.monotonic() - began
    latencies = [answer.latency_ms for answer in answers if answer.latency_ms is not None]
    medians = _percentiles([latency.p50 for latency in latencies])
    worst = _percentiles([latency.p99 for latency in latencies])
    return Measured(sum(answer.written for answer in answers), seconds, medians["p50"], worst["p99"])


def _percentiles(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {"p50": round(ordered[len(ordered) // 2], 2), "p99": round(ordered[int(len(ordered) * 0.99)], 2)}


async def _two_hospitals(world: World, batch: int) -> tuple[Hospital, Hospital]:
    await world.found_chain(follower=False)
    a, b = await world.make_hospital("A", GIFT), await world.make_hospital("B", GIFT)
    for hospital in (a, b):
        if batch != BATCH_ENTRIES_AIM:
            _set_batch(hospital.folder / "hospital.toml", batch)
        await hospital.start()
    return a, b


def _set_batch(config: Path, batch: int) -> None:
    settings = tomllib.loads(config.read_text())
    settings["batch_entries"] = batch
    config.write_text(tomli_w.dumps(settings))


async def _open(a: Hospital, b: Hospital) -> str:
    wanted = words.OpenChannel(peer=b.id.hex(), deposit=DEPOSIT, peer_deposit=DEPOSIT, bond=BOND, window_ms=3_600_000)
    return await a.desk.open_channel(wanted)


class _Figures:
    """One hospital's counters at a moment."""

    def __init__(self, cpu_s: float, wire: int, disk: int) -> None:
        self.cpu_s = cpu_s
        self.wire = wire
        self.disk = disk

    @classmethod
    async def of(cls, hospital: Hospital) -> "_Figures":
        status = await hospital.desk.status()
        disk = sum(path.stat().st_blocks * 512 for path in hospital.folder.rglob("*") if path.is_file())
        return cls(hospital.node.cpu_s(), status.line_bytes, disk)


def _result(measured: Measured, before: list[_Figures], after: list[_Figures], batch: int) -> dict[str, Any]:
    """Wire bytes of both directions, disk bytes of one side's copy, processor time of each."""
    n = measured.updates
    wire = sum(late.wire - early.wire for early, late in zip(before, after, strict=True))
    disk = sum(late.disk - early.disk for early, late in zip(before, after, strict=True)) / 2
    cpu = [(late.cpu_s - early.cpu_s) * 1e6 / n for early, late in zip(before, after, strict=True)]
    return {
        "updates": n,
        "seconds": round(measured.seconds, 3),
        "updates_per_s": round(measured.updates_per_s),
        "latency_ms": {"p50": round(measured.p50_ms, 2), "p99": round(measured.p99_ms, 2)},
        "bytes_per_update": {"wire": round(wire / n, 1), "disk": round(disk / n, 1)},
        "batch": batch,
        "cpu_us_per_update": {"custodian": round(cpu[0], 2), "recipient": round(cpu[1], 2)},
    }
