"""What a disk may have forgotten that it promised: nothing that a process takes or shows can be void by it.

[START-10] A `resume` is given at a height that the chain has reached (START-2). So whatever an older or later state of
our disk gave before this process started, it makes no words void that the peer signs from the height of now on, nor
any that stand at sizes which it named. What lies between is not taken while we can sign in the channel, for we would
acknowledge it; and it is never shown, for that would cost the bond if the peer then showed the `resume` (RESUME-5, 6).
"""

from l1.rules.commitment import Commitment
from l2.protocol.channel import Channel
from l2.protocol.events import Effect
from l2.protocol.phases import Phase
from l2.protocol.rows import doubt_key

__all__ = ["begin", "floor_of", "is_refused", "may_be_void", "recall"]


def floor_of(channel: Channel) -> int:
    """The peer's words below it are refused: [START-2] as was promised, or as may have been, and was forgotten."""
    return max(channel.row.peer_floor, channel.refuses_below)


def recall(channel: Channel) -> None:
    """With the first block: what an earlier process took while the channel was closing is not trusted by this one."""
    kept = channel.rows.get(doubt_key())
    if channel.trusted is not None and kept is not None:
        channel.trusted = min(channel.trusted, int.from_bytes(kept, "big"))


def begin(channel: Channel) -> list[Effect]:
    """After the first block. A channel that this process opened itself has nothing to forget."""
    if channel.trusted is None or channel.started_at is None:
        return []
    if channel.phase is Phase.ON_CHAIN:  # the peer signs nothing anew: what we lost is taken as it was signed
        return [channel.persist([(doubt_key(), channel.trusted.to_bytes(8, "big"))])]
    channel.refuses_below = channel.started_at
    return []


def is_refused(channel: Channel, said: Commitment) -> bool:
    """Whether words of the peer are from below the floor; before the first block nobody knows where that is."""
    return channel.started_at is None or said.height < floor_of(channel)


def may_be_void(channel: Channel, said: Commitment) -> bool:
    """Whether a `resume` that we may have forgotten could make these words of the peer void."""
    is_old = channel.started_at is None or said.height < channel.started_at
    return channel.trusted is not None and said.size > channel.trusted and is_old
