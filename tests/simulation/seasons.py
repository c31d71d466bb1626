"""A world's whole life: the storm, then calm weather in which everything must come to its end within a bound."""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

from l1.rules.commitment import Signed
from l1.rules.keys import key_counts
from l1.rules.state import Phase as L1Phase
from l1.rules.transactions import CHANNEL
from l2.protocol.channel import stored_commitment
from l2.protocol.events import AskClose
from l2.protocol.handover import age_of_signed
from l2.protocol.phases import Phase
from l2.protocol.rows import Damaged
from l2.tower.rows import side_key
from tests.simulation.auditor import Violation
from tests.simulation.genuine import own_signatures_known
from tests.simulation.keeper import Keeper
from tests.simulation.weather import CALM
from tests.simulation.world import World

__all__ = ["Report", "is_lacking", "live"]

JOIN_MS = 700_000  # in calm weather every pair of honest hospitals is level after so long
CLOSE_MS = 3 * CALM.window_ms + 300_000  # and everything is paid out after so long
HAND_MS = 120_000  # and every tower has been handed what its hospitals hold
ASK_MS = 30_000
WATCH_EVENTS = 2_000


@dataclass(frozen=True)
class Report:
    """What came of a world."""

    seed: int | str
    weather: str
    hospitals: int
    channels: int
    mallory: bool
    events: int
    judged: int
    blocks: int
    world_ms: int
    seconds: float
    counts: dict[str, int]
    hash: str
    violation: str | None
    checker: str | None
    crashed: bool

    @property
    def rate(self) -> float:
        return self.events / self.seconds if self.seconds else 0.0


def live(
    world: World,
    *,
    events: int,
    hours: float | None = None,
    messages: int | None = None,
    watch: Callable[[World], None] | None = None,
) -> Report:
    """The storm until there were so many events or messages, or so many hours have passed; then the calm.

    `watch` is told of the world once in a while, and changes nothing.
    """
    began = perf_counter()
    violation: Violation | None = None
    try:
        with own_signatures_known():
            storm(world, events=events, hours=hours, messages=messages, watch=watch)
            calm(world)
    except Violation as found:
        violation = found
    except Damaged as lost:  # rows that were hurt are named where they are read; nobody else may miss any
        violation = Violation("a log is whole on its disk", str(lost))
    return Report(
        seed=world.seed,
        weather=world.weather.kind,
        hospitals=len(world.nodes),
        channels=world.opened,
        mallory=world.topology.mallory is not None,
        events=world.events,
        judged=world.judged,
        blocks=world.chain.tip.height,
        world_ms=world.now,
        seconds=perf_counter() - began,
        counts=dict(sorted(world.counts.items())),
        hash=world.hash(),
        violation=None if violation is None else f"at {world.now} ms: {violation}",
        checker=None if violation is None else violation.checker,
        crashed=world.counts["crash between effects"] > 0,
    )


def storm(
    world: World,
    *,
    events: int,
    hours: float | None = None,
    messages: int | None = None,
    watch: Callable[[World], None] | None = None,
) -> None:
    until = 2**62 if hours is None else int(hours * 3_600_000)
    most = 2**62 if messages is None else messages
    told = 0

    def is_over() -> bool:
        nonlocal told
        if watch is not None and world.events >= told:
            told = world.events + WATCH_EVENTS
            watch(world)
        return world.events >= events or world.now >= until or world.counts["messages"] >= most

    world.troubles.begin()
    world.run(is_over)


def calm(world: World) -> None:
    """Heal everything; then what is honest must become level, close, and be paid."""
    kind = world.weather.kind
    world.weather = type(CALM)(kind=kind, fee=world.weather.fee, batch_entries=world.weather.batch_entries)
    world.is_calm = True
    world.heal()
    world.chain_paused_until = 0
    for tower in world.towers:
        tower.out_until, tower.write_fails = 0, False
        world.after(1, tower.start)
        world.after(1, tower.lose_sight, world.now + 1)
    for node in world.nodes:
        node.disk.is_full = node.sync_fails = False
        node.skew_ms = node.chain_until = node.away_until = 0
        world.troubles.examine(node)
        world.after(1, node.start)
    _within(world, JOIN_MS, lambda: _not_level(world), "liveness: level in calm weather")
    _look(world)
    _within(world, HAND_MS, lambda: _not_handed(world), "liveness: towers hold the newest in calm weather")
    _close_all(world)
    _within(world, CLOSE_MS, lambda: _not_settled(world), "liveness: settled in calm weather")


