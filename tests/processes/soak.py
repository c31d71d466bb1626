"""`python -m tests.processes.soak --minutes M --seed S`: kill hospitals and chain under load for so long, and count.

Exit status 1 if anything acknowledged was lost or any size has two heads.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import trio

from tests.processes.storm import open_storm, report


async def _soak(folder: Path, minutes: float, seed: int) -> bool:
    deadline = time.monotonic() + 60 * minutes
    async with open_storm(folder, seed) as storm:
        try:
            while time.monotonic() < deadline:
                await storm.strike()
                sys.stdout.write(f"\r{storm.killed} kills, {storm.ledger.entries:,} entries acknowledged ")
                sys.stdout.flush()
            await storm.end()
        finally:
            sys.stdout.write("\n")
            report(storm, lambda line: sys.stdout.write(line + "\n"))
        return not storm.ledger.lost and not storm.ledger.double_heads


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="keep the data here (a new folder)")
    arguments = parser.parse_args()
    sys.stdout.write(f"seed {arguments.seed}, {arguments.minutes:g} minutes\n")
    if arguments.folder is not None:
        arguments.folder.mkdir()
        return 0 if trio.run(_soak, arguments.folder, arguments.minutes, arguments.seed) else 1
    with tempfile.TemporaryDirectory(prefix="interward-soak-") as folder:
        return 0 if trio.run(_soak, Path(folder), arguments.minutes, arguments.seed) else 1


if __name__ == "__main__":
    sys.exit(main())
