"""`python -m tests.simulation --seed N`: live the worlds of a seed, and say what came of them."""

import argparse
import json
import os
import sys
from dataclasses import asdict
from time import perf_counter

from tests.simulation.history import WORLD_HOURS, WORLD_MESSAGES, Task, Told, sum_up, tell
from tests.simulation.seasons import Report
from tests.simulation.weather import KINDS, RARE
from tests.simulation.world import World

SHOWN_S = 0.5  # between two progress lines


def main() -> int:
    """Exit code 1 for a broken rule."""
    options = _options()
    print(f"seed {options.seed}, {options.events:,} events, weather {options.weather or 'by seed'}", file=sys.stderr)
    task = Task(options.weather, options.events, options.hours, options.messages)
    seeds = [options.seed] if options.seeds == 1 else [str(int(options.seed) + at) for at in range(options.seeds)]
    broken = 0
    for seed in seeds:
        told = _live(task, seed, options)
        broken += told.violation is not None
        if options.json:
            print(json.dumps(asdict(told) | {"rate": round(told.events / told.seconds)}), flush=True)
        else:
            _print(told, task)
    return 1 if broken else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", default="1", help="a number, or one world of it, as in 1/3")
    parser.add_argument("--seeds", type=int, default=1, help="so many seeds, from --seed on")
    parser.add_argument("--events", type=int, default=100_000, help="worlds follow one another until so many")
    parser.add_argument("--hours", type=float, default=WORLD_HOURS, help="a storm ends after so many of its own time")
    parser.add_argument("--messages", type=int, default=WORLD_MESSAGES, help="or after so many messages")
    parser.add_argument("--weather", choices=sorted(KINDS | RARE), default=None)
    jobs = len(os.sched_getaffinity(0))
    parser.add_argument(
        "--jobs",
        type=int,
        default=jobs,
        help="worlds lived at once (one for each core); what comes of them is the same",
    )
    parser.add_argument("--trace", action="store_true", help="every word and every block, on stderr (one job)")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


class _Progress:
    """One line on a terminal, written over again; nothing elsewhere."""

    def __init__(self, events: int) -> None:
        self._wanted, self._began, self._shown = events, perf_counter(), 0.0
        self._is_terminal = sys.stderr.isatty()
        self.done, self.worlds = 0, 0

    def world_ended(self, report: Report) -> None:
        self.done += report.events
        self.worlds += 1
        self._show(0, report.weather)

    def watch(self, world: World) -> None:
        if perf_counter() - self._shown > SHOWN_S:
            self._show(world.events, world.weather.kind)

    def _show(self, more: int, weather: str) -> None:
        self._shown = perf_counter()
        events, seconds = self.done + more, self._shown - self._began
        line = f"world {self.worlds + 1} ({weather}): {events:,} of {self._wanted:,} events, {events / seconds:,.0f}/s"
        if self._is_terminal:
            print(f"\r{line:<100}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._is_terminal:
            print(f"\r{'':<100}\r", end="", file=sys.stderr, flush=True)


def _live(task: Task, seed: str, options: argparse.Namespace) -> Told:
    trace = (lambda line: print(line, file=sys.stderr)) if options.trace else None
    progress, began = _Progress(task.events), perf_counter()
    reports: list[Report] = []
    jobs = 1 if options.trace else options.jobs
    for report in tell(task, seed, jobs=jobs, trace=trace, watch=progress.watch):
        reports.append(report)
        progress.world_ended(report)
    progress.end()
    return sum_up(seed, reports, perf_counter() - began)


def _print(told: Told, task: Task) -> None:
    hours = told.world_ms / 3_600_000
    print(
        f"seed {told.seed}: {told.worlds} worlds, {told.hospitals} hospitals, {told.channels} channels, {hours:.1f} h"
    )
    messages, syncs = told.counts.get("messages", 0), told.counts.get("syncs", 0)
    parts = f"{told.judged:,} entries judged, {messages:,} messages, {syncs:,} syncs, {told.blocks:,} blocks"
    rate = told.events / told.seconds
    print(f"  {told.events:,} events in {told.seconds:.1f} s: {rate:,.0f} a second ({parts})")
    print("  " + ", ".join(f"{name} {count:,}" for name, count in told.counts.items()))
    print(f"  hash {told.hash}")
    if told.violation is None:
        print("  nothing lost, nobody signed twice, all settled")
    else:
        print(f"  BROKEN in world {told.broken} {told.violation}")
        print(f"  again: python -m tests.simulation --seed {told.broken} {task.again()}")


if __name__ == "__main__":
    sys.exit(main())
