"""The shapes of what concerns disputes and watchtowers: what a desk asks of its hospital, and what it answers.

As in `words`.
"""

from typing import Annotated, Literal

from msgspec import Meta

from l1.ground.limits import TOWER_REWARD_MAX
from l2.desk.word import Hex, Side, TimeMs, Word

__all__ = ["AccessToProve", "CaseFiled", "CaseProof", "CaseView", "Quarrel", "Receipt", "TowerView", "TowerWanted"]

Reward = Annotated[int, Meta(ge=0, le=TOWER_REWARD_MAX)]


class TowerWanted(Word, frozen=True):
    """Name the tower at this URL on L1. The reward is its share of a bond that its answer forfeits."""

    url: Annotated[str, Meta(pattern=r"^https?://", max_length=255)]
    reward_per_mille: Reward


class TowerView(Word, frozen=True):
    """A watchtower as L1 has it; `channels` it holds the newest words of, `behind` of how many channels it does not."""

    tower: Hex
    url: str
    reward_per_mille: int
    since_ms: TimeMs
    channels: int
    behind: int
    trouble: str


class CaseView(Word, frozen=True):
    """Proof of a peer's misconduct that we keep. `bytes` is the size of the evidence, `height` the chain's when found.

    `stand`: `to be reported`, `claimed` (decided when its window is over), `decided`, or `too late` to be reported.
    """

    channel: Hex
    peer: Hex
    peer_name: str
    number: int
    charge: str
    detail: str
    height: int
    bytes: int
    stand: Literal["to be reported", "claimed", "decided", "too late"]


class CaseProof(Word, frozen=True):
    """Evidence as the chain takes it, and the charge that our own copy of its judge finds in it."""

    channel: Hex
    charge: str
    evidence: Hex


class ProofShown(Word, frozen=True):
    """The text of an entry proof, as `interward audit prove` writes it."""

    proof: str


class CaseFiled(Word, frozen=True):
    """The block that holds our report or our demand."""

    height: int


class Quarrel(Word, frozen=True):
    """How the chain stands to one side of a channel. `guilty` is the charge for which its bond was forfeited.

    `claims` wait: each a charge and when it is decided on the chain clock, 0 on that side's being asked for nothing.
    """

    channel: Hex
    side: Side
    hospital: Hex
    phase: str
    bond: int
    guilty: str | None
    stale: bool
    claims: list[tuple[str, TimeMs]]


class AccessToProve(Word, frozen=True):
    """The peer's access at this index of its log."""

    access: Annotated[int, Meta(ge=0)]


class Receipt(Word, frozen=True):
    """Our receipt, by its index in our log, whose release the peer keeps back."""

    receipt: Annotated[int, Meta(ge=0)]
