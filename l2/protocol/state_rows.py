"""Changing what is stored of a channel as a whole: one row, one place."""

from typing import Any

from msgspec.structs import replace

from l1.ground.codec import encode
from l2.protocol.channel import Channel
from l2.protocol.events import Persist
from l2.protocol.phases import Cue, Phase, advance
from l2.protocol.rows import state_key

__all__ = ["change", "move"]


def change(channel: Channel, **fields: Any) -> Persist:
    """Change the channel's row, in memory and (by the effect) in the store."""
    channel.row = replace(channel.row, **fields)
    return channel.persist([(state_key(), encode(channel.row))])


def move(channel: Channel, cue: Cue, reason: str) -> Persist | None:
    """Move to the phase that the table gives; None if it stays."""
    phase = advance(channel.phase, cue)
    if phase is channel.phase:
        return None
    return change(channel, phase=int(phase), reason=reason if phase is not Phase.SETTLED else channel.row.reason)
