"""`python -m tests.bench.restart --entries N`: how long a hospital with a long log takes to start, and what it holds.

B writes N accesses to grants of A's; then both are restarted in turn. Seconds are from the start of the process; memory
is resident (VmRSS, and the peak VmHWM) as the kernel counts it.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import trio

from client.demo.workload import indices_of
from client.demo.world import Hospital
from l1.ground.codes import PurposeOfUse, Role
from l2.desk.drafts import AccessDraft, encode_drafts
from tests.processes.hospitals import both_open, consents, grants, open_channel, pair

CHUNK = 10_000
GRANTS = 20_000
LANES = 4


async def _groundwork(a: Hospital, channel: str) -> list[int]:
    """A's grants that are opened again and again."""
    written = await a.desk.append(channel, consents("patient", 0, 1_000))
    indices = indices_of(written.runs)
    granted: list[int] = []
    while len(granted) < GRANTS:
        granted += indices_of((await a.desk.append(channel, grants(indices))).runs)
    return granted


def _accesses(granted: Sequence[int], turn: int) -> bytes:
    drafts = [
        AccessDraft(granted[(turn * CHUNK + at) % len(granted)], f"dr-{at % 500}", Role.PHYSICIAN, PurposeOfUse.TREAT)
        for at in range(CHUNK)
    ]
    return encode_drafts(list(drafts))


async def _write(b: Hospital, channel: str, chunks: Sequence[bytes], entries: int) -> None:
    turns = iter(range(entries // CHUNK))

    async def lane() -> None:
        for turn in turns:
            written = await b.desk.append_encoded(channel, chunks[turn % len(chunks)])
            assert written.written == CHUNK, written.refused

    async with trio.open_nursery() as nursery:
        for _ in range(LANES):
            nursery.start_soon(lane)


def _memory(hospital: Hospital) -> dict[str, int]:
    lines = dict(
        line.split(":", 1) for line in Path(f"/proc/{hospital.node.pid}/status").read_text().splitlines() if ":" in line
    )
    return {name: int(lines[name].split()[0]) // 1024 for name in ("VmRSS", "RssAnon", "VmHWM")}


async def _restart(one: Hospital, a: Hospital, b: Hospital, channel: str) -> dict[str, Any]:
    await one.stop()
    began = time.monotonic()
    await one.start()
    ready_s = time.monotonic() - began
    await both_open(a, b, channel)
    open_s = time.monotonic() - began
    store = (one.folder / "channels.mdb").stat().st_size
    return {
        "ready_s": round(ready_s, 2),
        "open_s": round(open_s, 2),
        "memory_mib": _memory(one),
        "store_mib": store >> 20,
    }


async def _measure(folder: Path, entries: int) -> None:
    async with pair(folder) as (_, a, b):
        channel = await open_channel(a, b)
        said: dict[str, Any] = {"entries": 0, "B": await _restart(b, a, b, channel)}
        sys.stdout.write(json.dumps(said) + "\n")
        granted = await _groundwork(a, channel)
        chunks = [_accesses(granted, turn) for turn in range(4)]
        await _write(b, channel, chunks, entries)
        said = {"entries": (await b.desk.channel(channel)).own.size}
        said |= {"B": await _restart(b, a, b, channel), "A": await _restart(a, a, b, channel)}
        sys.stdout.write(json.dumps(said) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="interward-restart-") as folder:
        trio.run(_measure, Path(folder), arguments.entries)


if __name__ == "__main__":
    main()
