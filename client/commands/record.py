"""`interward record`: take records in, share them, ask for them, open them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from client.later import Later
from client.output import ROWS_MAX, Result, facts_table, rows_table, verb
from client.places import channel_option, find_channel, find_record, hospital_option, now_ms
from client.units import codes, date_ms, end_ms
from client.wording import dates, day, short
from l1.ground.codes import PurposeOfUse, RecordClass, Role
from l2.desk.desk import Desk
from l2.desk.words import FetchedOne, RecordWanted

__all__ = ["find_record", "record", "search_options", "search_query", "with_who"]

F = TypeVar("F", bound=Callable[..., Any])

WATCH_S = 0.3
RECORD_ID_DIGITS = 32


@click.group()
def record() -> None:
    """Records: FHIR bundles and resources, NDJSON, DICOM, any bytes."""


_SEARCH = (
    click.option("--patient", default="", help="About this patient, by the hospital's own id."),
    click.option("--class", "record_class", default="", help="With a resource of this class inside."),
    click.option("--label", default="", help="Of this label."),
    click.option("--from", "begins", help="With data of this date or later."),
    click.option("--to", "ends", help="With data of this date or earlier."),
    click.option(
        *("--custodian", "--origin", "origin"),
        default="",
        help="`own`, `received`, or the hospital it came from: name or id.",
    ),
)


def search_options(command: F) -> F:
    for option in reversed(_SEARCH):
        command = option(command)
    return command


async def search_query(
    desk: Desk, *, patient: str, record_class: str, label: str, begins: str | None, ends: str | None, origin: str
) -> dict[str, str]:
    """The search options as the desk takes them."""
    peers = {view.peer_name: view.peer for view in await desk.channels()} if origin else {}
    wanted = {
        "patient": patient,
        "class": record_class.upper(),
        "label": label.upper(),
        "origin": peers.get(origin, origin),
        "from_ms": str(date_ms(begins)) if begins else "",
        "until_ms": str(end_ms(ends)) if ends else "",
    }
    return {name: value for name, value in wanted.items() if value}


@verb(record, "list")
@search_options
@hospital_option
async def list_records(*, folder: Path, **search: Any) -> Result:
    """List the records the hospital holds: all, or those that fit everything said."""
    async with Desk.of_folder(folder) as desk:
        names = {view.peer: view.peer_name for view in await desk.channels()}
        found = await desk.records(**await search_query(desk, **search))
    rows = [
        (
            short(view.record),
            view.title or view.record_class,
            view.label,
            view.subject or (f"{len(view.subjects)} patients" if view.subjects else ""),
            dates(view.from_ms, view.until_ms),
            f"{view.bytes:,}",
            names.get(view.origin) or short(view.origin),
        )
        for view in found
    ]
    columns = ("record", "what", "label", "patient", "dates", "bytes", "from")
    return Result([msgspec.to_builtins(view) for view in found], rows_table("Records", columns, rows))


WHO = (
    click.option("--practitioner", default="desk", show_default=True, help="Who opens it."),
    click.option("--role", default="PHYSICIAN", show_default=True, help="In which role."),
    click.option("--purpose", default="TREAT", show_default=True, help="For which purpose of use."),
)


def with_who(command: F) -> F:
    for option in reversed(WHO):
        command = option(command)
    return command


@verb(record, "request")
@click.argument("patient")
@click.option("--class", "classes", multiple=True, help="Record classes; may be repeated.  [default: all]")
@click.option("--from", "begins", help="Only data from this date on.")
@click.option("--to", "ends", help="Only data up to this date.")
@click.option("--emergency", help="Break the glass; the justification.")
@with_who
@channel_option
@hospital_option
async def request(
    *,
    patient: str,
    classes: tuple[str, ...],
    begins: str | None,
    ends: str | None,
    emergency: str | None,
    practitioner: str,
    role: str,
    purpose: str,
    wanted: str | None,
    folder: Path,
) -> Result:
    """Ask the peer for PATIENT's records."""
    async with Desk.of_folder(folder) as desk:
        channel = await find_channel(desk, wanted)
        asked = RecordWanted(
            channel=channel.id,
            patient=patient,
            purpose=codes((purpose,), PurposeOfUse)[0],
            practitioner=practitioner,
            role=codes((role,), Role)[0],
            classes=codes(classes, RecordClass),
            from_ms=date_ms(begins) if begins else 0,
            to_ms=end_ms(ends) if ends else now_ms(),
            emergency=emergency is not None,
            justification=emergency or "",
        )
        index = await desk.request(asked)
    data = {"channel": channel.id, "request": index}
    return Result(data, f"Request {index} is with {channel.peer_name}. `interward record fetch` gets what it grants.")


FETCH_AT_ONCE = 256


@verb(record, "fetch")
@click.argument("grants", nargs=-1, type=click.IntRange(0))
@channel_option
@hospital_option
async def fetch(grants: tuple[int, ...], wanted: str | None, folder: Path) -> Result:
    """Get the records of GRANTS, or of every grant that has not been fetched yet. What was cut off goes on where it
    stopped; the bar counts bytes of long bodies as they come."""
    async with Desk.of_folder(folder) as desk:
        channel = await find_channel(desk, wanted)
        got: list[FetchedOne] = []
        if grants:
            sizes = {view.index: view.bytes for view in await desk.grants(channel.id) if view.side == "peer"}
            got = await _fetch_all(desk, channel.id, grants, sizes)
        else:
            while sizes := await _left(desk, channel.id, {one.grant for one in got}):
                got += await _fetch_all(desk, channel.id, tuple(sizes), sizes)
    return _fetched(got)


