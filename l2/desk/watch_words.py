"""The shapes of what concerns watchtowers: what a hospital's desk asks of it, and what it answers. As in `words`."""

from typing import Annotated

from msgspec import Meta

from l1.ground.limits import TOWER_REWARD_MAX
from l2.desk.word import Hex, TimeMs, Word

__all__ = ["TowerView", "TowerWanted"]

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
