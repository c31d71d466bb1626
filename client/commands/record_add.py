"""`interward record add`: files, folders and FHIR servers become records."""

from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import quote

import click

from client.commands.record import record
from client.output import ROWS_MAX, Result, facts_table, rows_table, verb
from client.places import hospital_option
from client.records.fhir_pull import bulk_sources, search_sources
from client.records.importing import Import
from client.records.options import fhir_options, fhir_server
from client.units import codes, duration_ms
from client.wording import short
from l1.ground.codes import Label
from l2.desk.desk import Desk

__all__ = ["add"]


@verb(record, "add")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path, exists=True))
@click.option("--label", help="Their label, whatever codes are inside: U, L, M, N, R or V.")
@fhir_options
@click.option("--patient", "patients", multiple=True, help="From the FHIR server: everything of this patient.")
@click.option(
    "--search", "searches", multiple=True, help="From the FHIR server: a search, as `Observation?code=1234-5`."
)
@click.option("--bulk", is_flag=True, help="From the FHIR server: a bulk export ($export) of all patients.")
@click.option("--group", help="A bulk export of this group's patients only.")
@click.option("--type", "types", multiple=True, help="A bulk export of this resource type only; may be repeated.")
@click.option("--since", help="A bulk export of what changed since then.")
@click.option("--wait", default="6h", show_default=True, help="How long to wait for a bulk export.")
@hospital_option
async def add(
    *,
    paths: tuple[Path, ...],
    label: str | None,
    fhir: str | None,
    token_file: Path | None,
    ca: Path | None,
    patients: tuple[str, ...],
    searches: tuple[str, ...],
    bulk: bool,
    group: str | None,
    types: tuple[str, ...],
    since: str | None,
    wait: str,
    folder: Path,
) -> Result:
    """Take in files, and everything in folders: FHIR, NDJSON, DICOM, HL7 v2, C-CDA, any bytes; gzip is opened.

    With --fhir, also what a FHIR R4 server holds: patients or searches, one record for each patient, or a bulk
    export. Adding the same content again does no harm. Every source ends in the report: added, known already, refused
    with the reason, or left out (hidden, empty)."""
    from client.progress import show_progress
    from client.records.files import find_files
    from client.records.importing import import_all, of_files

    queries = [f"Patient/{quote(patient, safe='')}/$everything" for patient in patients] + list(searches)
    wants_bulk = bulk or group is not None
    _check(paths, fhir, bool(queries) or wants_bulk)
    said = "" if label is None else codes((label,), Label)[0]
    report = Import()
    async with AsyncExitStack() as stack:
        desk = await stack.enter_async_context(Desk.of_folder(folder))
        await desk.status()
        bars = stack.enter_context(show_progress(fleeting=True))
        sources = list(of_files(find_files(paths), report))
        if sources:
            with bars.stage("Add records", len(sources)) as advance:
                await import_all(desk, sources, report, advance, label=said)
        if fhir is not None:
            server = await stack.enter_async_context(fhir_server(fhir, token_file, ca))
            pulls = [search_sources(server, query) for query in queries]
            if wants_bulk:
                operation = "$export" if group is None else f"Group/{quote(group, safe='')}/$export"
                pulls.append(bulk_sources(server, operation, report, since=since or "", types=types, wait_s=_s(wait)))
            with bars.stage(f"Pull from {server.base.host}", len(pulls)) as advance:
                for pull in pulls:
                    await import_all(desk, pull, report, lambda _=1: None, label=said)
                    advance()
    return shown(report)


def _s(wait: str) -> float:
    return duration_ms(wait) / 1000


def _check(paths: tuple[Path, ...], fhir: str | None, asks: bool) -> None:
    if fhir is None and asks:
        raise click.UsageError("--patient, --search, --bulk and --group ask a FHIR server: name it by --fhir.")
    if fhir is not None and not asks:
        raise click.UsageError("Say what to pull: --patient ID, --search QUERY, --bulk or --group ID.")
    if fhir is None and not paths:
        raise click.UsageError("Name files or folders, or a FHIR server by --fhir.")


def shown(report: Import) -> Result:
    """The report as a result; not ok where something was refused."""
    counts = report.counts
    rows = [
        (short(row["record"]), row["record_class"], row["label"], row["subject"], f"{row['bytes']:,}")
        for row in report.added
    ]
    rows += [("refused", "", "", row["file"], row["reason"]) for row in report.refused]
    rows += [("left out", "", "", row["file"], row["reason"]) for row in report.skipped]
    if len(rows) <= ROWS_MAX:
        table = rows_table("Records", ("record", "class", "label", "patient", "bytes"), rows)
        return Result(report.as_json(), table, ok=not report.refused)
    facts: list[tuple[str, object]] = [(name, f"{count:,}") for name, count in counts.items() if count]
    facts += [(kind, f"{count:,}") for kind, count in report.by("media_type").items()]
    facts.append(("bytes", f"{report.bytes:,} in {report.seconds:.1f} s"))
    facts += [(row["reason"], row["file"]) for row in report.refused[:ROWS_MAX]]
    if len(report.refused) > ROWS_MAX:
        facts.append(("…", f"{len(report.refused) - ROWS_MAX:,} more refused; --json tells all"))
    return Result(report.as_json(), facts_table("Records", facts), ok=not report.refused)
