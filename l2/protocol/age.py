"""How old our disk may be. A backup is marked as one; a snapshot of the machine is not, and tells by its age.

[START-9] With its rows a channel keeps the chain clock of a late block at which it could sign. A process that finds
this minutes behind runs on a copy, for all that it knows: what it says next must stand against what it forgot.
"""

from l2.protocol.channel import Channel
from l2.protocol.events import Effect
from l2.protocol.limits import ALIVE_MS, STALE_MS
from l2.protocol.phases import Phase
from l2.protocol.rows import alive_key

__all__ = ["note_age"]


def note_age(channel: Channel) -> list[Effect]:
    """After each block. Only a process that has resumed says that its rows are of now."""
    if not channel.resumed:
        channel.is_copy = channel.is_copy or channel.clock_ms > channel.alive_ms + STALE_MS
        return []
    if channel.phase is not Phase.OPEN or channel.clock_ms < channel.alive_ms + ALIVE_MS:
        return []
    channel.alive_ms = channel.clock_ms
    return [channel.persist([(alive_key(), channel.alive_ms.to_bytes(8, "big"))])]
