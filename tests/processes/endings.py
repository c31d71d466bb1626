"""Channels that end while hospitals die: SIGKILL at a chosen point, or at any time, between the wish to close and the
payment. Each must settle by itself, pay out what was agreed, and keep every acknowledged entry.

    python -m tests.processes.endings --kills 100
    python -m tests.processes.endings --kills 100 --workers 2

With workers, A is a hub: at a point one of its workers dies, and at any time a worker or its front.

Exit status 1 if a channel did not end, credits were lost or made, or a log lacks what was acknowledged.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Literal

import trio

from client.demo.records import BOND, DEPOSIT
from client.demo.workload import indices_of
from client.demo.world import CREDITS_TOTAL, Hospital, World, wait_until
from l1.ground.faults import LocalError, Refused
from l1.ground.hashing import digest
from l1.rules import state as l1_state
from l1.rules.transactions import account_of
from tests.processes.hospitals import both_open, consents, open_channel, pair, run_arguments

__all__ = ["How", "Theatre", "open_theatre"]

How = Literal["together", "alone", "lost"]
HOWS: tuple[How, ...] = ("together", "alone", "lost")
VICTIMS = ("A", "A", "B", "B", "both", "chain", "all")
WINDOW_MS = 1_000
ENTRIES = 300
PATIENCE_S = 120.0
WORKER_SHARE = 0.7  # of the kills of a hub: one of its workers, and not its front
KILL_S_MAX = 2.5  # the close, the window, the payment: longer than the whole of it takes on a quiet machine


class Theatre:
    """Made by `open_theatre`. One channel after another is opened, written, and ended under a kill."""

    def __init__(self, world: World, a: Hospital, b: Hospital, seed: int, workers: int = 1) -> None:
        self.world, self.a, self.b, self.workers = world, a, b, workers
        self.chance = random.Random(f"endings {seed}")
        self.point = world.folder / "point"
        self.kills = 0
        self.endings: dict[str, int] = {}
        self.again = 0  # the wish itself was cut before it was durable, and was uttered again
        self.kept = 0  # acknowledged entries that were found again
        self.lost: list[str] = []
        self.back_s: list[float] = []

    async def begin(self) -> str:
        """A new channel, written from both sides; what was told is what must stay."""
        channel = await open_channel(self.a, self.b, window_ms=WINDOW_MS)
        for hospital in (self.a, self.b):
            written = await hospital.desk.append(channel, consents(hospital.name, 0, ENTRIES))
            assert len(indices_of(written.runs)) == ENTRIES
        return channel

    async def kill_at(self, point: str, how: How) -> str:
        """A asks for this close and dies at this point. The channel, once it is settled."""
        channel = await self.begin()
        self.point.write_text(point)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._wish, self.a, channel, how)
            await self._is_dead(self.a)
            nursery.cancel_scope.cancel()
        if self.workers == 1:
            await self._revive(self.a)
        await self._ends(channel, how)
        return channel

    async def stop_within(self, how: How) -> str:
        """A asks for this close and is stopped in good order while the window runs. The channel, once it is settled."""
        channel = await self.begin()

        async def closes() -> bool:
            return (await self.a.desk.channel(channel)).state != "open"

        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._wish, self.a, channel, how)
            await wait_until(f"{channel[:8]} closes", closes, PATIENCE_S)
            await self.a.close_desk()
            if (status := await self.a.node.stop()) != 0:
                self.lost.append(f"a hospital that was told to stop ended with {status}")
            nursery.cancel_scope.cancel()
        await self._revive(self.a)
        await self._ends(channel, how)
        return channel

    async def kill_any_time(self) -> str:
        """Somebody asks for some close; somebody dies some time after."""
        channel = await self.begin()
        how, victim = self.chance.choice(HOWS), self.chance.choice(VICTIMS)
        asking = self.chance.choice((self.a, self.b))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._wish, asking, channel, how)
            await trio.sleep(self.chance.uniform(0, KILL_S_MAX))
            for name in {"both": ("A", "B"), "all": ("chain", "A", "B")}.get(victim, (victim,)):
                await self._kill(name)
            nursery.cancel_scope.cancel()
        began = time.monotonic()
        await self._all_live()
        await self._ends(channel, how, asking)
        self.back_s.append(time.monotonic() - began)
        return channel

    async def _wish(self, hospital: Hospital, channel: str, how: How) -> None:
        with suppress(Refused, LocalError):  # who is asked dies over it
            await hospital.desk.close(channel, alone=how == "alone", lost=how == "lost")

    # -- dying and living

    async def _is_dead(self, hospital: Hospital) -> None:
        async def dead() -> bool:
            return not (hospital.node.is_running if self.workers == 1 else self.point.exists())

        await wait_until(f"{hospital.name} died at {self.point.name}", dead, PATIENCE_S)
        self.kills += 1

    async def _kill(self, name: str) -> None:
        self.kills += 1
        if name == "chain":
            await self.world.chain.kill()
        elif name == "A" and self.workers > 1 and self.chance.random() < WORKER_SHARE:
            await self._kill_a_worker()
        else:
            await (self.a if name == "A" else self.b).node.kill()

    async def _kill_a_worker(self) -> None:
        with suppress(LocalError, Refused, ProcessLookupError):  # it is being started again, after the kill before
            worker = self.chance.choice((await self.a.desk.status()).workers)
            if worker.pid:  # 0 would be everybody here
                os.kill(worker.pid, signal.SIGKILL)

    async def _revive(self, hospital: Hospital) -> None:
        await hospital.close_desk()
        hospital.take(await self.world.start(hospital.name, self.arguments(hospital)))

    async def _all_live(self) -> None:
        if not self.world.chain.is_running:
            port = self.world.chain.url.rpartition(":")[2]
            folder = str(self.world.folder / "chain")
            self.world.chain = await self.world.start("chain", ["l1.node", "run", "--folder", folder, "--port", port])
        for hospital in (self.a, self.b):
            if not hospital.node.is_running:
                await self._revive(hospital)

    def arguments(self, hospital: Hospital) -> list[str]:
        """A dies at the points that are named to it."""
        plain = run_arguments(hospital.folder)
        return ["tests.processes.killed_at", str(self.point), *plain] if hospital is self.a else plain

    # -- the end

    async def _ends(self, channel: str, how: How, asking: Hospital | None = None) -> None:
        """Nobody does anything, unless the wish was lost with the process that heard it."""
        asking = asking or self.a

        async def ended_or_open() -> bool:
            return await self._states(channel) in (["settled", "settled"], ["open", "open"])

        await wait_until(f"{channel[:8]} goes on", ended_or_open, PATIENCE_S)
        if (await asking.desk.channel(channel)).state == "open":
            self.again += 1
            await both_open(self.a, self.b, channel)
            await self._wish(asking, channel, how)
            await self._settles(channel)
        self.endings[how] = self.endings.get(how, 0) + 1
        await self._check(channel)

    async def _settles(self, channel: str) -> None:
        async def settled() -> bool:
            return await self._states(channel) == ["settled", "settled"]

        await wait_until(f"{channel[:8]} is settled", settled, PATIENCE_S)

    async def _states(self, channel: str) -> list[str]:
        """At both; none while a worker is being started again."""
        try:
            return [(await one.desk.channel(channel)).state for one in (self.a, self.b)]
        except LocalError:
            if self.workers == 1:
                raise
            return []

    async def _check(self, channel: str) -> None:
        row = await self.world.reader.channel(bytes.fromhex(channel))
        assert row is not None
        paid = [side.paid_out for side in row.sides]
        if paid != [DEPOSIT + BOND] * 2:
            self.lost.append(f"{channel[:8]} paid {paid}")
        if (held := await self._credits()) != CREDITS_TOTAL:
            self.lost.append(f"{held} credits of {CREDITS_TOTAL}")
        for one, other in ((self.a, self.b), (self.b, self.a)):
            verified = await one.desk.verify_log(channel)
            known = [await one.desk.entries(channel, side=side, start=0, count=1_000) for side in ("own", "peer")]
            for entries, name in zip(known, (one.name, other.name), strict=True):
                digests = {str(entry.get("document")) for entry in entries}
                lacking = {digest(f"{name}-{number}".encode()).hex() for number in range(ENTRIES)} - digests
                self.kept += ENTRIES - len(lacking)
                if lacking:
                    self.lost.append(f"{len(lacking)} entries of {name} at {one.name}")
            if not verified.ok:
                self.lost.append(f"the logs of {channel[:8]} do not verify at {one.name}")

    async def _credits(self) -> int:
        """In accounts, and locked in channels."""
        reader, total = self.world.reader, 0
        await reader.sync()
        for account in (account_of(self.world.registrar.public_key), self.a.id, self.b.id):
            found = await reader.account(account)
            total += 0 if found is None else found.credits
        for row in await reader.channels_of(self.a.id):
            if row.phase != l1_state.Phase.SETTLED:
                total += sum(side.deposit + side.bond for side in row.sides)
        return total


@asynccontextmanager
async def open_theatre(folder: Path, seed: int, workers: int = 1) -> AsyncIterator[Theatre]:
    """`workers`: of A."""
    async with pair(folder, workers=(workers, 1)) as (world, a, b):
        theatre = Theatre(world, a, b, seed, workers)
        await a.stop()
        a.take(await world.start("A", theatre.arguments(a)))
        yield theatre


async def _run(folder: Path, kills: int, seed: int, workers: int) -> bool:
    async with open_theatre(folder, seed, workers) as theatre:
        try:
            while theatre.kills < kills:
                await theatre.kill_any_time()
                sys.stdout.write(f"\r{theatre.kills} kills, {sum(theatre.endings.values())} channels ended ")
                sys.stdout.flush()
        finally:
            _report(theatre)
        return not theatre.lost


def _report(theatre: Theatre) -> None:
    back = sorted(theatre.back_s) or [0.0]
    lines: Sequence[str] = (
        f"\nkills: {theatre.kills}",
        f"channels ended: {', '.join(f'{how} {count}' for how, count in sorted(theatre.endings.items()))}",
        f"of these asked for again, since the wish was not durable: {theatre.again}",
        f"acknowledged entries found again: {theatre.kept:,}",
        f"lost: {len(theatre.lost)} {theatre.lost[:3] or ''}",
        f"settled after: median {back[len(back) // 2]:.1f} s, at most {back[-1]:.1f} s",
    )
    sys.stdout.write("\n".join(lines) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="of A")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="interward-endings-") as folder:
        return 0 if trio.run(_run, Path(folder), arguments.kills, arguments.seed, arguments.workers) else 1


if __name__ == "__main__":
    sys.exit(main())
