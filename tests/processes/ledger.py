"""Who promised what, seen by one who looks into both stores: nothing acknowledged is lost, no size has two heads.

It reads the stores of running or killed hospitals beside them, and remembers every commitment that ever stood there.
"""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from client.demo.world import Hospital
from l1.rules.commitment import decode_commitment
from l2.desk.desk import Desk
from l2.node.examination import looking_into
from l2.protocol.batch import decode_batch
from l2.protocol.rows import batch_key

__all__ = ["Ledger", "Promise", "commitments"]

OLD_PROMISES = 20  # looked at again in every check


class Promise(NamedTuple):
    """An acknowledged consent: where it stands in its writer's log, and by what it is known."""

    at: int
    digest: str


def commitments(folder: Path, channel: bytes, side: int, start: int) -> Iterator[tuple[int, tuple[object, ...]]]:
    """(size, what was signed there) of every stored batch of a side that begins at `start` or later."""
    with looking_into(folder / "channels.mdb") as view:
        rows = view.rows(channel)
        for _, message in rows.scan(batch_key(side, start), batch_key(side, 2**64 - 1)):
            said = decode_commitment(decode_batch(message).commitment.body)
            yield said.size, (said.root, said.spent, said.seen_size, said.seen_root)


class Ledger:
    """Of one channel between two hospitals. `hospitals[side]` writes the log of that side."""

    def __init__(self, channel: str, hospitals: tuple[Hospital, Hospital], chance: random.Random) -> None:
        self.channel, self.hospitals, self._chance = channel, hospitals, chance
        self.acknowledged = [0, 0]  # how long each log is known to be
        self.entries = 0  # acknowledged in all
        self.promises: tuple[list[Promise], list[Promise]] = ([], [])
        self.lost: list[str] = []
        self.double_heads: list[str] = []
        self.heads_seen: dict[tuple[int, int], tuple[object, ...]] = {}
        self._checked = [0, 0]
        self._scanned = [0, 0]

    def note(self, side: int, indices: list[int], digests: list[str]) -> None:
        """The writer was told that these are acknowledged."""
        self.entries += len(indices)
        self.acknowledged[side] = max(self.acknowledged[side], max(indices) + 1)
        at = self._chance.randrange(len(digests))
        self.promises[side].append(Promise(indices[at], digests[at]))

    def scan(self, *, everything: bool = False) -> None:
        """Look into both stores for a size with two heads."""
        channel = bytes.fromhex(self.channel)
        for side in (0, 1):
            start, furthest = 0 if everything else self._scanned[side], 0
            for hospital in self.hospitals:
                for size, said in commitments(hospital.folder, channel, side, start):
                    known = self.heads_seen.setdefault((side, size), said)
                    furthest = max(furthest, size)
                    if known != said:
                        self.double_heads.append(f"side {side}, size {size}, in the store of {hospital.name}")
            # What is not acknowledged may still be signed again: it is looked at again.
            self._scanned[side] = min(furthest, self.acknowledged[side]) if furthest else start

    async def check(self) -> None:
        """Both hospitals hold what was acknowledged, and it says what it said."""
        for side in (0, 1):
            promises = self.promises[side]
            again = self._chance.sample(promises, min(OLD_PROMISES, len(promises)))
            fresh, self._checked[side] = promises[self._checked[side] :], len(promises)
            for holder, hospital in enumerate(self.hospitals):
                await self._check_one(hospital.desk, side, holder, [*again, *fresh[-OLD_PROMISES:]])
        self.scan()

    async def _check_one(self, desk: Desk, side: int, holder: int, promises: list[Promise]) -> None:
        view = await desk.channel(self.channel)
        size = (view.own if holder == side else view.theirs).size
        if size < self.acknowledged[side]:
            self.lost.append(f"{self.acknowledged[side] - size} entries of side {side} at side {holder}")
        for promise in promises:
            found = await desk.entries(
                self.channel, side="own" if holder == side else "peer", start=promise.at, count=1
            )
            if [entry.get("document") for entry in found] != [promise.digest]:
                self.lost.append(f"entry {promise.at} of side {side} at side {holder}")