async def _left(desk: Desk, channel: str, tried: set[int]) -> dict[int, int]:
    """Grants that were not fetched and not tried, and their sizes: the desk tells the oldest."""
    return {view.index: view.bytes for view in await desk.grants(channel, is_open=True) if view.index not in tried}


def _fetched(got: Sequence[FetchedOne]) -> Result:
    """Row by row; of many, how many came, and each that did not."""
    missing = [one for one in got if not one.record]
    data, ok = [msgspec.to_builtins(one) for one in got], not missing
    if len(got) > ROWS_MAX:
        size = sum(one.bytes for one in got)
        facts: list[tuple[str, object]] = [("verified", f"{len(got) - len(missing):,}"), ("bytes", f"{size:,}")]
        facts += [(f"grant {one.grant}", one.problem) for one in missing[:ROWS_MAX]]
        if len(missing) > ROWS_MAX:
            facts.append(("…", f"{len(missing) - ROWS_MAX:,} more; --json tells all"))
        return Result(data, facts_table("Fetched", facts), ok=ok)
    rows = [(one.grant, short(one.record or ""), f"{one.bytes:,}", one.problem or "verified") for one in got]
    return Result(data, rows_table("Fetched", ("grant", "record", "bytes", ""), rows), ok=ok)


async def _fetch_all(desk: Desk, channel: str, grants: Sequence[int], sizes: dict[int, int]) -> list[FetchedOne]:
    """Crowd by crowd, with a bar of bytes."""
    import trio

    from client.progress import show_progress

    got: list[FetchedOne] = []
    total = sum(sizes.get(grant, 0) for grant in grants)
    with show_progress(fleeting=True) as bars, bars.stage("Fetch records, bytes", total) as advance:
        shown = 0

        async def watch() -> None:
            nonlocal shown
            while True:
                coming = sum(one.bytes_done for one in await desk.transfers() if one.channel == channel)
                here = min(total, coming + sum(sizes.get(one.grant, 0) for one in got))
                advance(max(0, here - shown))
                shown = max(shown, here)
                await trio.sleep(WATCH_S)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            for start in range(0, len(grants), FETCH_AT_ONCE):
                wanted = list(grants[start : start + FETCH_AT_ONCE])
                while wanted:
                    came = await desk.fetch_many(channel, wanted)
                    got += [one for one in came if not one.coming]
                    wanted = [one.grant for one in came if one.coming]
            nursery.cancel_scope.cancel()
    return got


@verb(record, "erase")
@click.argument("record")
@hospital_option
async def erase(record: str, folder: Path) -> Result:
    """Erase RECORD for good: end its grants, destroy its key and ciphertext, ask the peers that hold copies to do the
    same, and keep their signed word. Asked again with the whole id, it shows who has answered meanwhile. What people
    at a peer have read, printed or exported cannot be recalled."""
    async with Desk.of_folder(folder) as desk:
        whole = record.lower() if len(record) == RECORD_ID_DIGITS else (await find_record(desk, record)).record
        done = await desk.erase(whole)
        names = {view.peer: view.peer_name for view in await desk.channels()}
    rows = [
        (
            names.get(copy.peer) or short(copy.peer),
            copy.grant,
            copy.state,
            day(copy.time_ms) if copy.receipt else copy.detail,
        )
        for copy in done.copies
    ]
    title = f"Erased {done.record}: " + ("no copy was granted" if not rows else "copies at peers")
    open_ones = [copy for copy in done.copies if copy.state in ("asked", "refused")]
    return Result(msgspec.to_builtins(done), rows_table(title, ("peer", "grant", "", ""), rows), ok=not open_ones)


@verb(record, "revoke")
@click.argument("grant", type=click.IntRange(0))
@channel_option
@hospital_option
async def revoke(grant: int, wanted: str | None, folder: Path) -> Result:
    """End GRANT: no access after the peer has seen this."""
    async with Desk.of_folder(folder) as desk:
        channel = await find_channel(desk, wanted)
        await desk.revoke(channel.id, grant)
    return Result({"channel": channel.id, "grant": grant}, f"Grant {grant} is revoked.")


OTHERS = {
    "add": "Take in files, and everything in folders: FHIR, NDJSON, DICOM, HL7 v2, C-CDA, any bytes; gzip is opened.",
    "export": "Write RECORDS (the begins of their ids), or all that fit, to a folder or a FHIR server.",
    "share": "Grant the peer access to RECORDS, on a consent or a request.",
    "show": "Show what is known of RECORD (the begin of its id), and of a record of our own what it says: of FHIR its "
    "resources, of DICOM its header.",
}
"""Verbs with modules of their own, each with the first words of its help."""

for name, first_words in OTHERS.items():
    record.add_command(Later(name, f"client.commands.record_{name}:{name}", first_words))
