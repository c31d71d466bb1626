"""What a seed picks before anything happens: who there is, who keeps channels with whom, and how bad the weather is.

Every trouble has a mean pause in milliseconds of the world's time; 0 says that it never happens.
"""

from dataclasses import dataclass, field, replace
from random import Random

__all__ = ["CALM", "KINDS", "RARE", "Topology", "Weather", "pick_topology", "pick_weather"]


@dataclass(frozen=True)
class Topology:
    """Hospitals by number, the pairs that keep a channel, which of them is Mallory (None: nobody), how many towers, and
    which of these lies."""

    hospitals: int
    pairs: tuple[tuple[int, int], ...]
    mallory: int | None
    towers: int = 0
    liar: int | None = None


@dataclass(frozen=True)
class Weather:
    """See the module. `troubles` are mean pauses by name, over the whole world."""

    kind: str
    delay_ms: tuple[int, int] = (1, 8)
    sync_ms: tuple[int, int] = (1, 6)
    append_ms: int = 60  # mean pause between two appends to one log
    append_entries: int = 40
    batch_entries: int = 1_000
    fee: int = 0
    crash_per_effect: float = 0.0
    skew_ms: int = 2_000
    window_ms: int = 240_000  # longer than any hospital is away: one that sleeps through its window may lose
    verdict_ms: int = 150_000  # from proof on a disk to a verdict: a crash, a chain out of reach, a queue
    troubles: dict[str, int] = field(default_factory=dict)


CALM = Weather(kind="calm")

# How much at once, and how often: bulk is written more seldom, so that every storm lasts for many blows.
_PAUSES_MS = {
    1: (20, 60, 200),
    40: (60, 200, 800),
    300: (200, 800),
    900: (800, 3_000),
    4_000: (3_000, 10_000),
}

_LINES = {"cut": 4_000, "half open": 9_000, "clog": 6_000, "partition": 20_000, "one-way partition": 15_000}
_POWER = {"crash": 9_000}
_DISKS = {"disk full": 25_000, "failing sync": 25_000, "torn write": 40_000, "damaged row": 50_000}
_OPERATORS = {"backup": 15_000, "restore older": 40_000, "restore nothing": 60_000, "checkpoint": 8_000}
_OPERATORS |= {
    "words shown": 10_000,
    "deposit": 30_000,
    "close together": 60_000,
    "close alone": 180_000,
    "close lost": 500_000,
}
_KEYS = {"rotate key": 40_000, "end older keys": 8_000, "end newest key": 200_000}
_KEYS |= {"rotate root": 300_000, "root stolen": 200_000, "thief": 10_000}
_CLOCKS = {"clock jump": 40_000, "chain out of reach": 30_000, "chain pause": 60_000}
_MALLORY = {"mallory": 700}
_TOWERS = {"tower crash": 20_000, "tower lags": 30_000, "tower disk fails": 40_000, "tower backup": 20_000}
_TOWERS |= {"tower restored": 90_000, "tower changed": 60_000, "long absence": 40_000}
_TOWERS |= {"tower lies": 15_000}

_ALL = _LINES | _POWER | _DISKS | _OPERATORS | _CLOCKS | _MALLORY | _KEYS | _TOWERS

