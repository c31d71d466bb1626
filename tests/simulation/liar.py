"""A watchtower that lies: it says that it keeps what it forgets, shows any words it ever got, and tells Mallory.

It has no more than what it was handed: signed words of peers. Whoever relies on it alone is not watched; nobody else
may come to harm by it, and nobody may lose a bond.
"""

from typing import TYPE_CHECKING

from l1.ground.faults import Refused
from l1.rules.commitment import Signed, decode_commitment
from l1.rules.transactions import Action, Challenge, Settle
from l2.protocol.handover import peek_handover
from tests.simulation.tower import Said, Tower

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["Liar"]

FORGETS = 0.5  # of handovers
KEPT = 200


class Liar(Tower):
    """See the module."""

    is_liar = True

    def __init__(self, world: "World", number: int) -> None:
        super().__init__(world, number)
        self._words: list[tuple[bytes, Signed]] = []  # by channel

    def take(self, data: bytes, said: Said) -> None:
        if not self.is_up:
            return
        try:
            _, handover = peek_handover(data)
        except Refused:
            return
        for each in handover.handed:
            self._remember(each.channel, each.commitment)
        if self.world.rng.random() < FORGETS:
            self.world.counts["tower pretends"] += 1
            self.world.after(self.world.delay(), said, {})
        else:
            super().take(data, said)

    def _remember(self, channel: bytes, signed: Signed) -> None:
        self._words.append((channel, signed))
        if len(self._words) > KEPT:
            del self._words[self.world.rng.randrange(len(self._words))]
        mallory = self.world.mallory
        if mallory is not None and channel in mallory.keepers:
            mallory.learn(channel, signed)

    def lie(self) -> bool:
        """Words of any age to the chain, or a payment before its time."""
        words = [each for each in self._words if each[0] in self.world.chain.channels]
        if not words or not self.is_up:
            return False
        channel, signed = self.world.rng.choice(words)
        action: Action = Settle(channel=channel)
        if self.world.rng.random() < 0.8:
            action = Challenge(channel=channel, side=decode_commitment(signed.body).side, commitment=signed)

        def answer(refused: Refused | None) -> None:
            self.world.counts[f"lying tower's {type(action).__name__} {'refused' if refused else 'taken'}"] += 1

        self.world.chain.ask(self.key, action, answer)
        self.world.want_block()
        return True
