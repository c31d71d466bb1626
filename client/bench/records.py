"""`interward bench records`: record bodies between two hospital processes, beside what the bare cipher and scp do here.

Long bodies: megabytes a second of a grant (one pass over the record) and of a fetch (pulled, verified, confirmed,
released, opened, verified again, at rest), one and several at once, and the most memory that each side took. Short
ones: records a second from the grant to the record at rest, over the desks.
"""

import os
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import trio

from client.bench.copies import measure_cipher, measure_copies
from client.demo.play import GIFT
from client.demo.records import BOND, DEPOSIT, permit_all
from client.demo.world import Hospital, World, now_ms, open_world
from client.progress import Bars
from l1.ground.faults import LocalError
from l2.desk import words
from l2.desk.crowds import CROWD_MAX, NewRecord

__all__ = ["bench_records"]

MIB = 1024 * 1024
AT_ONCE = 4
CROWD = 1_024  # short records in one request
CROWDS_AT_ONCE = 3
DAY_MS = 86_400_000
PATIENT = "bench"


async def bench_records(folder: Path, sizes_mib: Sequence[int], records: int, *, bars: Bars) -> dict[str, Any]:
    """Run it in an empty folder. A grants, B fetches."""
    with bars.stage("What the machine can do", 2) as advance:
        floor = await trio.to_thread.run_sync(measure_cipher)
        advance()
        copies = await trio.to_thread.run_sync(measure_copies, folder / "copies", max(sizes_mib) * MIB)
    async with open_world(folder) as world:
        with bars.stage("Start a chain and two hospitals"):
            a, b, channel = await _two_hospitals(world)
        bodies = []
        for size in sizes_mib:
            with bars.stage(f"Bodies of {size:,} MiB", 3) as advance:
                record = await _add_long(a, size)
                advance()
                for at_once in (1, AT_ONCE):
                    bodies.append(await _carry(a, b, channel, record, size, at_once))
                    advance()
        with bars.stage("Short records", 2) as advance:
            ids = await _add_short(a, records)
            advance()
            short = await _carry_short(a, b, channel, ids)
    for body in bodies:
        body["of_floor"] = round(body["fetch_mb_s"] / floor["pipeline_mb_s"], 2)
    return {"floor": floor, "copies_mb_s": copies, "bodies": bodies, "short": short}


async def _two_hospitals(world: World) -> tuple[Hospital, Hospital, str]:
    await world.found_chain(follower=False)
    a, b = [await world.add_hospital(name, GIFT) for name in ("A", "B")]
    wanted = words.OpenChannel(peer=b.id.hex(), deposit=DEPOSIT, peer_deposit=DEPOSIT, bond=BOND, window_ms=3_600_000)
    channel = await a.desk.open_channel(wanted)
    for patient in ("", PATIENT):
        await a.desk.grant_consent(permit_all(channel, patient, ("TREAT",), now_ms() + DAY_MS))
    return a, b, channel


# -- long bodies


async def _add_long(a: Hospital, size_mib: int) -> str:
    async def pieces() -> AsyncIterator[bytes]:
        noise = os.urandom(MIB)  # nothing shrinks it, as nothing shrinks a compressed image
        for number in range(size_mib):
            yield number.to_bytes(8, "big") + noise[8:]

    return (await a.desk.add_record(pieces(), name=f"{size_mib} MiB")).record


async def _carry(a: Hospital, b: Hospital, channel: str, record: str, size_mib: int, at_once: int) -> dict[str, Any]:
    """Grant a record so many times, fetch all of it at once."""
    for hospital in (a, b):
        _forget_peak(hospital)
    share = words.Share(channel=channel, purposes=("TREAT",))
    cpu = [hospital.node.cpu_s() for hospital in (a, b)]
    began = time.monotonic()
    grants = [(await a.desk.share(record, share)).grant for _ in range(at_once)]
    granted = time.monotonic()
    await _seen(b, channel, grants[-1])
    fetching = time.monotonic()
    async with trio.open_nursery() as nursery:
        for grant in grants:
            nursery.start_soon(_fetch, b, channel, grant)
    fetched = time.monotonic()
    megabytes = size_mib * MIB * at_once / 1e6
    used = [hospital.node.cpu_s() - before for hospital, before in zip((a, b), cpu, strict=True)]
    return {
        "mib": size_mib,
        "at_once": at_once,
        "grant_mb_s": round(megabytes / (granted - began), 1),
        "fetch_mb_s": round(megabytes / (fetched - fetching), 1),
        "cpu_ms_per_mb": {h.name: round(1e3 * one / megabytes, 2) for h, one in zip((a, b), used, strict=True)},
        "peak_mib": {hospital.name: round(_peak_bytes(hospital) / MIB, 1) for hospital in (a, b)},
    }


