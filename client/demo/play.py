"""The demo from the first scene to the last, in one folder, with a report at the end. Knows the order of scenes."""

import time
from dataclasses import dataclass
from pathlib import Path

from client.demo import closing, records, updates
from client.demo.dataset import find_documents, write_generated
from client.demo.records import Stage
from client.demo.report import Report
from client.demo.world import open_world
from client.progress import Bars
from l1.ground.faults import LocalError

__all__ = ["Wishes", "play"]

GIFT = 5_000_000  # each hospital's first credits: a deposit, a bond, and something left


@dataclass(frozen=True)
class Wishes:
    """What the viewer asked for. `data` is a folder of their own; else `patients` are generated from the seed."""

    data: Path | None
    updates: int
    seed: int
    patients: int


async def play(wishes: Wishes, folder: Path, bars: Bars) -> Report:
    """Play it. Raises what breaks a scene; checks that fail are noted in the report."""
    report, began = Report(), time.monotonic()
    documents = folder / "data" if wishes.data is None else wishes.data
    if wishes.data is None:
        with bars.stage("Generate patients"):
            write_generated(documents, seed=wishes.seed, patients=wishes.patients)
    async with open_world(folder) as world:
        with bars.stage("Start a chain and a follower"):
            await world.found_chain()
        with bars.stage("Admit two hospitals", 2) as advance:
            a = await world.add_hospital("A", GIFT)
            advance()
            b = await world.add_hospital("B", GIFT)
        stage = Stage(world, a, b, documents=find_documents(documents))
        await _share_records(stage, report, bars)
        await _update(stage, report, bars, wishes)
        await _quarrel(stage, report, bars, wishes)
    report.seconds = round(time.monotonic() - began, 1)
    return report


async def _share_records(stage: Stage, report: Report, bars: Bars) -> None:
    with bars.stage("Open a channel"):
        await records.open_channel(stage, report)
    with bars.stage("A takes its records in", len(stage.documents)) as advance:
        await records.records_are_imported(stage, report, advance)
    if not stage.records:
        raise LocalError("the hospital took in none of the records", "Name another folder with --data.")
    with bars.stage("A shares them under consent", len(stage.records) + report.patients) as advance:
        await records.records_are_shared(stage, report, advance)
    with bars.stage("B fetches, verifies, opens them", len(stage.records)) as advance:
        await records.records_arrive(stage, report, advance)
    with bars.stage("A patient withdraws consent"):
        await records.withdrawal_counts(stage, report)


async def _update(stage: Stage, report: Report, bars: Bars, wishes: Wishes) -> None:
    with bars.stage("Updates at full speed", wishes.updates) as advance:
        await updates.updates_flow(stage, report, advance, updates=wishes.updates, seed=wishes.seed)
    with bars.stage("An auditor checks one entry"):
        await updates.entry_is_proved(stage, report)


async def _quarrel(stage: Stage, report: Report, bars: Bars, wishes: Wishes) -> None:
    with bars.stage("A is killed and comes back"):
        old = await updates.a_crashes(stage, report, seed=wishes.seed)
    with bars.stage("A closes with an old commitment"):
        await closing.a_closes_stale(stage, report, old)
    with bars.stage("The window passes, the channel settles"):
        await closing.channel_settles(stage, report)
    with bars.stage("The books are checked"):
        await closing.books_are_checked(stage, report)
