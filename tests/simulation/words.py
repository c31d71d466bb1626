"""What the auditor keeps of a hospital's words, and how it reads a disk without trusting it."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from msgspec.structs import replace

from l1.rules.commitment import Commitment, Resume, decode_commitment, decode_resume
from l2.protocol.batch import Batch
from l2.protocol.channel import ChannelRow, decode_channel_row
from l2.protocol.rows import state_key

if TYPE_CHECKING:
    from tests.simulation.node import Node

__all__ = ["Signer", "Violation", "channel_row", "floor_on", "is_renewed", "resumed_at"]


class Violation(AssertionError):  # noqa: N818 - it is a finding, not an error of the simulator
    """A rule that was broken: `checker` is its name."""

    def __init__(self, checker: str, detail: str) -> None:
        super().__init__(f"{checker}: {detail}")
        self.checker, self.detail = checker, detail


@dataclass(slots=True)
class Signer:
    """What one hospital said about its own log in one channel, and what was promised about it."""

    said: dict[int, Commitment] = field(default_factory=dict)
    key: int = 0  # the greatest number of the keys that signed
    top: Commitment | None = None
    largest: int = 0  # the greatest size that it ever said and that no `resume` made void
    resumes: list[Resume] = field(default_factory=list)
    acknowledged: int = 0
    acknowledged_root: bytes = b""
    last_word: int | None = None  # the size of its final commitment, once said
    spent: int = 0  # the most that it ever said
    seen: set[tuple[int, bytes]] = field(default_factory=set)  # the peer's heads that it ever signed for
    held: int = 0  # how much of the peer's log its disk held when the close was posted
    charged_ms: int | None = None  # the chain clock when the other side held proof that it misbehaved
    copied_at: int | None = None  # the height at which its disk became a copy's, marked or minutes old
    income: int | None = None  # what its disk knew the peer to have paid when the close was posted


def channel_row(node: "Node", channel: bytes) -> ChannelRow | None:
    hurt = node.suspect == channel or node.disk.is_hurt(channel)
    stored = None if hurt else node.disk.rows(channel).get(state_key())
    return None if stored is None else decode_channel_row(stored)


def floor_on(node: "Node", channel: bytes) -> int:
    """The newest promise that a disk remembers."""
    row = channel_row(node, channel)
    return 0 if row is None else row.peer_floor


def resumed_at(node: "Node", channel: bytes) -> int | None:
    """The height of the newest `resume` that a disk remembers to have got."""
    row = channel_row(node, channel)
    return None if row is None or row.resume is None else decode_resume(row.resume.body).height


def is_renewed(stored: Batch, sent: Batch, said: Commitment) -> bool:
    """Whether a batch that was sent again is the stored one: the same entries, and the same words at a later height."""
    before = decode_commitment(stored.commitment.body)
    same = replace(before, height=said.height) == said and said.height >= before.height
    return same and (stored.publics, stored.privates) == (sent.publics, sent.privates)
