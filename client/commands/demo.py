"""`interward demo`: the whole job in one go, in a temporary folder, as real processes."""

import json
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
import trio

from client.ending import CheckFailed
from client.output import wants_json
from l1.ground.faults import LocalError

if TYPE_CHECKING:
    from client.demo.disputes import DisputeReport
    from client.demo.report import Report
    from client.progress import Bars

    Scenes = Callable[[Path, Bars], Awaitable[Report | DisputeReport]]

__all__ = ["demo"]


@click.command()
@click.option(
    "--data", type=click.Path(path_type=Path, exists=True, file_okay=False), help="A folder of FHIR and DICOM files."
)
@click.option(
    "--updates", type=click.IntRange(1), default=200_000, show_default=True, help="Record-access updates at full speed."
)
@click.option(
    "--patients", type=click.IntRange(1), default=24, show_default=True, help="How many to generate, without --data."
)
@click.option("--seed", type=int, default=1, show_default=True, help="For generated patients and the order of updates.")
@click.option(
    "--write-data",
    type=click.Path(path_type=Path),
    help="Only write the generated patients and test images to this new folder.",
)
@click.option("--disputes", is_flag=True, help="Play every misconduct that the chain judges, and its verdict, instead.")
@click.option("--keep", is_flag=True, help="Keep the temporary folder, with data and logs.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")
@click.pass_context
def demo(
    context: click.Context,
    *,
    data: Path | None,
    updates: int,
    patients: int,
    seed: int,
    write_data: Path | None,
    disputes: bool,
    keep: bool,
    as_json: bool,
) -> None:
    """Watch a chain, a follower and two hospitals do the whole job.

    Records are shared under consent, fetched, verified and opened; a withdrawal counts; updates run at full speed; an
    auditor checks one; a hospital is killed and comes back; it cheats, and pays. Exit status 1 if any check fails.
    """
    del as_json
    if write_data is not None:
        _write_data(write_data, seed=seed, patients=patients, as_json=wants_json(context))
        return
    if disputes:
        from client.demo.disputes import play_disputes

        _play(play_disputes, keep=keep, as_json=wants_json(context))
        return
    from client.demo.play import Wishes, play

    wishes = Wishes(data=data, updates=updates, seed=seed, patients=patients)
    _play(partial(play, wishes), keep=keep, as_json=wants_json(context))


def _write_data(folder: Path, *, seed: int, patients: int, as_json: bool) -> None:
    from client.demo.dataset import find_documents, write_generated

    try:
        write_generated(folder, seed=seed, patients=patients)
    except OSError as error:
        raise LocalError(f"{folder} cannot be made ({error.strerror})", "Name a new folder.") from None
    files = [document.name for document in find_documents(folder)]
    said = f"{len(files)} files are in {folder}: generated patients ({patients}), and test images of nobody."
    sys.stdout.write((json.dumps({"folder": str(folder), "files": files}) if as_json else said) + "\n")


def _play(scenes: "Scenes", *, keep: bool, as_json: bool) -> None:
    from client.progress import show_progress
    from client.workplace import open_workplace, unless_told_to_stop

    with open_workplace("interward-demo-") as place:
        with show_progress() as bars:
            report = trio.run(unless_told_to_stop, partial(scenes, place.folder, bars))
        if as_json:
            sys.stdout.write(json.dumps(report.as_json()) + "\n")
        else:
            from rich.console import Console

            Console().print(report.as_table())
        place.keep = keep or not report.ok
    if not report.ok:
        raise CheckFailed
