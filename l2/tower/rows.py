"""What a tower remembers: shapes of its rows, and the keys under which they lie. It knows no disk.

One row for each watched side of a channel, so that memory does not grow with channels and a look-up is one read.
"""

from enum import IntEnum

from l1.ground.codec import Shape, decoder
from l1.ground.fields import AccountId, Credits, Height, Size, TimeMs
from l1.ground.limits import FRAME_BYTES_MAX
from l1.rules.commitment import Signed
from l1.rules.state import Hospital
from l2.protocol.answer_proof import AnswerProof

__all__ = [
    "Answer",
    "Held",
    "Known",
    "Stand",
    "decode_answer_row",
    "decode_held",
    "decode_known",
    "due_key",
    "side_key",
    "watched_key",
]


class Held(Shape, frozen=True):
    """The newest commitment of `peer` (the side in the key) that `hospital` handed over."""

    hospital: AccountId
    peer: AccountId
    size: Size
    signed: Signed


class Known(Shape, frozen=True):
    """A hospital as the chain has registered it, and our share as its tower (per mille); None: we are not its tower."""

    hospital: Hospital
    reward: int | None


class Stand(IntEnum):
    """How it stands with a close that we watch."""

    NOTHING_TO_SHOW = 1  # the chain knows what we know
    WANTED = 2  # decided: to be brought to the chain
    ASKED = 3  # in the chain's hands
    ANSWERED = 4  # our challenge stands in a block
    OTHERS = 5  # somebody else showed it first
    TOO_LATE = 6  # the window was over
    VOID = 7  # the chain does not count what we hold


class Answer(Shape, frozen=True):
    """A close of a watched channel, and what we did about it. Sizes are of the watched side's log.

    `posted` is what the chain knows, `shown` what we answered with. `asked_at` is the height at which the chain was
    asked last, `answered_at` that of the block in which our challenge stands, `due_ms` the chain clock at which we
    settle (0: that is not ours to do). `reward` is what the channel paid us when it settled.
    """

    stand: int
    hospital: AccountId
    posted: Size
    shown: Size
    seen_at: Height
    closes_at_ms: TimeMs
    asked_at: Height = 0
    due_ms: TimeMs = 0
    settled: bool = False
    reward: Credits = 0
    answered_at: Height = 0
    proof: AnswerProof | None = None


decode_held = decoder(Held, bytes_max=4096, what="held commitment")
decode_known = decoder(Known, bytes_max=FRAME_BYTES_MAX, what="known hospital")
decode_answer_row = decoder(Answer, bytes_max=FRAME_BYTES_MAX, what="stored answer")


def side_key(channel: bytes, side: int) -> bytes:
    """33 bytes: a side of a channel."""
    return channel + side.to_bytes(1, "big")


def watched_key(hospital: bytes, channel: bytes, side: int) -> bytes:
    """53 bytes: for whom the side is watched."""
    return hospital + side_key(channel, side)


def due_key(due_ms: int, side: bytes) -> bytes:
    """41 bytes: watched sides in the order in which they are to be settled."""
    return due_ms.to_bytes(8, "big") + side
