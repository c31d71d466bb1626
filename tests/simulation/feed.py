"""What one process of a hospital hands to one tower, as the real one does: what is durable, the newest, at a pace."""

from typing import TYPE_CHECKING

from l1.ground.faults import Refused
from l2.protocol.channel import stored_commitment
from l2.protocol.handover import NOTHING, Age, Handed, age_of_signed, sign_handover
from l2.protocol.phases import Phase
from l2.protocol.rows import Damaged
from tests.simulation.tower import Tower

if TYPE_CHECKING:
    from tests.simulation.node import Node

__all__ = ["Feed"]

PACE_MS = (500, 4_000)
LATER_MS = 10_000
LOOK_MS = 30_000
LOST = 0.05  # of handovers


class Feed:
    """See the module."""

    def __init__(self, node: "Node", tower: Tower) -> None:
        self._node, self.tower, self._process = node, tower, node.process
        self._given: dict[bytes, Age] = {}
        self._store: int | None = None  # what the tower called its disk when it was last looked at
        self._is_due = False
        self.wake()
        node.world.after(LOOK_MS, self._look_again)

    def _is_alive(self) -> bool:
        return self._node.is_up and self._node.process == self._process and self in self._node.feeds

    def wake(self) -> None:
        """Something was written, or is to be tried again."""
        if not self._is_due:
            self._is_due = True
            world = self._node.world
            world.after(world.rng.randint(*PACE_MS), self._hand)

    def _again(self) -> None:
        if self._is_alive() and not self._is_due and self.behind():
            self.wake()

    def behind(self) -> list[Handed]:
        """The newest words of every peer of whom the disk holds more than the tower has."""
        found = []
        for channel, keeper in self._node.keepers.items():
            try:
                signed = stored_commitment(self._node.disk.rows(channel), 1 - keeper.side)
            except Damaged:
                continue  # it is found out when the channel reads it
            is_over = keeper.channel.phase is Phase.SETTLED
            if signed is not None and not is_over and age_of_signed(signed) > self._given.get(channel, NOTHING):
                found.append(Handed(channel=channel, commitment=signed))
        return found

    def _hand(self) -> None:
        self._is_due = False
        if not self._is_alive():
            return
        handed = self.behind()
        if not handed:
            return
        if self._store is None:
            self._look()
        node, world, tower = self._node, self._node.world, self.tower
        number, key = node.ring.signing()
        data = sign_handover(
            key, number, chain=world.chain.id, hospital=node.id, tower=tower.account, handed=handed
        )  # fmt: skip
        world.auditor.towers.handed(node, tower, data)
        ages = {each.channel: age_of_signed(each.commitment) for each in handed}

        def said(refused: dict[bytes, Refused]) -> None:
            if self._is_alive() and b"" not in refused:
                self._given |= {channel: age for channel, age in ages.items() if channel not in refused}

        if world.rng.random() >= LOST:
            world.after(world.delay(), tower.take, data, said)
        world.after(LATER_MS, self._again)  # whether or not an answer comes

    def _look(self) -> None:
        """[HAND-6] A tower that has started again may have another disk, or an older one: it is handed everything."""
        if self.tower.is_up:
            if self._store not in (None, self.tower.book.store):
                self._given.clear()
            self._store = self.tower.book.store

    def _look_again(self) -> None:
        if self._is_alive():
            self._look()
            self._again()
            self._node.world.after(LOOK_MS, self._look_again)
