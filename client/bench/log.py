"""`interward bench log`: what a long log costs: writing, proving, checking all of it again, starting, memory, disk."""

import time
from pathlib import Path
from typing import Any

from client.auditor import check_proof
from client.bench.pair import groundwork, open_channels, percentile, two_hospitals, write_all
from client.bench.stream import Stream
from client.demo.world import Hospital, World, open_world, wait_until
from client.progress import Bars
from l1.ground.codec import encode
from l2.desk import words
from l2.protocol.proof_file import proof_from_json, proof_to_json
from l2.protocol.proofs import EntryProof, verify_entry_proof

__all__ = ["bench_log"]

ENCOUNTERS_FOR = 200_000  # updates whose grants are made; a longer log opens the same records again and again
STRETCH_ENTRIES = 160_000  # encoded before they are measured, and held in memory meanwhile
PROOFS = 200


async def bench_log(folder: Path, entries: int, *, seed: int, bars: Bars) -> dict[str, Any]:
    """B writes that many entries; then proofs of entries spread over the log, a full check, and a restart."""
    async with open_world(folder) as world:
        with bars.stage("Start a chain and two hospitals"):
            a, b = await two_hospitals(world)
            (channel,) = await open_channels(a, b)
        with bars.stage("Grants to refer to"):
            _, stream = await groundwork(a, b, channel, min(entries, ENCOUNTERS_FOR), seed)
        said: dict[str, Any] = {"append": await _append(b, channel, stream, entries, bars)}
        size = (await b.desk.channel(channel)).own.size
        said["entries"] = size
        with bars.stage("Prove", PROOFS):
            said["proof"] = await _prove(world, b, channel, size)
        with bars.stage("Check the whole log"):
            began = time.monotonic()
            checked = await b.desk.verify_log(channel)
            said["replay"] = {"ok": checked.ok, "entries_per_s": round(sum(checked.sizes) / (time.monotonic() - began))}
        with bars.stage("Restart"):
            said["restart"] = await _restart(b, channel)
        said["memory_mib"] = {hospital.name: _anonymous_mib(hospital) for hospital in (a, b)}
        said["disk_bytes_per_entry"] = round((b.folder / "channels.mdb").stat().st_blocks * 512 / size, 1)
    return said


async def _append(b: Hospital, channel: str, stream: Stream, entries: int, bars: Bars) -> list[dict[str, Any]]:
    """The rate in each quarter of the way: it must not fall as the log grows."""
    rows: list[dict[str, Any]] = []
    quarter = max(1, entries // 4)
    with bars.stage("Append", quarter * 4) as advance:
        for _ in range(4):
            done, seconds = 0, 0.0
            while done < quarter:
                part = min(STRETCH_ENTRIES, quarter - done)
                measured = await write_all(b, channel, stream.chunks(part), advance)
                done, seconds = done + measured.updates, seconds + measured.seconds
            rows.append({"entries": done, "updates_per_s": round(done / seconds)})
    return rows


async def _prove(world: World, b: Hospital, channel: str, size: int) -> dict[str, Any]:
    """`make_ms` is the desk's answer over HTTP; `verify_ms` what an auditor computes once it knows the chain's rows."""
    made, proofs = list[float](), list[EntryProof]()
    for number in range(PROOFS):
        began = time.perf_counter()
        asked = words.Prove(channel=channel, side="own", index=number * size // PROOFS)
        proofs.append(proof_from_json(await b.desk.prove(asked)))
        made.append((time.perf_counter() - began) * 1000)
    row = await world.reader.channel(bytes.fromhex(channel))
    assert row is not None
    hospitals = [await world.reader.hospital(hospital) for hospital in row.opening.hospitals]
    first, second = hospitals
    assert first is not None
    assert second is not None
    checked: list[float] = []
    for proof in proofs:
        began = time.perf_counter()
        verify_entry_proof(proof, chain=world.reader.chain, l1_channel=row, hospitals=(first, second))
        checked.append((time.perf_counter() - began) * 1000)
    await check_proof(proof_to_json(proofs[-1]).encode(), world.reader)
    return {
        "make_ms": {"p50": percentile(made, 0.5), "p99": percentile(made, 0.99)},
        "verify_ms": {"p50": percentile(checked, 0.5), "p99": percentile(checked, 0.99)},
        "bytes": {
            "inclusion": max(_inclusion_bytes(proof) for proof in proofs),
            "both_signed": max(len(encode(proof)) for proof in proofs),
        },
    }


def _inclusion_bytes(proof: EntryProof) -> int:
    """The entry, its audit path and the writer's signed head: what shows to who has the head's keys that it stands in
    the log. The whole proof adds the peer's signature, and what ties it to the chain."""
    return len(encode((proof.public, proof.private, proof.index, proof.inclusion, proof.commitment)))


async def _restart(b: Hospital, channel: str) -> dict[str, float]:
    await b.stop()
    began = time.monotonic()
    await b.start()
    ready = time.monotonic() - began

    async def is_open() -> bool:
        return (await b.desk.channel(channel)).state == "open"

    await wait_until("the channel is open again", is_open, 120)
    return {"ready_s": round(ready, 2), "writing_s": round(time.monotonic() - began, 2)}


def _anonymous_mib(hospital: Hospital) -> float:
    """Memory that no file stands behind. Source: proc(5), RssAnon."""
    for line in Path(f"/proc/{hospital.node.pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return round(int(line.split()[1]) / 1024, 1)
    raise AssertionError("the kernel does not count anonymous memory")
