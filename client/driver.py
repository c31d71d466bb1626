"""Keeps two hospitals busy: lanes of rounds, in each of which one asks and opens while the other grants.

A lane waits for the acknowledgement of what it wrote before it refers to it, as care does; several lanes at once keep
both hospitals at work. Knows the desks and a workload; measures what was acknowledged.
"""

import math
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import trio

from client.demo.workload import Allowed, Asked, Workload, indices_of
from l1.ground.faults import Fault, LocalError, Refused
from l2.desk.desk import Desk
from l2.desk.drafts import DRAFTS_MAX, Draft
from l2.desk.words import Written

__all__ = ["CUSTODIAN", "Driver", "Measured", "RECIPIENT"]

RECIPIENT, CUSTODIAN = 0, 1

LANES_MAX = 8
OPEN_REQUESTS_AIM = 3_000  # a hospital may have 4,096 open at once; the rest is room for the demo's own
PER_ENCOUNTER = 6  # drafts that a recipient writes for one encounter, on the average


class Measured(NamedTuple):
    """What a run came to. Latencies are in ms, from append to receipt, as the writing hospital measured them."""

    updates: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def updates_per_s(self) -> float:
        return self.updates / self.seconds if self.seconds else 0.0


class Driver:
    """Runs over one channel. `acknowledged` tells how long a log of the recipient's and of the custodian's the other
    has acknowledged."""

    def __init__(self, recipient: Desk, custodian: Desk, channel: str, workload: Workload, *, chunk: int) -> None:
        """`chunk` is how many drafts go into one request, about."""
        self.acknowledged = [0, 0]
        self.updates = 0
        self._desks = (recipient, custodian)
        self._channel = channel
        self._workload = workload
        self._encounters = min(max(1, chunk // PER_ENCOUNTER), OPEN_REQUESTS_AIM // 2)
        self._lanes = max(2, min(LANES_MAX, OPEN_REQUESTS_AIM // self._encounters))
        self._begun = 0  # written, or being written
        self._wanted = 0.0
        self._latencies: list[tuple[float, float]] = []

    async def run(self, updates: int | None, advance: Callable[[int], object] = lambda _: None) -> Measured:
        """Write until so many updates are acknowledged, or (None) until cancelled. `advance` hears of each step."""
        self._wanted = self.updates + (math.inf if updates is None else updates)
        before, began = self.updates, time.monotonic()
        async with trio.open_nursery() as nursery:
            for _ in range(self._lanes):
                nursery.start_soon(self._lane, advance)
        return self._measured(self.updates - before, time.monotonic() - began)

    def _measured(self, updates: int, seconds: float) -> Measured:
        medians = sorted(p50 for p50, _ in self._latencies)
        worst = sorted(p99 for _, p99 in self._latencies)
        self._latencies.clear()
        if not medians:
            return Measured(updates, seconds, 0.0, 0.0)
        return Measured(updates, seconds, medians[len(medians) // 2], worst[int(len(worst) * 0.99)])

    async def _lane(self, advance: Callable[[int], object]) -> None:
        allowed: list[Allowed] = []
        while self._begun < self._wanted:
            encounters = self._workload.next_encounters(self._encounters)
            asks = self._workload.ask(encounters)
            written = await self._write(RECIPIENT, [*asks, *self._workload.use(allowed)], advance)
            requests = indices_of(written.runs)[: len(asks)]
            asked = [Asked(encounter, index) for encounter, index in zip(encounters, requests, strict=True)]
            grants = self._workload.answer(asked)
            written = await self._write(CUSTODIAN, [*grants, *self._workload.end(allowed)], advance)
            granted = indices_of(written.runs)[: len(grants)]
            allowed = [Allowed(encounter, index) for encounter, index in zip(encounters, granted, strict=True)]

    async def _write(self, who: int, drafts: Sequence[Draft], advance: Callable[[int], object]) -> Written:
        assert len(drafts) <= DRAFTS_MAX
        self._begun += len(drafts)
        written = await self._desks[who].append(self._channel, drafts)
        if written.refused_count:
            first = written.refused[0]
            raise Refused(Fault.UNEXPECTED, f"the hospital refused draft {first.position}: {first.reason}")
        if written.written != len(drafts) or sum(count for _, count in written.runs) != len(drafts):
            raise LocalError("the hospital wrote another number of entries than it was given", "Report this as a bug.")
        self.updates += written.written
        self.acknowledged[who] = max(self.acknowledged[who], written.last + 1)
        if written.latency_ms is not None:
            self._latencies.append((written.latency_ms.p50, written.latency_ms.p99))
        advance(written.written)
        return written
