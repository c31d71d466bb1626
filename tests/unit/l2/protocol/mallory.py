"""A hospital that signs whatever it likes."""

from collections.abc import Sequence
from typing import Any

from l1.ground.faults import Fault
from l1.ground.merkle import EMPTY_ROOT, Frontier
from l1.ground.signing import Context, Purpose
from l1.rules.commitment import Commitment, Signed, sign_shape
from l1.rules.log.entries import Entry, Terms
from l1.rules.log.leaves import encode_parts, leaf_hashes
from l2.protocol.batch import encode_batch
from l2.protocol.channel import commitment_at
from l2.protocol.events import (
    Froze,
    MessageReceived,
)
from l2.protocol.messages import Message
from l2.protocol.phases import Phase
from tests.unit.l2.protocol.stories import (
    request,
    request_terms,
)
from tests.unit.l2.protocol.world import CHAIN, KEYS, Pair


class Mallory:
    """Side 1 of a pair, who signs whatever she likes. Side 0 is honest."""

    def __init__(self, pair: Pair | None = None) -> None:
        self.pair = pair or Pair()
        self.victim = self.pair.channels[0]
        self.context = Context(chain=CHAIN, channel=self.victim.id)
        self.key = 1

    def commitment(self, frontier: Frontier, **changes: Any) -> Signed:
        """As an honest side would sign it now, but for the changes."""
        channel = self.pair.channels[1]
        seen = channel.fold.logs[1].seen
        head = commitment_at(channel, 0, seen)
        assert head is not None or seen == 0
        fields: dict[str, Any] = {
            "version": 1,
            "chain": CHAIN,
            "channel": self.victim.id,
            "side": 1,
            "size": frontier.size,
            "root": frontier.root(),
            "spent": channel.fold.logs[1].spent,
            "seen_size": seen,
            "seen_root": EMPTY_ROOT if channel.peer.commitment is None else channel.peer.commitment.root,
            "height": self.pair.height,
        }
        return sign_shape(KEYS[1], self.key, Purpose.COMMITMENT, self.context, Commitment(**fields | changes))

    def batch(self, entries: Sequence[Entry], terms: Sequence[Terms], **changes: Any) -> bytes:
        """A batch after all that the victim holds."""
        before = self.victim.peer.frontier
        publics, privates = encode_parts(entries, terms)
        salts = self.victim.readers[1].salts.span(before.size, len(entries))
        frontier, _ = before.extend(leaf_hashes(publics, privates, salts))
        return encode_batch(publics, privates, self.commitment(frontier, **changes))

    def requests(self, count: int = 1, at: int = 0, **changes: Any) -> bytes:
        return self.batch([request(at)] * count, [request_terms()] * count, **changes)

    def say(self, payload: bytes, type_: int = Message.BATCH) -> Fault | None:
        effects = self.pair.do(0, MessageReceived(type_, payload))
        faults = [effect.fault for effect in effects if isinstance(effect, Froze)]
        assert (self.victim.phase is Phase.FROZEN) == bool(faults)
        return faults[0] if faults else None
