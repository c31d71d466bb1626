"""`interward record export`: records become files of a folder, or resources of a FHIR server."""

from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import click
import msgspec
import trio

from client.commands.record import find_record, record, search_options, search_query, with_who
from client.output import ROWS_MAX, Result, facts_table, rows_table, verb
from client.places import hospital_option
from client.records.options import fhir_options, fhir_server
from client.units import codes
from client.wording import short
from l1.ground.codes import MediaType, PurposeOfUse, Role
from l1.ground.faults import LocalError, Refused
from l2.desk.desk import Desk
from l2.desk.words import RecordView

__all__ = ["export"]

Row = dict[str, Any]
Who = dict[str, str]
Put = Callable[[Desk, RecordView, Who], Awaitable[Row]]


@verb(record, "export")
@click.argument("records", nargs=-1)
@click.option("--to-dir", type=click.Path(path_type=Path, file_okay=False), help="Into files of this folder.")
@click.option("--dicom", is_flag=True, help="DICOM only, by patient, study and series.")
@click.option("--each", is_flag=True, help="A request for each resource, for a server without transactions.")
@fhir_options
@search_options
@with_who
@hospital_option
async def export(
    *,
    records: tuple[str, ...],
    to_dir: Path | None,
    dicom: bool,
    each: bool,
    fhir: str | None,
    token_file: Path | None,
    ca: Path | None,
    practitioner: str,
    role: str,
    purpose: str,
    folder: Path,
    **search: Any,
) -> Result:
    """Write RECORDS (the begins of their ids), or all that fit, to a folder or a FHIR server.

    Files keep their content to the last byte; manifest.json names each with its digest. A FHIR server gets a
    transaction for each record, in which every resource is put under its id, so that doing it again does no harm.
    Opening a received record writes an access entry first. Every record ends in the report."""
    if (to_dir is None) == (fhir is None):
        raise click.UsageError("Say where to: --to-dir FOLDER or --fhir URL.")
    who = {
        "practitioner": practitioner,
        "role": codes((role,), Role)[0],
        "purpose": codes((purpose,), PurposeOfUse)[0],
    }
    async with AsyncExitStack() as stack:
        desk = await stack.enter_async_context(Desk.of_folder(folder))
        found = [await find_record(desk, one) for one in records]
        if not records:
            found = await desk.records(**await search_query(desk, **search))
        if to_dir is not None:
            rows = await _each(desk, found, who, _to_files(to_dir, dicom=dicom))
            _note(to_dir, rows)
        else:
            server = await stack.enter_async_context(fhir_server(fhir or "", token_file, ca))
            rows = await _each(desk, found, who, _to_server(server, each=each))
    return _shown(rows)


async def _each(desk: Desk, found: list[RecordView], who: Who, put: Put) -> list[Row]:
    from client.progress import show_progress

    rows: list[Row] = []
    with show_progress(fleeting=True) as bars, bars.stage("Export records", len(found)) as advance:
        for view in found:
            row = {"record": view.record, "state": "refused", "where": "", "reason": ""}
            try:
                row |= await put(desk, view, who)
            except (Refused, LocalError) as error:
                row["reason"] = error.cause if isinstance(error, LocalError) else str(error)
                await desk.status()  # if the hospital has gone, that is what to say
            rows.append(row)
            advance()
    return rows


def _to_files(to_dir: Path, *, dicom: bool) -> Put:
    from client.records.folders import dicom_path, manifest_row, place_part, plain_path, write_part

    async def put(desk: Desk, view: RecordView, who: Who) -> Row:
        if dicom and view.media_type != "DICOM":
            return {"state": "left out", "reason": "no DICOM"}
        part = await write_part(to_dir, desk.content_pieces(view.record, **who), view.record)
        try:
            wanted = await trio.to_thread.run_sync(dicom_path, part.file) if dicom else plain_path(view)
            path, known = await trio.to_thread.run_sync(place_part, to_dir, wanted, part, view.record)
        finally:
            part.file.unlink(missing_ok=True)
        row = manifest_row(view, path, part.sha256)
        return {"state": "known" if known else "written", "where": str(to_dir / path), "manifest": row}

    return put


def _note(to_dir: Path, rows: list[Row]) -> None:
    from client.records.folders import write_manifest

    noted = [row.pop("manifest") for row in rows if "manifest" in row]
    if noted:
        write_manifest(to_dir, noted)


def _to_server(server: Any, *, each: bool) -> Put:
    from client.records.fhir_push import NOT_FHIR, push
    from l2.records import is_divisible

    async def put(desk: Desk, view: RecordView, who: Who) -> Row:
        if not is_divisible(MediaType[view.media_type]):
            return {"state": "left out", "reason": NOT_FHIR}
        taken, why = await push(server, await desk.content(view.record, **who), each=each)
        return {"state": "refused" if why else "written", "where": f"{taken} resources", "reason": why}

    return put


def _shown(rows: list[Row]) -> Result:
    """Row by row; of many, how many of each state, and each that was refused."""
    data = {"exported": msgspec.to_builtins(rows)}
    refused = [row for row in rows if row["state"] == "refused"]
    if len(rows) > ROWS_MAX:
        facts: list[tuple[str, object]] = [(state, f"{n:,}") for state, n in Counter(r["state"] for r in rows).items()]
        facts += [(short(row["record"]), row["reason"]) for row in refused[:ROWS_MAX]]
        return Result(data, facts_table("Exported", facts), ok=not refused)
    table = [(short(row["record"]), row["state"], row["where"], row["reason"]) for row in rows]
    shown = rows_table("Exported", ("record", "", "where", "reason"), table)
    return Result(data, shown, ok=not refused)
