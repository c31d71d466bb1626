"""`python -m tests.simulation --seed N`: live one world, and say what came of it. Exit code 1 for a broken rule."""

import argparse
import json
import sys
from dataclasses import asdict

from tests.simulation.seasons import Report, live
from tests.simulation.weather import KINDS
from tests.simulation.world import World


def main() -> int:
    options = _options()
    print(f"seed {options.seed}, {options.events} events, weather {options.weather or 'by seed'}", file=sys.stderr)
    trace = (lambda line: print(line, file=sys.stderr)) if options.trace else None
    broken = 0
    for seed in range(options.seed, options.seed + options.seeds):
        report = live(World(seed, weather=options.weather, trace=trace), events=options.events, hours=options.hours)
        broken += report.violation is not None
        if options.json:
            print(json.dumps(asdict(report) | {"rate": round(report.rate)}))
        else:
            _print(report)
    return 1 if broken else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1, help="so many worlds, from --seed on")
    parser.add_argument("--events", type=int, default=100_000, help="the storm ends after so many")
    parser.add_argument("--hours", type=float, default=None, help="or after so many hours of the world's time")
    parser.add_argument("--weather", choices=sorted(KINDS), default=None)
    parser.add_argument("--trace", action="store_true", help="every word and every block, on stderr")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _print(report: Report) -> None:
    who = f"{report.hospitals} hospitals, {report.channels} channels{', Mallory among them' if report.mallory else ''}"
    print(f"seed {report.seed}: {who}; {report.weather} weather for {report.world_ms / 3_600_000:.2f} h")
    parts = f"{report.judged:,} entries judged, {report.counts.get('messages', 0):,} messages, {report.blocks:,} blocks"
    print(f"  {report.events:,} events ({parts}) in {report.seconds:.1f} s: {report.rate:,.0f} a second")
    print("  " + ", ".join(f"{name} {count:,}" for name, count in report.counts.items() if name != "messages"))
    print(f"  hash {report.hash}")
    print(f"  {'BROKEN ' + report.violation if report.violation else 'nothing lost, nobody signed twice, all settled'}")


if __name__ == "__main__":
    sys.exit(main())
