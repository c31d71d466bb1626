"""Keys change under load: two hospitals as real processes write all the time, and every key kind of one is rotated.

Counts what was acknowledged, and what stands in both logs; the pause is the longest time in which neither hospital had
anything acknowledged, against the same without a rotation. `python -m tests.processes.rotation` prints it.
"""

import argparse
import json
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import trio

from client.demo.world import Hospital
from l2.desk.drafts import Draft
from l2.desk.key_words import KeyKind, Rotate
from tests.processes.hospitals import consents, open_channel, pair

__all__ = ["Load", "busy_pair", "rotate_all"]

CHUNK = 200
LANES = 2
KINDS: tuple[KeyKind, ...] = ("channel", "tls", "sealing", "root")


class Load:
    """Both hospitals write, a few appends at a time; when each was acknowledged is noted."""

    def __init__(self, hospitals: tuple[Hospital, Hospital], channel: str) -> None:
        self.hospitals, self.channel = hospitals, channel
        self.acknowledged = [0, 0]
        self.moments: list[float] = []
        self._written = 0
        self._scope = trio.CancelScope()
        self._ended = trio.Event()

    async def stop(self) -> None:
        """Once this returns nobody writes: a lane whose answer has just come would ask again before it is cancelled."""
        self._scope.cancel()
        await self._ended.wait()

    async def run(self) -> None:
        """Write until stopped."""
        with self._scope:
            await self._run()
        self._ended.set()

    async def _run(self) -> None:
        async with trio.open_nursery() as nursery:
            for side in (0, 1):
                for _ in range(LANES):
                    nursery.start_soon(self._lane, side)

    async def _lane(self, side: int) -> None:
        while True:
            self._written += CHUNK
            drafts: list[Draft] = consents(f"load-{side}", self._written, CHUNK)
            written = await self.hospitals[side].desk.append(self.channel, drafts)
            assert written.written == CHUNK, written
            self.acknowledged[side] += CHUNK
            self.moments.append(time.monotonic())

    def longest_pause_ms(self, since: float, until: float) -> float:
        """The longest time without an acknowledgement on either side."""
        inside = [since, *(moment for moment in self.moments if since <= moment <= until), until]
        return max(later - earlier for earlier, later in pairwise(inside)) * 1000

    def rate(self, since: float, until: float) -> float:
        """Entries acknowledged in a second."""
        return sum(CHUNK for moment in self.moments if since <= moment <= until) / (until - since)


@asynccontextmanager
async def busy_pair(folder: Path, *, key_window_ms: int = 2_000) -> AsyncIterator[tuple[Hospital, Hospital, Load]]:
    """Two hospitals with an open channel, and the load on it, until the block is left."""
    async with pair(folder, key_window_ms=key_window_ms) as (_, a, b):
        load = Load((a, b), await open_channel(a, b))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(load.run)
            yield a, b, load
            nursery.cancel_scope.cancel()


async def rotate_all(a: Hospital, load: Load, quiet_s: float) -> dict[str, Any]:
    """Rotate every key kind of A: for each how long it took, the longest pause, and the rate meanwhile."""
    began = time.monotonic()
    await trio.sleep(quiet_s)
    calm = time.monotonic()
    found: dict[str, Any] = {
        "without": {"pause_ms": round(load.longest_pause_ms(began, calm)), "per_s": round(load.rate(began, calm))}
    }
    for kind in KINDS:
        start = time.monotonic()
        done = await a.desk.rotate(Rotate(kind=kind))
        ended = await _wait_alone(a, kind)
        await trio.sleep(quiet_s)  # what comes late belongs to it too
        end = time.monotonic()
        found[kind] = {
            "seconds": round(end - start - quiet_s, 2),
            "pause_ms": round(load.longest_pause_ms(start, end)),
            "per_s": round(load.rate(start, end)),
            "number": done.number,
            "ended": ended,
        }
    return found


async def _wait_alone(hospital: Hospital, kind: str) -> list[int]:
    """Until one key of the kind counts; which ended. A new root key waits, and the hospital finishes by itself."""
    while True:
        keys = [key for key in await hospital.desk.keys() if key.kind == kind]
        if [key.state for key in keys].count("counts") == 1 and keys[-1].state == "counts":
            return [key.number for key in keys[:-1]]
        await trio.sleep(0.1)


async def lost(a: Hospital, b: Hospital, load: Load) -> int:
    """Acknowledged entries that do not stand in both hospitals' copies of both logs; 0 also says that both verify."""
    acknowledged = list(load.acknowledged)
    views = [await each.desk.channel(load.channel) for each in (a, b)]
    proofs = [await each.desk.verify_log(load.channel) for each in (a, b)]
    assert all(proof.ok for proof in proofs)
    held = [min(views[0].own.size, views[1].theirs.size), min(views[1].own.size, views[0].theirs.size)]
    return sum(max(0, acknowledged[side] - held[side]) for side in (0, 1))


async def _main(seconds: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with busy_pair(Path(folder)) as (a, b, load):
            found = await rotate_all(a, load, seconds)
            print(json.dumps(found | {"entries": sum(load.acknowledged), "lost": await lost(a, b, load)}, indent=2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of load without, and after each rotation")
    trio.run(_main, parser.parse_args().seconds)
