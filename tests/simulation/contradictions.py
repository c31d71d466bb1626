"""Two words of one side that cannot both be true: whoever honest has just heard, or was shown, both of them notices."""

from typing import TYPE_CHECKING

from l1.ground.faults import Refused
from l1.rules.commitment import Commitment, Signed, decode_commitment, open_commitment
from l1.rules.shown import is_below_resume
from l2.protocol.batch import decode_batch
from l2.protocol.channel import commitment_at
from l2.protocol.events import Event, MessageReceived, WordsSeen
from l2.protocol.messages import Message
from l2.protocol.phases import Phase
from tests.simulation.words import Violation

if TYPE_CHECKING:
    from tests.simulation.keeper import Keeper
    from tests.simulation.world import World

__all__ = ["Contradictions"]


class Contradictions:
    """Part of the auditor."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def check(self, keeper: "Keeper", events: list[Event]) -> None:
        """An honest hospital that has just heard, or was shown, a second head of one size trusts its peer no more."""
        channel = keeper.channel
        if keeper.node.is_mallory or not self._world.peer_of(keeper).is_mallory or channel.phase is not Phase.OPEN:
            return
        if not channel.resumed or channel.held:
            return
        if keeper.node.disk.is_hurt(keeper.id):
            return  # what cannot be read cannot be compared either
        for event in events:
            signed: Signed | None = None
            if isinstance(event, MessageReceived) and event.type == Message.BATCH and channel.established:
                signed = self._signed(event.payload)
            elif isinstance(event, WordsSeen) and not channel.forgot:
                signed = event.signed
            if signed is not None:
                self._check_same(keeper, signed)

    def _check_same(self, keeper: "Keeper", signed: Signed) -> None:
        said = self._genuine(keeper, signed)
        held = None if said is None else commitment_at(keeper.channel, 1 - keeper.side, said.size)
        if said is not None and held is not None and not self._is_denied(keeper, said):
            known = decode_commitment(held.body)
            same = (known.root, known.spent, known.seen) == (said.root, said.spent, said.seen)
            if not same:
                raise Violation("equivocation is noticed", f"at {said.size} entries")

    @staticmethod
    def _is_denied(keeper: "Keeper", said: Commitment) -> bool:
        """Whether a `resume` that the hospital gave, or that stands on the chain, or that its disk may have forgotten,
        makes words of its peer void."""
        row = keeper.channel.l1
        void = row is not None and is_below_resume(row.sides[1 - keeper.side], said.size, said.height)
        trusted, since = keeper.channel.trusted, keeper.channel.started_at or 0
        forgotten = trusted is not None and said.size > trusted and said.height < since
        return void or forgotten or said.height < keeper.channel.row.peer_floor

    @staticmethod
    def _signed(payload: bytes) -> Signed | None:
        try:
            return decode_batch(payload).commitment
        except Refused:
            return None

    @staticmethod
    def _genuine(keeper: "Keeper", signed: Signed) -> Commitment | None:
        try:
            key = keeper.channel.peer_keys.get(signed.key)
            said = None if key is None else open_commitment(signed, keeper.channel.context, key)
            return None if said is None or said.side == keeper.side else said
        except Refused:
            return None
