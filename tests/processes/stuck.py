"""One channel whose peer is stuck, beside one that works: how fast is the second, and how much does the first hold?

    python -m tests.processes.stuck --rounds 10

A keeps a channel with B and one with C. B is stopped (SIGSTOP: its kernel goes on to answer TCP) and started again, in
turn; all the while A is given more for B than it may queue, and writes to C. In the end B has everything.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from statistics import median

import trio

from client.demo.play import GIFT
from client.demo.world import Hospital, wait_until
from l2.desk.drafts import encode_drafts
from tests.processes.hospitals import both_open, consents, open_channel
from tests.processes.worlds import open_world

__all__ = ["Beside", "write_beside_a_stuck_peer"]

CHUNK = 10_000
FLOOD = 25  # chunks for B: more than a channel queues, so that some of its callers wait
TO_C = 5  # appends of so many entries in a round
ENTRIES = 500
LEVEL_S = 240.0


@dataclass
class Beside:
    """Seconds of each round with C, and what A's memory grew by while it kept all that B did not take."""

    calm_s: list[float] = field(default_factory=list)
    stuck_s: list[float] = field(default_factory=list)
    grown_mib: int = 0
    lost: int = 0

    @property
    def ratio(self) -> float:
        """The rate to C beside a stuck peer, of that without."""
        return median(self.calm_s) / median(self.stuck_s)


async def write_beside_a_stuck_peer(folder: Path, rounds: int) -> Beside:
    """Run it in an empty folder."""
    found = Beside()
    async with open_world(folder) as world:
        await world.found_chain(follower=False)
        a, b, c = [await world.add_hospital(name, GIFT) for name in "ABC"]
        to_b, to_c = await open_channel(a, b), await open_channel(a, c)
        await _write(a, to_c)
        flood = encode_drafts(consents("flood", 0, CHUNK))
        before_mib = _resident_mib(a)
        async with trio.open_nursery() as nursery:
            for at in range(rounds):
                found.calm_s.append(await _write(a, to_c))
                b.node.signal(SIGSTOP)
                if not at:
                    for _ in range(FLOOD):
                        nursery.start_soon(a.desk.append_encoded, to_b, flood)
                found.stuck_s.append(await _write(a, to_c))
                found.grown_mib = max(found.grown_mib, _resident_mib(a) - before_mib)
                b.node.signal(SIGCONT)
        await both_open(a, b, to_b)
        await _is_level(a, b, to_b)
        found.lost = FLOOD * CHUNK - await _consents_at(b, to_b)
    return found


async def _write(a: Hospital, channel: str) -> float:
    """Seconds until the peer has acknowledged a round."""
    began = time.monotonic()
    for at in range(TO_C):
        await a.desk.append(channel, consents("c", at * ENTRIES, ENTRIES))
    return time.monotonic() - began


async def _is_level(a: Hospital, b: Hospital, channel: str) -> None:
    async def level() -> bool:
        ours, theirs = await a.desk.channel(channel), await b.desk.channel(channel)
        return ours.own.size == theirs.theirs.size == ours.receipted

    await wait_until("B has everything", level, LEVEL_S)


async def _consents_at(b: Hospital, channel: str) -> int:
    """How many entries of the flood B holds: all but the few `seen`s."""
    size = (await b.desk.channel(channel)).theirs.size
    return min(size, FLOOD * CHUNK)


def _resident_mib(hospital: Hospital) -> int:
    lines = Path(f"/proc/{hospital.node.pid}/status").read_text().splitlines()
    (kib,) = [line.split()[1] for line in lines if line.startswith("RssAnon:")]
    return int(kib) // 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="interward-stuck-") as folder:
        found = trio.run(write_beside_a_stuck_peer, Path(folder), arguments.rounds)
    sys.stdout.write(
        f"rate to C beside a stuck peer, of that without: {found.ratio:.2f}\n"
        f"calm {median(found.calm_s):.2f} s, stuck {median(found.stuck_s):.2f} s a round\n"
        f"memory that A's process grew by: {found.grown_mib} MiB\nlost: {found.lost}\n"
    )
    return 0 if not found.lost else 1


if __name__ == "__main__":
    sys.exit(main())
