"""One long body between two hospitals, and kill -9 of either of them again and again until it has arrived.

    python -m tests.processes.kills --megabytes 1024 --kills 50

Every byte that the custodian sends for it goes over a wire that counts; so what had to be sent again is known. The wire
also sees to it that the body has not arrived before the last kill: some megabytes behind the place of a kill it holds
until the hospital is back. Exit status 1 if the content is not identical, a kill did not happen, or more than 1 % of
the body was sent again for all kills together.
"""

import argparse
import hashlib
import math
import random
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import trio

from client.demo.play import GIFT
from client.demo.records import permit_all
from client.demo.world import Hospital, now_ms, wait_until
from l1.ground.faults import LocalError, Refused
from l2.desk import words
from tests.processes.hospitals import both_open, open_channel
from tests.processes.proxy import open_wire
from tests.processes.worlds import open_world

__all__ = ["Killed", "carry_under_kills"]

MIB = 1024 * 1024
DAY_MS = 86_400_000
READER = {"practitioner": "dr-b", "role": "PHYSICIAN", "purpose": "TREAT"}
TLS_OVERHEAD = 1.004  # 22 bytes for each record of at most 16 KiB, frames, and a few handshakes
START_S = 300.0
STEP_MIN, STEP_MAX = 0.4, 0.9  # what is sent from one kill to the next, of what there would be to send
BEHIND = 4 * MIB  # so much may follow before the process is dead


@dataclass
class Killed:
    """What it came to."""

    kills: int
    size: int
    sent: int
    identical: bool

    @property
    def in_all(self) -> float:
        """The part of the body that was sent again, for all kills together."""
        return max(0.0, self.sent / (self.size * TLS_OVERHEAD) - 1)

    @property
    def again(self) -> float:
        """The same for each kill."""
        return self.in_all / max(1, self.kills)


async def carry_under_kills(
    folder: Path, size: int, kills: int, seed: int, say: Callable[[str], object] = lambda _: None
) -> Killed:
    """Run it in an empty folder."""
    chance = random.Random(f"kills {seed}")
    async with open_world(folder) as world, open_wire(0) as wire:
        await world.found_chain(follower=False)
        a = await world.make_hospital("A", GIFT, "--endpoint", f"127.0.0.1:{wire.port}")
        await a.start()
        wire.target = int(str(a.node.ready["endpoint"]).rpartition(":")[2])
        b = await world.add_hospital("B", GIFT)
        channel = await open_channel(a, b)
        digest, grant = await _grant(a, channel, size)
        await wait_until("B has seen the grant", lambda: _has_grant(b, channel, grant), START_S)
        before = wire.answered_bytes
        done = 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_ask_for_it, b, channel, grant)
            for _ in range(kills):
                step = chance.uniform(STEP_MIN, STEP_MAX) * (size - BEHIND) / kills
                wire.allow(step + BEHIND)
                with trio.fail_after(START_S):
                    await wire.wait_answered(wire.answered_bytes + step)
                victim = chance.choice((a, b))
                await victim.node.kill()
                done += not await _has_record(b if victim is a else None)
                sent = wire.answered_bytes - before
                say(f"kill {done} ({victim.name}), sent {sent / MIB:,.1f} MiB")
                await _start_again(victim, a, b, channel)
            wire.allow(math.inf)
            await wait_until("the record has arrived", lambda: _has_record(b), 600)
            nursery.cancel_scope.cancel()
        return Killed(done, size, wire.answered_bytes - before, await _digest_at(b) == digest)


async def _grant(a: Hospital, channel: str, size: int) -> tuple[str, int]:
    hasher = hashlib.sha256()

    async def pieces() -> AsyncIterator[bytes]:
        noise = random.Random(size).randbytes(MIB)
        for number in range(-(-size // MIB)):
            piece = (number.to_bytes(8, "big") + noise[8:])[: size - number * MIB]
            hasher.update(piece)
            yield piece

    record = (await a.desk.add_record(pieces(), name="study")).record
    await a.desk.grant_consent(permit_all(channel, "", ("TREAT",), now_ms() + DAY_MS))
    granted = await a.desk.share(record, words.Share(channel=channel, purposes=("TREAT",)))
    return hasher.hexdigest(), granted.grant


async def _has_grant(b: Hospital, channel: str, grant: int) -> bool:
    return any(view.index == grant and view.side == "peer" for view in await b.desk.grants(channel))


async def _ask_for_it(b: Hospital, channel: str, grant: int) -> None:
    """After a start B goes on by itself; asked for, it need not wait for the pause after a failure."""
    while True:
        try:
            (one,) = await b.desk.fetch_many(channel, [grant])
            if one.record is not None:
                return
        except (Refused, LocalError, AssertionError, RuntimeError):
            pass  # the one asked, or the desk to ask at, has just been killed
        await trio.sleep(0.2)


async def _start_again(victim: Hospital, a: Hospital, b: Hospital, channel: str) -> None:
    await victim.close_desk()
    await victim.start()
    await both_open(a, b, channel, START_S)


async def _has_record(b: Hospital | None) -> bool:
    """Whether it is there already; a hospital that was killed says nothing, and before its kill it was not."""
    if b is None:
        return False
    try:
        return bool(await b.desk.records(origin="received"))
    except (Refused, LocalError, RuntimeError):
        return False


async def _digest_at(b: Hospital) -> str:
    (record,) = await b.desk.records(origin="received")
    hasher = hashlib.sha256()
    async for piece in b.desk.content_pieces(record.record, **READER):
        hasher.update(piece)
    return hasher.hexdigest()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()

    def say(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    with tempfile.TemporaryDirectory(prefix="interward-kills-") as folder:
        size = arguments.megabytes * MIB
        killed = trio.run(carry_under_kills, Path(folder), size, arguments.kills, arguments.seed, say)
    say(f"{killed.kills} kills, {killed.size / MIB:,.0f} MiB, sent {killed.sent / MIB:,.1f} MiB")
    say(f"sent again: {killed.in_all:.2%} in all, {killed.again:.3%} for each kill; identical: {killed.identical}")
    return 0 if killed.identical and killed.kills == arguments.kills and killed.in_all < 0.01 else 1


if __name__ == "__main__":
    sys.exit(main())
