"""What a seed has to tell: worlds one after another, until so many events have happened.

A world is bounded, so that each picks its own topology and weather, and ends in calm weather with everything paid out.
The first world of seed N is called N, the next N/1, N/2 …; each can be lived again alone by that name. How many there
are follows from what happens in them, never from how fast the machine is or how many processes share the work.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from itertools import count

from tests.simulation.seasons import Report, live
from tests.simulation.world import World

__all__ = ["WORLD_HOURS", "WORLD_MESSAGES", "Task", "Told", "names", "sum_up", "tell"]

Trace = Callable[[str], None]
Watch = Callable[[World], None]

WORLD_EVENTS = 500_000  # of one world at most
WORLD_MESSAGES = 4_000  # nor more of these: each costs a signature, and they are not alike for long
WORLD_HOURS = 0.5  # and its storm lasts no longer, of its own time


@dataclass(frozen=True)
class Task:
    """How every world of a history is lived."""

    weather: str | None
    events: int
    hours: float = WORLD_HOURS
    messages: int = WORLD_MESSAGES

    def world_events(self) -> int:
        worlds = -(-self.events // WORLD_EVENTS)
        return -(-self.events // worlds)

    def again(self) -> str:
        """The options that live one of these worlds again."""
        weather = "" if self.weather is None else f" --weather {self.weather}"
        return f"--events {self.world_events()} --hours {self.hours:g} --messages {self.messages}{weather}"

    def live(self, name: str, trace: Trace | None = None, watch: Watch | None = None) -> Report:
        world = World(name, weather=self.weather, trace=trace)
        return live(world, events=self.world_events(), hours=self.hours, messages=self.messages, watch=watch)


def names(seed: str) -> Iterator[str]:
    """The worlds of a seed, in order."""
    yield seed
    if "/" not in seed:
        yield from (f"{seed}/{number}" for number in count(1))


def tell(
    task: Task,
    seed: str,
    jobs: int = 1,
    trace: Trace | None = None,
    watch: Watch | None = None,
) -> Iterator[Report]:
    """Reports of the worlds, in order, until together they hold the events asked for or one breaks a rule."""
    told = _in_order(task, seed, jobs) if jobs > 1 else (task.live(name, trace, watch) for name in names(seed))
    events = 0
    for report in told:
        yield report
        events += report.events
        if events >= task.events or report.violation is not None:
            break


def _in_order(task: Task, seed: str, jobs: int) -> Iterator[Report]:
    """Some worlds are lived at once; those that turn out not to be needed are dropped."""
    following = names(seed)
    with ProcessPoolExecutor(jobs) as pool:
        ahead: list[Future[Report]] = []
        try:
            while True:
                while len(ahead) < jobs + 1 and (name := next(following, None)) is not None:
                    ahead.append(pool.submit(task.live, name))
                if not ahead:
                    return
                yield ahead.pop(0).result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True)
class Told:
    """What came of a seed: sums over its worlds, one hash over all their histories, and the first broken rule."""

    seed: str
    worlds: int
    hospitals: int
    channels: int
    events: int
    judged: int
    blocks: int
    world_ms: int
    seconds: float
    counts: dict[str, int]
    hash: str
    violation: str | None
    broken: str | None  # the world in which a rule broke: a seed by itself


def sum_up(seed: str, reports: list[Report], seconds: float) -> Told:
    whole, counts = blake2b(digest_size=16), Counter[str]()
    for report in reports:
        whole.update(report.hash.encode())
        counts.update(report.counts)
    last = reports[-1]
    return Told(
        seed=seed,
        worlds=len(reports),
        hospitals=sum(report.hospitals for report in reports),
        channels=sum(report.channels for report in reports),
        events=sum(report.events for report in reports),
        judged=sum(report.judged for report in reports),
        blocks=sum(report.blocks for report in reports),
        world_ms=sum(report.world_ms for report in reports),
        seconds=seconds,
        counts=dict(sorted(counts.items())),
        hash=whole.hexdigest(),
        violation=last.violation,
        broken=str(last.seed) if last.violation is not None else None,
    )
