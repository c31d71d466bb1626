"""`python -m tests.bench.tower --channels N`: one hospital closes all its channels at once with old commitments.

A real chain and a real tower, as processes. The closing hospital and the one that is away are only keys here: what
they would say is signed, and brought to the chain and to the tower as they would bring it. Figures: how fast a tower
takes in what is handed over, what a channel costs it in memory and on disk, and how long after the last close the last
of them is challenged, with the processor time of both processes.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import trio

from client.demo.world import World, open_world, wait_until
from client.processes import Node
from l1.ground.codec import encode
from l1.ground.hashing import digest
from l1.ground.limits import VERSION
from l1.ground.signing import Context, Purpose, sign
from l1.rules.commitment import Commitment, Opening, Signed, channel_id, sign_shape
from l1.rules.transactions import Action, Close, Delegate, Open, Transfer
from l2.protocol.handover import Handed, sign_handover
from l2.protocol.limits import HANDED_MAX
from l2.tower.asking import ask_all
from l2.vigil import Watchtower
from tests.unit.l1.rules.world import Party, admission, head_of, party

BOND, DEPOSIT, WINDOW_MS, REWARD = 100, 100, 600_000, 200
PART = 500


def resident_kib(node: Node) -> int:
    for line in Path(f"/proc/{node.pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1])
    raise AssertionError("the kernel tells what is resident")


class Quarrel:
    """Alice has channels with bob, and a tower watches for bob."""

    def __init__(self, world: World, tower: Node) -> None:
        self.world, self.tower, self.reader = world, tower, world.reader
        self.a, self.b = party("alice"), party("bob")
        self.context = Context(chain=self.reader.chain)

    async def ask(self, who: Party, actions: list[Action]) -> None:
        """All of them, in order, and wait for the last to stand in a block."""
        results = await ask_all(self.reader, who.root, actions)
        refused = [result for result in results if not isinstance(result, bytes)]
        assert not refused, refused[0]
        last = results[-1]
        assert isinstance(last, bytes)
        await self.reader.wait_included(last, 120)

    async def begin(self, count: int) -> list[bytes]:
        for who in (self.a, self.b):
            await self.reader.send(self.world.registrar, admission(who, chain=self.reader.chain))
            await self.reader.send(self.world.registrar, Transfer(to=who.id, amount=count * 1_000))
        account = bytes.fromhex(str(self.tower.ready["tower"]))
        await self.reader.send(self.b.root, Delegate(hospital=self.b.id, tower=account, reward=REWARD))
        openings = [self._opening(number) for number in range(count)]
        for start in range(0, count, PART):
            await self.ask(self.a, [self._agreed(opening) for opening in openings[start : start + PART]])
        return [channel_id(opening) for opening in openings]

    def _opening(self, number: int) -> Opening:
        return Opening(
            version=VERSION, chain=self.reader.chain, hospitals=(self.a.id, self.b.id), bond=BOND,
            nonce=digest(number.to_bytes(4, "big")), deposits=(DEPOSIT, DEPOSIT), window_ms=WINDOW_MS,
            answer_ms=5_000, expires=2**40,
        )  # fmt: skip

    def _agreed(self, opening: Opening) -> Open:
        body = encode(opening)
        first, second = (sign(who.root, Purpose.OPENING, self.context, body) for who in (self.a, self.b))
        return Open(opening=opening, signatures=(first, second))

    def says(self, channel: bytes, size: int) -> Signed:
        """Alice's commitment."""
        head, seen = head_of(size, "a"), head_of(0, "b")
        words = Commitment(
            version=VERSION, chain=self.reader.chain, channel=channel, side=0, size=size, root=head.root, spent=0,
            seen_size=0, seen_root=seen.root, height=1,
        )  # fmt: skip
        context = Context(chain=self.reader.chain, channel=channel)
        return sign_shape(self.a.channel, 1, Purpose.COMMITMENT, context, words)

    async def hand_over(self, asked: Watchtower, channels: list[bytes], size: int) -> float:
        """Bob hands over alice's words in all channels; the seconds that the tower took."""
        account = bytes.fromhex(str(self.tower.ready["tower"]))
        parts = []
        for start in range(0, len(channels), HANDED_MAX):
            handed = [Handed(channel, self.says(channel, size)) for channel in channels[start : start + HANDED_MAX]]
            parts.append(
                sign_handover(
                    self.b.channel, 1, chain=self.reader.chain, hospital=self.b.id, tower=account, handed=handed
                )
            )
        began = time.perf_counter()
        held = 0
        for part in parts:
            said = await asked.hand_over(part)
            assert not said.refused, said.refused[0]
            held += said.held
        assert held == len(channels)
        return time.perf_counter() - began

    async def stale(self, channels: list[bytes]) -> int:
        rows = await self.reader.channels(channels)
        return sum(row.stale for row in rows.values())


