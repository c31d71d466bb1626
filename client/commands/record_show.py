"""`interward record show`: what is known of a record, what it says, and a look at an image."""

import sys
from pathlib import Path

import click
import msgspec

from client.commands.record import find_record, record, with_who
from client.output import Result, Shown, facts_table, rows_table, verb
from client.places import hospital_option
from client.records.saving import save_pieces
from client.records.summary import Summary, summarise
from client.units import codes
from client.wording import dates, short
from l1.ground.codes import PurposeOfUse, Role
from l1.ground.faults import LocalError
from l2.desk.desk import Desk
from l2.desk.words import RecordView

__all__ = ["show"]

SUMMARY_BYTES_MAX = 64 * 1024 * 1024  # a longer record is saved, not told


@verb(record, "show")
@click.argument("record")
@click.option(
    "--save", type=click.Path(path_type=Path, dir_okay=False), help="Write the content to a file; - for stdout."
)
@click.option("--open", "opened", is_flag=True, help="Tell what a received record says, too.")
@click.option(
    "--preview", type=click.Path(path_type=Path, dir_okay=False), help="Write a DICOM image as PNG to a file."
)
@click.option("--frame", default=1, show_default=True, type=click.IntRange(1), help="Which frame of it.")
@with_who
@hospital_option
async def show(
    *,
    record: str,
    save: Path | None,
    opened: bool,
    preview: Path | None,
    frame: int,
    practitioner: str,
    role: str,
    purpose: str,
    folder: Path,
) -> Result:
    """Show what is known of RECORD (the begin of its id), and of a record of our own what it says: of FHIR its
    resources, of DICOM its header.

    --open, --save and --preview open a received record, which writes an access entry first. A preview is for a look,
    not for a diagnosis; it needs the extra `preview`."""
    async with Desk.of_folder(folder) as desk:
        view = await find_record(desk, record)
        content = None
        who = {
            "practitioner": practitioner,
            "role": codes((role,), Role)[0],
            "purpose": codes((purpose,), PurposeOfUse)[0],
        }
        if save and str(save) != "-" and not preview and view.bytes > SUMMARY_BYTES_MAX:
            await save_pieces(save, desk.content_pieces(view.record, **who))
        elif save or opened or preview or (view.origin == "own" and view.bytes <= SUMMARY_BYTES_MAX):
            content = await desk.content(view.record, **who)
        peers = {} if view.origin == "own" else {one.peer: one.peer_name for one in await desk.channels()}
        root = (await desk.pieces(view.record)).root if view.origin == "own" and view.resources > 1 else view.root
    if content is not None and save is not None:
        _write(save, content)
        if str(save) == "-":
            return Result(msgspec.to_builtins(view), "")
    if content is not None and preview is not None:
        from client.records.preview import preview as look

        _write(preview, await look(content, frame - 1))
    tells = content is not None and (opened or view.origin == "own") and len(content) <= SUMMARY_BYTES_MAX
    said = summarise(content) if content is not None and tells else []
    data = msgspec.to_builtins(view) | {"root": root, "summary": [one._asdict() for one in said]}
    return Result(data, _facts(view, root, peers), *map(_table, said))


def _facts(view: RecordView, root: str, peers: dict[str, str]) -> Shown:
    facts: list[tuple[str, object]] = [
        ("patient", view.subject or (f"{len(view.subjects)} patients" if view.subjects else "")),
        ("names", ", ".join(view.names)),
        ("class", view.record_class),
        ("inside", ", ".join(view.classes) if len(view.classes) > 1 else ""),
        ("label", " ".join((view.label, *view.sensitivity))),
        ("dates", dates(view.from_ms, view.until_ms)),
        ("type", view.media_type),
        ("size", f"{view.bytes:,} bytes"),
        ("resources", f"{view.resources:,}" if view.resources > 1 else ""),
        ("name", view.name),
        ("from", "this hospital" if view.origin == "own" else f"{peers.get(view.origin, 'hospital')} {view.origin}"),
        ("grant", None if view.grant is None else f"{view.grant} in channel {short(view.channel or '')}"),
        ("SHA-256", view.digest),
        ("root", root),
        ("proofs", _proofs(view)),
    ]
    return facts_table(f"Record {view.record}", facts)


def _proofs(view: RecordView) -> str:
    if view.unproven:
        return f"WRONG: {view.unproven}"
    return "every resource leads to the root" if view.root else ""


def _table(summary: Summary) -> Shown:
    return rows_table(summary.title, summary.columns, summary.rows)


def _write(to: Path, content: bytes) -> None:
    if str(to) == "-":
        if sys.stdout.isatty():
            raise LocalError("a terminal is no place for a record", "Name a file, or send it on by a pipe.")
        sys.stdout.buffer.write(content)
        return
    try:
        to.write_bytes(content)
    except OSError as error:
        raise LocalError(f"{to} cannot be written ({error.strerror})", "Name another file.") from None
