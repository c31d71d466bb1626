"""`interward retention`: how long what is kept, and what a legal hold keeps from being erased."""

from pathlib import Path
from typing import Literal

import click
import msgspec

from client.output import Result, facts_table, verb
from client.places import find_record, hospital_option
from client.wording import day, short
from l1.ground.faults import LocalError
from l2.desk.desk import Desk
from l2.desk.words import HoldWanted

__all__ = ["retention"]


@click.group()
def retention() -> None:
    """Terms and legal holds: how long records and logs are kept."""


@verb(retention, "status")
@hospital_option
async def status(folder: Path) -> Result:
    """Show the terms, each channel's logs with the day until which they must be kept, and every legal hold."""
    async with Desk.of_folder(folder) as desk:
        found = await desk.retention()
    facts = [
        ("records", f"{found.records:,} kept; nothing is erased but by `interward record erase`"),
        ("logs", f"kept for {found.log_years:g} years from an entry's time; nothing here deletes them"),
        *(
            (f"channel {short(log.channel)}", f"until {day(log.keep_until_ms)}, {log.entries:,} entries")
            for log in found.logs
        ),
    ]
    facts += [(f"held {hold.what}", f"{hold.name}: {hold.reason}, since {day(hold.since_ms)}") for hold in found.holds]
    return Result(msgspec.to_builtins(found), facts_table("Retention", facts))


def _named(record: str | None, patient: str | None) -> tuple[Literal["record", "patient"], str]:
    if (record is None) == (patient is None):
        raise LocalError("one thing is held at a time", "Name a RECORD, or --patient ID.")
    return ("record", record) if record is not None else ("patient", patient or "")


@verb(retention, "hold")
@click.argument("record", required=False)
@click.option("--patient", help="Every record of this patient, also those that come later.")
@click.option("--reason", required=True, help="The matter: it is shown wherever the hold counts.")
@hospital_option
async def hold(*, record: str | None, patient: str | None, reason: str, folder: Path) -> Result:
    """Keep RECORD, or all records of a patient, from being erased: here, and when their custodian asks for it."""
    what, name = _named(record, patient)
    async with Desk.of_folder(folder) as desk:
        if what == "record":
            name = (await find_record(desk, name)).record
        made = await desk.hold(HoldWanted(what=what, name=name, reason=reason))
    return Result(msgspec.to_builtins(made), f"Held: {what} {name}. `interward retention unhold` ends it.")


@verb(retention, "unhold")
@click.argument("record", required=False)
@click.option("--patient", help="The hold on this patient's records.")
@hospital_option
async def unhold(*, record: str | None, patient: str | None, folder: Path) -> Result:
    """End a legal hold. Ending one that does not stand does no harm."""
    what, name = _named(record, patient)
    async with Desk.of_folder(folder) as desk:
        if what == "record":
            name = (await find_record(desk, name)).record
        ended = await desk.unhold(HoldWanted(what=what, name=name, reason=""))
    text = f"The hold on {what} {name} has ended." if ended.ended else f"There was no hold on {what} {name}."
    return Result(msgspec.to_builtins(ended), text)
