"""The power fails before effect 0, then before effect 1, 2, 3 … of one small history, until a run is unhurt."""

from tests.simulation.seasons import Report, live
from tests.simulation.weather import Topology, Weather
from tests.simulation.world import World

__all__ = ["crash_everywhere"]

_TWO = Topology(hospitals=2, pairs=((0, 1),), mallory=None)
_QUIET = Weather(kind="quiet", append_ms=150, append_entries=3, batch_entries=2, fee=1, troubles={"checkpoint": 3_000})


def crash_everywhere(seed: int, *, events: int = 250, effects_max: int = 2_000) -> list[Report]:
    """A report of every run; the last one is unhurt, or the bound is reached."""
    reports: list[Report] = []
    for effect in range(effects_max):
        report = live(World(seed, topology=_TWO, settings=_QUIET, crash_at=effect), events=events)
        reports.append(report)
        if not report.crashed:
            break
    return reports
