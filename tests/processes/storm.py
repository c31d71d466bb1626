"""Two hospitals and a chain under load, and what happens to them: SIGKILL, cut wires, wires that hold. Seeded.

Both hospitals write all the time; whoever is told that something is acknowledged notes it in the ledger.
"""

import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from client.demo.play import GIFT
from client.demo.workload import indices_of
from client.demo.world import Hospital, World
from l1.ground.faults import LocalError, Refused
from l1.ground.hashing import digest
from l2.desk.desk import Desk
from tests.processes.hospitals import both_open, consents, grants, open_channel
from tests.processes.ledger import Ledger
from tests.processes.proxy import Wire, open_wire
from tests.processes.worlds import open_world

__all__ = ["Storm", "open_storm", "report"]

BUSY_S_MAX = 1.2  # how long the load runs before the next blow
HELD_S = 1.0
CONSENTS, GRANTS = 200, 100  # in one append
IMPATIENT = 0.25  # so often the next blow falls before the channel is open again
BLOWS = ("A", "A", "A", "B", "B", "B", "chain", "chain", "both", "all", "cut", "held")


class Storm:
    """Made by `open_storm`."""

    def __init__(self, world: World, a: Hospital, b: Hospital, wire: Wire, channel: str, seed: int) -> None:
        self.world, self.a, self.b, self.wire, self.channel = world, a, b, wire, channel
        self.chance = random.Random(f"storm {seed}")
        self.ledger = Ledger(channel, (a, b), random.Random(f"ledger {seed}"))
        self.kills = {"A": 0, "B": 0, "chain": 0}
        self.blows: dict[str, int] = {}
        self.back_s: list[float] = []  # from the blow until the channel is open again

    @property
    def killed(self) -> int:
        return sum(self.kills.values())

    # -- load

    async def write(self, side: int) -> None:
        """One writer of a side, for ever, over as many lives as its hospital has."""
        hospital, number = self.ledger.hospitals[side], 0
        token = (hospital.folder / "desk.token").read_text().strip()
        while True:
            async with Desk(hospital.node.url, token) as desk:
                try:
                    while True:
                        await self._append(desk, side, number)
                        number += CONSENTS
                except (Refused, LocalError):
                    number += CONSENTS
            await trio.sleep(0.05)

    async def _append(self, desk: Desk, side: int, number: int) -> None:
        name = f"patient-{side}"
        written = await desk.append(self.channel, consents(name, number, CONSENTS))
        assert not written.refused_count, written.refused
        indices = indices_of(written.runs)
        self.ledger.note(side, indices, [digest(f"{name}-{number + at}".encode()).hex() for at in range(CONSENTS)])
        granted = await desk.append(self.channel, grants(indices[:GRANTS]))
        assert not granted.refused_count, granted.refused
        self.ledger.entries += granted.written

    # -- blows

    async def strike(self) -> None:
        """Let the load run, strike, bring back who fell, and mostly wait until the channel is open again."""
        await trio.sleep(self.chance.uniform(0, BUSY_S_MAX))
        blow = self.chance.choice(BLOWS)
        self.blows[blow] = self.blows.get(blow, 0) + 1
        began = time.monotonic()
        match blow:
            case "cut":
                self.wire.cut()
            case "held":
                self.wire.hold()
                await trio.sleep(HELD_S)
                self.wire.cut()
                self.wire.release()
            case "both":
                await self._kill("A", "B")
            case "all":
                await self._kill("chain", "A", "B")
            case _:
                await self._kill(blow)
        if self.chance.random() >= IMPATIENT:
            await self.calm()
            self.back_s.append(time.monotonic() - began)

    async def _kill(self, *names: str) -> None:
        """SIGKILL, one right after the other, then start them again; the chain first."""
        for name in names:
            self.kills[name] += 1
            if name == "chain":
                await self.world.chain.kill()
            else:
                hospital = self._named(name)
                await hospital.node.kill()
                await hospital.close_desk()
        self.ledger.scan()
        for name in names:
            if name == "chain":
                await self._start_chain()
            else:
                await self._named(name).start()

    def _named(self, name: str) -> Hospital:
        return self.a if name == "A" else self.b

    async def _start_chain(self) -> None:
        port = self.world.chain.url.rpartition(":")[2]
        folder = str(self.world.folder / "chain")
        self.world.chain = await self.world.start("chain", ["l1.node", "run", "--folder", folder, "--port", port])

    async def calm(self) -> None:
        """The channel is open again at both; whatever was acknowledged is there."""
        await both_open(self.a, self.b, self.channel)
        await self.ledger.check()

    async def end(self) -> None:
        """The last look: every commitment that either store holds."""
        await self.calm()
        self.ledger.scan(everything=True)
        for hospital in (self.a, self.b):
            verified = await hospital.desk.verify_log(self.channel)
            if not verified.ok:
                self.ledger.lost.append(f"the logs of {hospital.name} do not verify")


@asynccontextmanager
async def open_storm(folder: Path, seed: int) -> AsyncIterator[Storm]:
    """A channel between two hospitals over a wire that can be cut, both writing."""
    async with open_world(folder) as world, open_wire(0) as wire:
        await world.found_chain(follower=False)
        a = await world.add_hospital("A", GIFT)
        b = await world.make_hospital("B", GIFT, "--endpoint", f"127.0.0.1:{wire.port}")
        await b.start()
        wire.target = int(str(b.node.ready["endpoint"]).rpartition(":")[2])
        storm = Storm(world, a, b, wire, await open_channel(a, b), seed)
        async with trio.open_nursery() as nursery:
            for side in (0, 1):
                nursery.start_soon(storm.write, side)
            yield storm
            nursery.cancel_scope.cancel()


def report(storm: Storm, say: Callable[[str], object]) -> None:
    """The figures, a line each."""
    ledger = storm.ledger
    say(f"kills: {storm.killed} ({', '.join(f'{name} {count}' for name, count in storm.kills.items())})")
    say(f"blows: {', '.join(f'{name} {count}' for name, count in sorted(storm.blows.items()))}")
    say(f"acknowledged entries: {ledger.entries:,}")
    say(f"commitments compared: {len(ledger.heads_seen):,}")
    say(f"lost: {len(ledger.lost)} {ledger.lost[:3] or ''}")
    say(f"double heads: {len(ledger.double_heads)} {ledger.double_heads[:3] or ''}")
    if storm.back_s:
        back = sorted(storm.back_s)
        say(f"open again after: median {back[len(back) // 2]:.1f} s, at most {back[-1]:.1f} s")