async def measure(folder: Path, count: int) -> dict[str, Any]:
    async with open_world(folder) as world:
        await world.found_chain(follower=False)
        tower = await world.add_tower("T")
        quarrel = Quarrel(world, tower)
        channels = await quarrel.begin(count)
        async with Watchtower(tower.url) as asked:
            empty_kib = resident_kib(tower)
            first_s = await quarrel.hand_over(asked, channels, 5)
            cpu = tower.cpu_s()
            again_s = await quarrel.hand_over(asked, channels, 9)
            again_cpu = tower.cpu_s() - cpu
            status = await asked.status()
            held_kib = resident_kib(tower)
        said = {
            "channels": count,
            "first_handover_s": round(first_s, 2),
            "next_handover_s": round(again_s, 2),
            "next_handover_cpu_us_per_channel": round(again_cpu / count * 1e6),
            "disk_bytes_per_channel": round(status.bytes / count),
            "memory_kib_empty": empty_kib,
            "memory_kib_holding_all": held_kib,
        }
        said |= await idle(world, tower)
        return said | await flood(quarrel, tower, channels) | {"memory_kib_after": resident_kib(tower)}


async def idle(world: World, tower: Node) -> dict[str, float]:
    """What blocks cost a tower that none of them concerns."""
    height, cpu = world.reader.tip.height, tower.cpu_s()
    for _ in range(50):
        await world.reader.send(world.registrar, Transfer(to=bytes(20), amount=1))
    await world.reader.sync()
    blocks = world.reader.tip.height - height
    return {"idle_block_cpu_ms": round((tower.cpu_s() - cpu) / blocks * 1e3, 2)}


async def flood(quarrel: Quarrel, tower: Node, channels: list[bytes]) -> dict[str, Any]:
    """Alice closes them all with what she signed first."""
    closes: list[Action] = [
        Close(channel=channel, own=quarrel.says(channel, 5), peer=None, lost=False) for channel in channels
    ]
    chain = quarrel.world.chain
    cpu, chain_cpu = tower.cpu_s(), chain.cpu_s()
    began = time.perf_counter()
    await quarrel.ask(quarrel.a, closes)
    closed_s = time.perf_counter() - began
    found = 0

    async def all_challenged() -> bool:
        nonlocal found
        found = await quarrel.stale(channels[-20:])
        found = await quarrel.stale(channels) if found == len(channels[-20:]) else found
        return found == len(channels)

    await wait_until("every close is challenged", all_challenged, WINDOW_MS / 1000)
    ended_s = time.perf_counter() - began
    return {
        "closed_s": round(closed_s, 2),
        "all_challenged_s": round(ended_s, 2),
        "after_the_last_close_s": round(ended_s - closed_s, 2),
        "challenged": found,
        "tower_cpu_s": round(tower.cpu_s() - cpu, 2),
        "chain_cpu_s": round(chain.cpu_s() - chain_cpu, 2),
        "window_s": WINDOW_MS // 1000,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--channels", type=int, default=1_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="interward-tower-") as place:
        print(json.dumps(trio.run(measure, Path(place), asked.channels)))


if __name__ == "__main__":
    main()
