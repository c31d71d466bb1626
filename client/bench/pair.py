"""Two hospital processes with channels between them, and the updates that each is to write, made beforehand.

A driver hands the writing hospital's desk a few large messages of drafts, as an electronic health record that exports
its day would; each holds some batches, so what the driver itself costs is small beside what is measured (and is part of
no figure but the wall clock, for it runs on the same cores).
"""

import gc
import time
import tomllib
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import tomli_w
import trio

from client.bench.stream import REVOKED_EVERY, Stream, consents_of, grants_of
from client.demo.encounters import Encounter, find_encounters
from client.demo.patients import generate_patients
from client.demo.play import GIFT
from client.demo.records import BOND, DEPOSIT
from client.demo.workload import Workload, indices_of
from client.demo.world import Hospital, World, now_ms
from client.driver import Measured
from client.progress import Advance
from l1.ground.faults import Fault, LocalError, Refused
from l2.desk import words
from l2.desk.drafts import DRAFTS_MAX, Draft, Wait
from l2.protocol.limits import BATCH_ENTRIES_AIM

__all__ = [
    "Figures",
    "check_written",
    "collect_garbage",
    "found_encounters",
    "groundwork",
    "open_channels",
    "percentile",
    "two_hospitals",
    "write",
    "write_all",
]

PATIENTS = 24
UPDATES_PER_ENCOUNTER = 6  # a receipt, some accesses, now and then a grant
LANES = 4  # messages to the desk at once: enough to keep the window full
OPENING_AT_ONCE = 8  # of the 16 connections that one address may have before they have proved who they are


async def two_hospitals(world: World, batch: int = BATCH_ENTRIES_AIM) -> tuple[Hospital, Hospital]:
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


async def open_channels(a: Hospital, b: Hospital, count: int = 1) -> list[str]:
    """Channels from A to B; several are opened at once."""
    deposit, bond = max(1, DEPOSIT // count), max(1, BOND // count)  # all from one gift
    wanted = words.OpenChannel(peer=b.id.hex(), deposit=deposit, peer_deposit=deposit, bond=bond, window_ms=3_600_000)
    opened: list[str] = []
    room = trio.CapacityLimiter(OPENING_AT_ONCE)

    async def open_one() -> None:
        async with room:
            opened.append(await a.desk.open_channel(wanted))

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(open_one)
    return opened


async def groundwork(a: Hospital, b: Hospital, channel: str, total: int, seed: int) -> tuple[Stream, Stream]:
    """What A and B can write `total` updates about: consents at both, a grant for each encounter at the other, and some
    grants of their own that they can take back."""
    encounters = Workload(found_encounters(seed), seed, now_ms=now_ms()).next_encounters(
        max(1, total // UPDATES_PER_ENCOUNTER)
    )
    time_ms = now_ms()
    patients = list(dict.fromkeys(encounter.patient for encounter in encounters))
    consents = [
        dict(zip(patients, await write(hospital, channel, consents_of(encounters, time_ms)), strict=True))
        for hospital in (a, b)
    ]
    made: list[tuple[list[int], list[int]]] = []
    for hospital, own in zip((a, b), consents, strict=True):
        granted = await write(hospital, channel, grants_of(encounters, own, time_ms))
        made.append((granted, await write(hospital, channel, grants_of(encounters[::REVOKED_EVERY], own, time_ms))))
    streams = [
        Stream(
            encounters,
            granted=made[1 - side][0],
            consents=consents[side],
            revocable=made[side][1],
            seed=seed + side,
            now_ms=time_ms,
        )
        for side in (0, 1)
    ]
    return streams[0], streams[1]


@lru_cache(maxsize=1)  # many channels are measured on the same patients
def found_encounters(seed: int) -> list[Encounter]:
    files = generate_patients(seed, PATIENTS)
    return [found for file in files for found in find_encounters(file.content, file.name)]


async def write(hospital: Hospital, channel: str, drafts: Sequence[Draft], wait: Wait = "receipt") -> list[int]:
    """Write drafts; the indices at which they stand."""
    indices: list[int] = []
    for at in range(0, len(drafts), DRAFTS_MAX):
        written = await hospital.desk.append(channel, drafts[at : at + DRAFTS_MAX], wait=wait)
        indices += indices_of(written.runs)
    if len(indices) != len(drafts):
        raise LocalError("the hospital did not write all that it was given", "Report this as a bug.")
    return indices


def check_written(written: words.Written) -> words.Written:
    """Raises `Refused` where not all of it is."""
    if written.refused_count:
        raise Refused(Fault.UNEXPECTED, f"the hospital refused an update: {written.refused[0].reason}")
    return written


def unseen(steps: int = 1) -> None:
    """Progress that nobody watches."""


async def write_all(hospital: Hospital, channel: str, chunks: Sequence[bytes], advance: Advance = unseen) -> Measured:
    """Write all chunks, a few at a time, until every one is acknowledged."""
    waiting = iter(chunks)
    answers: list[words.Written] = []

    async def lane() -> None:
        for chunk in waiting:
            written = check_written(await appends.append_encoded(chunk))
            answers.append(written)
            advance(written.written)

    async with hospital.desk.appending(channel) as appends:
        began = time.monotonic()
        async with trio.open_nursery() as nursery:
            for _ in range(LANES):
                nursery.start_soon(lane)
        seconds = time.monotonic() - began
    latencies = [answer.latency_ms for answer in answers if answer.latency_ms is not None]
    return Measured(
        sum(answer.written for answer in answers),
        seconds,
        percentile([latency.p50 for latency in latencies], 0.5),
        percentile([latency.p99 for latency in latencies], 0.99),
    )


def collect_garbage() -> None:
    """Before a measurement: what was prepared lives to its end, and is not to be searched for garbage meanwhile. A full
    collection of the driver's takes 40 ms, and every message that is due then would count as late."""
    gc.collect()
    gc.freeze()


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which that share lies, to two digits."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 2)


class Figures(NamedTuple):
    """What hospitals have used by now: processor seconds each, bytes on the lines and on the disks together."""

    cpu_s: tuple[float, ...]
    wire: int
    disk: int

    @classmethod
    async def of(cls, *hospitals: Hospital) -> "Figures":
        wire = [(await hospital.desk.status()).line_bytes for hospital in hospitals]
        files = chain.from_iterable(hospital.folder.rglob("*") for hospital in hospitals)
        disk = sum(path.stat().st_blocks * 512 for path in files if path.is_file())
        return cls(tuple(hospital.node.cpu_s() for hospital in hospitals), sum(wire), disk)

    def until(self, later: "Figures", updates: int) -> dict[str, Any]:
        """Per update: wire bytes of both directions, disk bytes of one side's copy, processor time of each side."""
        cpu = [(late - early) * 1e6 / updates for early, late in zip(self.cpu_s, later.cpu_s, strict=True)]
        return {
            "bytes_per_update": {
                "wire": round((later.wire - self.wire) / updates, 1),
                "disk": round((later.disk - self.disk) / len(self.cpu_s) / updates, 1),
            },
            "cpu_us_per_update": {"custodian": round(cpu[0], 2), "recipient": round(cpu[1], 2)},
        }