def _within(world: World, bound_ms: int, missing: Callable[[], str | None], checker: str) -> None:
    """Live on until nothing is missing; asked once in a while, for asking costs."""
    until, next_look = world.now + bound_ms, 0

    def is_over() -> bool:
        nonlocal next_look
        if world.now < next_look:
            return False
        next_look = world.now + 2_000
        return world.now > until or missing() is None

    world.run(is_over)
    what = missing()
    if what is not None:
        raise Violation(checker, what)


def _honest_pairs(world: World) -> list[tuple[Keeper, Keeper]]:
    """Both keepers of every channel of two honest hospitals that both still keep."""
    found = []
    for channel in world.channels:
        keepers = [node.keepers[channel] for node in world.nodes if channel in node.keepers]
        if len(keepers) == 2 and world.is_honest_channel(channel):
            found.append((keepers[0], keepers[1]))
    return found


def _not_level(world: World) -> str | None:
    down = [node.number for node in world.nodes if not node.is_up]
    if down:
        return f"hospitals {down} are down"
    for first, second in _honest_pairs(world):
        for keeper, other in ((first, second), (second, first)):
            channel = keeper.channel
            if channel.phase is not Phase.OPEN or other.channel.phase is not Phase.OPEN:
                continue
            if not channel.resumed or not channel.established:
                return f"hospital {keeper.node.number} has not resumed with {other.node.number}"
            if channel.queue or channel.under_way or channel.held:
                return f"hospital {keeper.node.number} still has entries on their way to {other.node.number}"
            if [log.size for log in channel.heads] != [log.size for log in other.channel.heads]:
                return f"hospitals {keeper.node.number} and {other.node.number} hold other heads"
    return None


def _not_handed(world: World) -> str | None:
    """Whether every tower holds the newest words of the peers of honest hospitals, whose keys count."""
    for node in world.nodes:
        clock_ms, number = world.chain.tip.clock_ms, node.ring.signing()[0]
        if node.is_mallory or not node.is_up or not key_counts(node.ring.registered(), number, CHANNEL, clock_ms):
            continue
        for keeper in node.keepers.values():
            known = stored_commitment(node.disk.rows(keeper.id), 1 - keeper.side)
            honest = [tower for tower in node.named if not tower.is_liar]
            for tower in honest if world.chain.row(keeper.id).phase != L1Phase.SETTLED else ():
                held = tower.book.held(side_key(keeper.id, 1 - keeper.side))
                if is_lacking(known, None if held is None else held.signed):
                    return f"hospital {node.number} holds newer words than tower {tower.number}"
    return None


def is_lacking(known: Signed | None, held: Signed | None) -> bool:
    """[HAND-4] Whether a tower holds older words of a peer than the hospital that it serves, or none. A peer that signs
    two logs may have given its hospital, after a loss, the older ones of greater size."""
    return known is not None and (held is None or age_of_signed(known) > age_of_signed(held))


def _look(world: World) -> None:
    """All is level: what was acknowledged is there, and both folds say the same."""
    world.look_who_caught_up()
    for first, second in _honest_pairs(world):
        if first.channel.phase is Phase.OPEN and second.channel.phase is Phase.OPEN:
            world.auditor.check_kept([first, second])
        world.auditor.check_folds(first)
        if not world.auditor.check_pair(first, second):
            world.auditor.check_folds(second)


def _close_all(world: World) -> None:
    """Operators close whatever is open: with honest peers together first, with others alone."""
    for node in world.nodes:
        if node.is_mallory:
            continue
        for keeper in node.keepers.values():
            other = world.peer_of(keeper)
            together = not other.is_mallory and keeper.channel.phase is Phase.OPEN and world.rng.random() < 0.7
            _ask_close(keeper, alone=not together)
    world.after(ASK_MS, _ask_again, world)


def _ask_close(keeper: Keeper, *, alone: bool) -> None:
    lost = alone and not keeper.channel.resumed
    keeper.offer(AskClose(alone=alone, lost=lost))


def _ask_again(world: World) -> None:
    """What is not on the chain yet is closed alone: a crash may have lost what was asked of the chain."""
    for node in world.nodes:
        for keeper in node.keepers.values():
            row = world.chain.channels[keeper.id]
            if row.phase == L1Phase.OPEN and not node.is_mallory:
                _ask_close(keeper, alone=True)
    world.after(ASK_MS, _ask_again, world)


def _not_settled(world: World) -> str | None:
    for row in world.chain.channels.values():
        if row.phase != L1Phase.SETTLED:
            numbers = [world.node_of(each).number for each in row.opening.hospitals]
            return f"the channel of hospitals {numbers} is {L1Phase(row.phase).name.lower()} on the chain"
    return None
