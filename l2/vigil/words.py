"""What a tower is asked and what it answers, in JSON. Bytes are lower hex, times ms since the epoch."""

import msgspec

__all__ = ["AnswerView", "HandedOver", "NotHeld", "TowerStatus"]


class TowerStatus(msgspec.Struct, frozen=True):
    """How a tower stands. `tower` is its account on the chain, `key` the public key that it was made of; `store` names
    this opening of its disk: [HAND-6] at another one, what was handed over before may be lacking."""

    name: str
    tower: str
    key: str
    chain: str
    height: int
    clock_ms: int
    watched: int
    closes: int
    waiting: int
    bytes: int
    store: str


class NotHeld(msgspec.Struct, frozen=True):
    """A commitment that the tower did not take, and why."""

    channel: str
    fault: str
    detail: str


class HandedOver(msgspec.Struct, frozen=True):
    """How many commitments of a handover are held, as new or as something newer; and those that are not."""

    held: int
    refused: list[NotHeld] = []


class AnswerView(msgspec.Struct, frozen=True):
    """A close of a watched channel and what the tower did. Sizes are of the watched side's log.

    `stand`: nothing to show, wanted, asked, answered, others, too late, void. `height` is that of the block in which
    the answer stands; `reward` what the channel paid the tower when it settled.
    """

    channel: str
    side: int
    hospital: str
    stand: str
    posted: int
    shown: int
    seen_at: int
    closes_at_ms: int
    height: int | None
    settled: bool
    reward: int