async def _seen(b: Hospital, channel: str, grant: int) -> None:
    while True:
        if any(view.index == grant and view.side == "peer" for view in await b.desk.grants(channel)):
            return
        await trio.sleep(0.01)


async def _fetch(b: Hospital, channel: str, grant: int) -> None:
    """A release that takes longer than an answer of the desk may is asked for again."""
    while True:
        (became,) = await b.desk.fetch_many(channel, [grant])
        if became.record is not None:
            return
        if not became.coming and "not released" not in (became.problem or ""):
            raise LocalError(f"grant {grant} was not fetched: {became.problem}", "Look into the nodes' logs.")


def _forget_peak(hospital: Hospital) -> None:
    """Source: proc(5), /proc/PID/clear_refs."""
    Path(f"/proc/{hospital.node.pid}/clear_refs").write_text("5")


def _peak_bytes(hospital: Hospital) -> int:
    """The most memory that was resident. Source: proc(5), /proc/PID/status."""
    for line in Path(f"/proc/{hospital.node.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise LocalError("the kernel does not say how much memory a process took", "This bench needs Linux.")


# -- short records


def _observation(number: int) -> bytes:
    """About 2 kB of FHIR, as a lab result with its reference ranges has."""
    resource = {
        "resourceType": "Observation",
        "id": f"result-{number}",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "4548-4", "display": "Hemoglobin A1c"}]},
        "subject": {"reference": f"Patient/{PATIENT}"},
        "effectiveDateTime": "2024-05-01T08:30:00Z",
        "valueQuantity": {"value": number % 140 / 10, "unit": "%"},
        "note": [{"text": os.urandom(800).hex()}],
    }
    return msgspec.json.encode(resource)


async def _add_short(a: Hospital, records: int) -> list[str]:
    """As a folder of small files is added: some hundreds with each request."""
    ids: list[str] = []
    for start in range(0, records, CROWD_MAX):
        numbers = range(start, min(records, start + CROWD_MAX))
        became = await a.desk.add_crowd([NewRecord(f"{number}.json", _observation(number)) for number in numbers])
        ids += [one.added.record for one in became if one.added is not None]
    return ids


async def _carry_short(a: Hospital, b: Hospital, channel: str, ids: Sequence[str]) -> dict[str, Any]:
    """Grant and fetch all, some crowds at once."""
    crowds = iter([ids[at : at + CROWD] for at in range(0, len(ids), CROWD)])
    share = words.Share(channel=channel, purposes=("TREAT",))
    fetched = 0
    cpu = [hospital.node.cpu_s() for hospital in (a, b)]

    async def lane() -> None:
        nonlocal fetched
        for crowd in crowds:
            grants = list(await a.desk.share_many(crowd, share))
            while grants:
                became = await b.desk.fetch_many(channel, grants)
                fetched += sum(one.record is not None for one in became)
                grants = [one.grant for one in became if one.record is None]

    began = time.monotonic()
    async with trio.open_nursery() as nursery:
        for _ in range(CROWDS_AT_ONCE):
            nursery.start_soon(lane)
    seconds = time.monotonic() - began
    used = [hospital.node.cpu_s() - before for hospital, before in zip((a, b), cpu, strict=True)]
    return {
        "records": fetched,
        "bytes": len(_observation(0)),
        "records_per_s": round(fetched / seconds),
        "cpu_us_per_record": {
            hospital.name: round(1e6 * one / fetched, 1) for hospital, one in zip((a, b), used, strict=True)
        },
    }