KINDS: dict[str, Weather] = {
    "lines": Weather(kind="lines", troubles=_LINES | _OPERATORS | _MALLORY, delay_ms=(1, 60)),
    "power": Weather(kind="power", troubles=_LINES | _POWER | _MALLORY, crash_per_effect=0.002),
    "disks": Weather(kind="disks", troubles=_DISKS | _POWER | _OPERATORS | _MALLORY, sync_ms=(1, 40)),
    "clocks": Weather(kind="clocks", troubles=_CLOCKS | _LINES | _MALLORY, skew_ms=200_000),
    "operators": Weather(
        kind="operators",
        troubles={name: pause // 3 for name, pause in _OPERATORS.items()} | _POWER | _MALLORY,
    ),
    "keys": Weather(
        kind="keys",
        troubles={name: pause // 2 for name, pause in _KEYS.items()} | _OPERATORS | _LINES | _POWER | _MALLORY,
        crash_per_effect=0.0005,
    ),
    "everything": Weather(kind="everything", troubles=_ALL, delay_ms=(1, 40), crash_per_effect=0.0005, skew_ms=100_000),
    "betrayal": Weather(
        kind="betrayal",
        troubles={"mallory": 250, "cut": 20_000, "checkpoint": 10_000, "crash": 40_000, "restore older": 60_000}
        | {"backup": 10_000}
        | {"words shown": 2_000},
        window_ms=60_000,
        verdict_ms=40_000,
    ),
    "absence": Weather(  # Mallory is patient, and waits until nobody is at home
        kind="absence",
        troubles={"mallory": 500, "cut": 20_000, "checkpoint": 15_000, "crash": 60_000, "long absence": 15_000}
        | {"tower crash": 60_000, "tower lags": 60_000, "tower disk fails": 90_000, "tower backup": 20_000}
        | {"tower restored": 150_000, "tower changed": 150_000, "words shown": 10_000, "restore older": 90_000}
        | {"backup": 15_000, "tower lies": 5_000},
        window_ms=60_000,
        verdict_ms=40_000,
    ),
    "garbage": Weather(
        kind="garbage",
        troubles={"mallory": 400, "cut": 15_000, "crash": 60_000, "checkpoint": 10_000},
        window_ms=60_000,
        verdict_ms=40_000,
    ),
    "fine": Weather(kind="fine", troubles={"cut": 60_000, "checkpoint": 5_000} | _MALLORY),
}

RARE: dict[str, Weather] = {
    "copies": Weather(  # little is written, and disks go back and forth: an old one may hold all that there is
        kind="copies",
        troubles={"backup": 15_000, "restore older": 8_000, "crash": 8_000, "checkpoint": 60_000}
        | {"words shown": 5_000, "close alone": 90_000, "cut": 20_000, "back and forth": 8_000},
        append_ms=15_000,
        append_entries=3,
    ),
    "promises": Weather(  # the same, and Mallory keeps back what her peers give her and forget
        kind="promises",
        troubles={"mallory": 2_000, "backup": 6_000, "restore older": 12_000, "crash": 12_000, "checkpoint": 60_000}
        | {"close alone": 120_000, "cut": 20_000},
        append_ms=15_000,
        append_entries=3,
        window_ms=60_000,
        verdict_ms=40_000,
    ),
}
"""Lived where they are asked for by name alone: no seed picks them, and so none is another world for them."""


_HERS = ("betrayal", "garbage", "absence", "promises")


def pick_topology(rng: Random, weather: str | None = None) -> Topology:
    """Two to five hospitals, every one with at least one channel; in half of the worlds one is Mallory, and in a
    betrayal always, and where garbage is thrown, somebody is away or promises are forgotten; never among copies."""
    hospitals = rng.choice((2, 2, 3, 3, 4, 5))
    pairs = [(rng.randrange(at), at) for at in range(1, hospitals)]
    for _ in range(rng.randrange(hospitals)):
        first, second = rng.sample(range(hospitals), 2)
        pairs.append((first, second))
    mallory = rng.randrange(hospitals) if rng.random() < 0.5 or weather in _HERS else None
    mallory = None if weather == "copies" else mallory
    towers = rng.choice((1, 1, 2)) if weather == "absence" else rng.choice((0, 1, 1, 2))
    may_lie = towers > (weather == "absence") and rng.random() < 0.3  # who is away has one that does not
    return Topology(hospitals, tuple(pairs), mallory, towers, towers - 1 if may_lie else None)


def pick_weather(rng: Random, kind: str | None = None) -> Weather:
    """One of the kinds, with its own volumes and fees."""
    if kind in RARE:
        return RARE[kind]
    weather = KINDS[kind or rng.choice(sorted(KINDS))]
    if weather.kind in ("betrayal", "absence"):  # long rather than busy: a betrayal takes its time
        return replace(
            weather, append_ms=rng.choice((100, 300)), append_entries=rng.choice((3, 300)), fee=rng.choice((1, 5, 40))
        )
    entries = rng.choice(sorted(_PAUSES_MS))
    return replace(
        weather,
        append_ms=rng.choice(_PAUSES_MS[entries]),
        append_entries=entries,
        batch_entries=rng.choice((1, 100, 1_000, 1_000, 4_000, 4_000)),
        fee=rng.choice((0, 1, 5, 40)),
    )
