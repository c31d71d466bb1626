"""Signed words that come to others than the two hospitals of their channel: auditors, courts, other hospitals.

Some of what everybody says is remembered, with an entry of the log at times, and shown to the signer's peer much later:
also what was lost on its way, what a disk forgot, and what Mallory told nobody else.
"""

from typing import TYPE_CHECKING

from l1.rules.commitment import Signed, decode_commitment
from l2.protocol.batch import open_stored
from l2.protocol.channel import Channel
from l2.protocol.events import Send, WordsSeen
from l2.protocol.evidence import show
from l2.protocol.messages import Message, decode_shutdown
from l2.protocol.rows import Damaged

if TYPE_CHECKING:
    from tests.simulation.keeper import Keeper
    from tests.simulation.world import World

__all__ = ["Gossip"]

OVERHEARD = 0.5  # of batches and last words
SHOWN_ENTRY = 0.1  # of words that somebody is shown: with an entry of the log as it is by then
KEPT_ENTRY = 0.01  # of words that are overheard: as it is now, for it may be forgotten and written otherwise
SHOWN = 4  # at once
KEPT = 20  # of each side of a channel


class Gossip:
    """See the module."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._words: dict[tuple[bytes, int], list[WordsSeen]] = {}

    def overhear(self, keeper: "Keeper", send: Send) -> None:
        if self._world.rng.random() >= OVERHEARD:
            return
        match send.type:
            case Message.BATCH:
                self.keep(keeper.channel, open_stored(send.payload).commitment, KEPT_ENTRY)
            case Message.SHUTDOWN:
                self.keep(keeper.channel, decode_shutdown(send.payload).final, KEPT_ENTRY)
            case _:
                pass

    def keep(self, channel: Channel, signed: Signed, entry_odds: float) -> None:
        """Words that the channel's own side signed, at times with an entry of its log as it is now."""
        words = self._words.setdefault((channel.id, channel.side), [])
        words.append(self._with_entry(channel, signed, entry_odds))
        if len(words) > KEPT:
            del words[self._world.rng.randrange(len(words))]

    def _with_entry(self, channel: Channel, signed: Signed, odds: float) -> WordsSeen:
        rng = self._world.rng
        if rng.random() >= odds or not 0 < (size := decode_commitment(signed.body).size) <= channel.own.size:
            return WordsSeen(signed)
        try:
            return WordsSeen(signed, show(channel.readers[channel.side], rng.randrange(size), size))
        except Damaged:
            return WordsSeen(signed)

    def pick(self, keeper: "Keeper") -> list[WordsSeen]:
        """Some of what the peer of a hospital once signed."""
        words = self._words.get((keeper.id, 1 - keeper.side), [])
        picked = self._world.rng.sample(words, min(len(words), SHOWN))
        signer = self._world.peer_of(keeper).keepers.get(keeper.id)
        if signer is None or signer.node.disk.is_hurt(keeper.id):
            return picked
        return [each if each.shown else self._with_entry(signer.channel, each.signed, SHOWN_ENTRY) for each in picked]

    def forget(self, channel: bytes) -> None:
        for side in (0, 1):
            self._words.pop((channel, side), None)
