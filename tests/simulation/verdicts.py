"""What must be punished: from the moment an honest hospital holds proof on its disk, a verdict must follow in time."""

from typing import TYPE_CHECKING

from l1.rules.commitment import decode_commitment
from l1.rules.log.entries import Access
from l1.rules.log.marks import Void
from l1.rules.state import Channel as L1Channel
from l2.protocol.events import Arrived
from tests.simulation.words import Signer, Violation

if TYPE_CHECKING:
    from tests.simulation.keeper import Keeper
    from tests.simulation.world import World

__all__ = ["Verdicts"]

_AFTER_END = (Void.ENDED, Void.CONSENT_WITHDRAWN)


class Verdicts:
    """Part of the auditor."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def charged(self, keeper: "Keeper", signer: Signer, charge: str) -> None:
        """An honest hospital holds proof against its peer, whose words `signer` keeps."""
        if keeper.node.is_mallory or self._world.is_behind(keeper.node, keeper.id):
            return
        self._world.counts[f"proof of {charge.lower().replace('_', ' ')}"] += 1
        signer.charged_ms = signer.charged_ms or self._world.chain.tip.clock_ms

    def heard_void(self, keeper: "Keeper", signer: Signer, arrived: Arrived) -> None:
        """An access after its grant or consent ended, as its writer had seen: proof, whether or not it is noticed."""
        if self._may_be_denied(keeper, arrived.first):
            return
        for index, reason in arrived.voids:
            if reason in _AFTER_END and isinstance(arrived.entries[index - arrived.first], Access):
                self.charged(keeper, signer, "an access after its end, heard")
                return

    @staticmethod
    def _may_be_denied(keeper: "Keeper", first: int) -> bool:
        """[START-10] Words from before a start that came after it prove nothing: who shows them may pay for it."""
        batch = keeper.channel.readers[1 - keeper.side].message(first)
        said = decode_commitment(batch.commitment.body)
        is_old = keeper.began < 0 or said.height < keeper.began
        return is_old and said.size > keeper.held and not keeper.is_fresh

    def check(self, row: L1Channel, side: int, signer: Signer) -> None:
        """Who was proved to have misbehaved, in time, has forfeited its bond when the channel is paid out.

        A close together waives what is claimed, and a resume of its own may lift it.
        """
        if signer.charged_ms is None or row.together or row.sides[side].resume_height:
            return
        enough_ms, accuser = self._world.weather.verdict_ms, self._world.node_of(row.opening.hospitals[1 - side])
        in_time = signer.charged_ms + enough_ms < row.closes_at_ms
        in_time = in_time and accuser.awake_ms(signer.charged_ms, row.closes_at_ms) >= enough_ms
        if in_time and not row.sides[side].guilty:
            raise Violation("misconduct that is proved is punished", f"side {side} keeps its bond")
