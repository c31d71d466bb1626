"""What may be signed and shown at all: under which key, on what disk, and none of the words that a `resume` made void.

Part of the auditor. It reads the chain itself, and asks none of the rules that the product goes by.
"""

from typing import TYPE_CHECKING

from l1.rules.commitment import Commitment, Signed, decode_commitment
from l1.rules.evidence import commitments_in
from l1.rules.transactions import CHANNEL, Challenge, Close, Report
from l2.protocol.events import Submit
from tests.simulation.words import Signer, Violation

if TYPE_CHECKING:
    from tests.simulation.keeper import Keeper
    from tests.simulation.node import Node
    from tests.simulation.world import World

__all__ = ["Permits"]


class Permits:
    """See the module."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def copied(self, node: "Node", channels: set[bytes]) -> None:
        """Their rows came out of a copy that says that it is one, or is minutes old."""
        for (channel, side), signer in self._world.auditor.signers.items():
            if channel in channels and self._world.side_of(node, channel) == side:
                signer.copied_at = self._world.chain.tip.height

    def signed(self, keeper: "Keeper", signer: Signer, said: Commitment) -> None:
        """An honest log grew by these words."""
        self._check_key(keeper, said)
        self._check_copy(keeper, signer, said)

    def _check_key(self, keeper: "Keeper", said: Commitment) -> None:
        """[ROT-2] Where the newest key that began has been ended, nothing is signed before the next."""
        chain = self._world.chain
        clock_ms, opened_ms = chain.clocks_ms[said.height], chain.channels[said.channel].opened_at_ms
        keys = [key for key in keeper.node.ring.registered().keys if key.kind == CHANNEL]
        began = [key for key in keys if key.valid_from_ms <= clock_ms]
        ends = {key.number: key.revoked_at_ms for key in began if key.revoked_at_ms is not None}
        there = [key.number for key in began if ends.get(key.number, clock_ms) > opened_ms]
        if there and ends.get(there[-1], clock_ms + 1) <= clock_ms:
            detail = f"hospital {keeper.node.number} signs {said.size} entries, though key {there[-1]} was ended"
            raise Violation("nothing is signed while the newest key is ended", detail)

    def _check_copy(self, keeper: "Keeper", signer: Signer, said: Commitment) -> None:
        """[START-6, 9] A copy signs nothing before the chain has its `resume`."""
        if signer.copied_at is None:
            return
        if self._world.chain.channels[said.channel].sides[said.side].resume_height < signer.copied_at:
            detail = f"hospital {keeper.node.number} signs {said.size} entries on a copy of height {signer.copied_at}"
            raise Violation("a copy signs nothing before its resume is on the chain", detail)
        signer.copied_at = None

    def submitted(self, keeper: "Keeper", submit: Submit) -> None:
        """[WATCH-5] Nobody shows words of its peer that it has seen made void on the chain."""
        row, side = keeper.channel.l1, 1 - keeper.side
        if row is None:
            return
        shown: tuple[Signed, ...] = ()
        match submit.action:
            case Close(peer=Signed() as peer):
                shown = (peer,)
            case Challenge(commitment=commitment):
                shown = (commitment,)
            case Report(evidence=evidence):
                shown = commitments_in(evidence)
            case _:
                pass
        void = row.sides[side]
        for said in (decode_commitment(signed.body) for signed in shown):
            if said.side == side and said.height < void.resume_height and said.size > void.resume_size:
                detail = f"hospital {keeper.node.number} shows {said.size} entries of its peer, resumed at less"
                raise Violation("words that a resume made void are not shown", detail)
