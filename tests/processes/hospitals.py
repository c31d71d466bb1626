"""Two hospitals on a chain as real processes, for tests: what they share, and small questions to them."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from client.demo.play import GIFT
from client.demo.records import BOND, DEPOSIT
from client.demo.workload import indices_of
from client.demo.world import Hospital, World, wait_until
from l1.ground.codes import Label, MediaType, RecordClass, mask
from l1.ground.faults import LocalError, Refused
from l1.ground.hashing import digest
from l2.desk import words
from l2.desk.drafts import ConsentDraft, Draft, GrantDraft
from tests.processes.worlds import open_world

__all__ = [
    "both_open",
    "consented",
    "consents",
    "ends_by_itself",
    "fails",
    "grants",
    "open_channel",
    "pair",
    "run_arguments",
    "write_until_it_ends",
]

START_S = 60.0
UNTIL_MS = 4_000_000_000_000


async def consented(hospital: Hospital, channel: str, patient: str, classes: tuple[str, ...]) -> None:
    """A patient permits treatment, for these classes."""
    wanted = words.ConsentWanted(
        channel=channel,
        patient=patient,
        decision="permit",
        purposes=("TREAT",),
        classes=classes,
        label_ceiling="V",
        from_ms=0,
        until_ms=UNTIL_MS,
    )
    await hospital.desk.grant_consent(wanted)


def run_arguments(folder: Path) -> list[str]:
    return ["l2.node", "run", "--folder", str(folder)]


def fails(arguments: Sequence[str], password: str) -> tuple[int, str]:
    """Exit status and standard error of a command that does not start."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        env=os.environ | {"INTERWARD_PASSWORD": password},
        capture_output=True,
        text=True,
        check=False,
        timeout=START_S,
        stdin=subprocess.DEVNULL,
    )
    return done.returncode, done.stderr


@asynccontextmanager
async def pair(
    folder: Path, *, key_window_ms: int | None = None, fee: int = 0, workers: Sequence[int] = (1, 1)
) -> AsyncIterator[tuple[World, Hospital, Hospital]]:
    """A chain and two running hospitals, in an empty folder; of several workers each, perhaps."""
    async with open_world(folder) as world:
        await world.found_chain(follower=False, key_window_ms=key_window_ms, fee=fee)
        a, b = [
            await world.make_hospital(name, GIFT, "--workers", str(count))
            for name, count in zip("AB", workers, strict=True)
        ]
        for hospital in (a, b):
            await hospital.start()
        yield world, a, b


async def open_channel(a: Hospital, b: Hospital, *, window_ms: int = 3_600_000) -> str:
    """A opens a channel with B; both are ready to write."""
    wanted = words.OpenChannel(peer=b.id.hex(), deposit=DEPOSIT, peer_deposit=DEPOSIT, bond=BOND, window_ms=window_ms)
    channel = await a.desk.open_channel(wanted)
    await both_open(a, b, channel)
    return channel


async def both_open(a: Hospital, b: Hospital, channel: str, deadline_s: float = START_S) -> None:
    async def are_open() -> bool:
        found = [view for one in (a, b) for view in await one.desk.channels() if view.id == channel]
        return len(found) == 2 and all(view.state == "open" for view in found)

    await wait_until("the channel is open at both hospitals", are_open, deadline_s)


async def write_until_it_ends(hospital: Hospital, channel: str) -> int:
    """Append until the hospital dies; how long its log is known to be."""
    known, number = 0, 0
    while True:
        try:
            written = await hospital.desk.append(channel, consents("disk", number, 500))
        except (Refused, LocalError):
            return known
        known, number = max(indices_of(written.runs)) + 1, number + 500


async def ends_by_itself(world: World, hospital: Hospital) -> None:
    """The hospital ends, and says in one line that its disk is why."""

    async def ended() -> bool:
        return not hospital.node.is_running

    await wait_until("the hospital has ended", ended, 60)
    said = world.log(hospital.name).read_text()
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert errors
    assert "the disk did not take what had to be written" in errors[-1]
    assert "Free space" in errors[-1]
    assert "Traceback" not in said


def consents(name: str, start: int, count: int) -> list[Draft]:
    """Consents that differ from all others: their digests tell which they are."""
    return [
        ConsentDraft(
            patient=f"{name}-{number}",
            permit=True,
            purposes=0x1FF,
            classes=mask(RecordClass),
            label_ceiling=Label.V,
            from_ms=0,
            until_ms=UNTIL_MS,
            digest=digest(f"{name}-{number}".encode()),
        )
        for number in range(start, start + count)
    ]


def grants(indices: Sequence[int]) -> list[Draft]:
    """A grant on each of the writer's own consents."""
    return [
        GrantDraft(
            consent=index,
            request=None,
            fee=0,
            purposes=1,
            from_ms=0,
            until_ms=UNTIL_MS - 1,
            record_class=RecordClass.OBSERVATION,
            label=Label.N,
            media_type=MediaType.FHIR_JSON,
        )
        for index in indices
    ]
