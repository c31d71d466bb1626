"""`interward audit`: what happened, proved and checked."""

from pathlib import Path
from typing import Any, cast

import click
import msgspec

from client.chain_places import chain_options, chain_reader
from client.output import Result, rows_table, verb
from client.places import channel_option, find_channel, hospital_option
from client.wording import entry_line, moment, short
from l1.ground.faults import LocalError
from l1.serving.files import read_file
from l2.desk.desk import Desk
from l2.desk.words import Prove, Side

__all__ = ["audit"]


@click.group()
def audit() -> None:
    """Logs of who opened what and why; proofs that anyone can check."""


SIDE = click.option(
    "--side", type=click.Choice(["own", "peer"]), default="own", show_default=True, help="Whose log of the channel."
)


@verb(audit, "log")
@click.option(
    "--side", type=click.Choice(["both", "own", "peer"]), default="both", show_default=True, help="Whose log."
)
@click.option("--patient", help="Only what is about this patient: the hospital's own identifier.")
@click.option("--practitioner", help="Only what this practitioner did.")
@click.option("--from", "start", type=click.IntRange(0), default=0, show_default=True, help="The first entry.")
@click.option("--count", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many at most.")
@channel_option
@hospital_option
async def log(
    *,
    side: str,
    patient: str | None,
    practitioner: str | None,
    start: int,
    count: int,
    wanted: str | None,
    folder: Path,
) -> Result:
    """Show what both hospitals wrote in a channel, by time: who opened what, and why."""
    filters = {"side": side, "from": str(start), "count": str(count)}
    filters |= {"patient": patient} if patient else {}
    filters |= {"practitioner": practitioner} if practitioner else {}
    async with Desk.of_folder(folder) as desk:
        view = await find_channel(desk, wanted)
        found = await desk.audit_log(channel=view.id, **filters)
    rows = [(row["index"], row["side"], row["kind"], moment(row["time_ms"]), entry_line(row)) for row in found]
    title = f"Logs of channel {short(view.id)}… with {view.peer_name}"
    return Result(found, rows_table(title, ("entry", "log", "kind", "time (UTC)", "says"), rows))


@verb(audit, "after-close")
@hospital_option
async def after_close(folder: Path) -> Result:
    """Show who opened received records after their channels had closed: lines that this hospital signed, each bound to
    the one before it, and verified now."""
    async with Desk.of_folder(folder) as desk:
        found = await desk.after_close()
    rows = [
        (one.number, moment(one.time_ms), short(one.record), one.practitioner, one.role, one.purpose) for one in found
    ]
    columns = ("", "time", "record", "who", "role", "purpose")
    return Result([msgspec.to_builtins(one) for one in found], rows_table("Accesses after a close", columns, rows))


@verb(audit, "prove")
@click.argument("entry", type=click.IntRange(0))
@click.option(
    "--to", type=click.Path(path_type=Path, dir_okay=False), help="The proof file.  [default: proof-ENTRY.json]"
)
@SIDE
@channel_option
@hospital_option
async def prove(*, entry: int, to: Path | None, side: str, wanted: str | None, folder: Path) -> Result:
    """Write a proof that ENTRY stands in a log. It shows the entry's private part: give it to an auditor only."""
    from l2.protocol.proof_file import proof_from_json

    async with Desk.of_folder(folder) as desk:
        view = await find_channel(desk, wanted)
        content = await desk.prove(Prove(channel=view.id, side=cast(Side, side), index=entry))
    proof_from_json(content)  # what an auditor could not read is not written
    file = to or Path(f"proof-{entry}.json")
    _write(file, content)
    data = {"file": str(file), "channel": view.id, "index": entry, "bytes": len(content)}
    return Result(data, f"{file}: {len(content):,} bytes. Check it anywhere with `interward audit verify`.")


def _write(file: Path, content: bytes) -> None:
    try:
        file.write_bytes(content)
    except OSError as error:
        raise LocalError(f"{file} cannot be written ({error.strerror})", "Name another file with --to.") from None


@verb(audit, "verify")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@chain_options
async def verify(*, file: Path, folder: Path | None, url: str | None, genesis: Path | None) -> Result:
    """Check a proof FILE against the chain alone. Exit status 1 if it does not hold."""
    from client.auditor import check_proof

    content = read_file(file, "Name a proof file that `interward audit prove` wrote.")
    async with chain_reader(folder, url, genesis) as reader:
        data = await check_proof(content, reader)
    return Result(data, _verdict(data))


def _verdict(data: dict[str, Any]) -> str:
    settled = data["settled_size"]
    anchor = (
        "not tied to a head that the chain has settled"
        if settled is None
        else f"tied to the chain's head of {settled:,}"
    )
    return (
        f"The proof holds: {data['hospital_name']} wrote entry {data['index']} in channel "
        f"{short(data['channel'])}…\nat {moment(data['says']['time_ms'])}, and {data['peer_name']} acknowledged it.\n"
        f"It says: {data['kind']}, {entry_line(data['says'] | {'kind': data['kind']})}.\n"
        f"Both signed for {data['size']:,} entries, {anchor} (block {data['height']:,})."
    )
