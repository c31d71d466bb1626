"""A second self of Mallory on the same rows: it signs another batch at the same size."""

from typing import TYPE_CHECKING

from l2.protocol.events import Append, MessageReceived, Send
from l2.protocol.phases import Phase
from tests.simulation.keeper import Keeper
from tests.simulation.workload import any_entries

if TYPE_CHECKING:
    from tests.simulation.mallory import Mallory

__all__ = ["other_self"]


def other_self(mallory: "Mallory", keeper: Keeper, *, in_secret: bool) -> bool:
    """The peer hears both; in secret only others hear of it."""
    channel, world = keeper.channel, mallory.world
    if channel.phase is not Phase.OPEN or not channel.own.size:
        return False
    me = channel.me
    other = world.core.load(mallory.disk.rows(keeper.id).copy(), me, channel.context.chain, fresh=True)
    other.peer_keys, other.height = channel.peer_keys, channel.height
    other.connected = other.established = True
    entries, terms = any_entries(world.rng, mallory.clock_ms(), mallory.target(keeper))
    try:
        effects = world.core.step(other, [Append(entries, terms, 0)], mallory.clock_ms(), keeper.own_keys)
    except AssertionError:  # an older misdeed of hers is no honest core's log
        return False
    for effect in effects:
        if isinstance(effect, Send):
            message = MessageReceived(int(effect.type), effect.payload)
            if not in_secret:
                mallory.remember(keeper, message)
                keeper.post(message)
    if other.own.signed is not None and other.own.size > 0:
        world.gossip.keep(other, other.own.signed, 0.5)
    return True
