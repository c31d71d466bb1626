"""`interward consent`: what patients allow, channel by channel."""

import json
from pathlib import Path

import click
import msgspec

from client.output import Result, rows_table, verb
from client.places import channel_option, find_channel, hospital_option, now_ms
from client.units import codes, date_ms
from client.wording import day, short
from l1.ground.codes import Label, PurposeOfUse, RecordClass
from l1.ground.faults import LocalError
from l2.desk.desk import Desk
from l2.desk.words import ConsentWanted

__all__ = ["consent"]

YEAR_MS = 365 * 86_400_000


@click.group()
def consent() -> None:
    """Patients' consents: what may be shared with whom, for what, until when."""


@verb(consent, "grant")
@click.argument("patient")
@click.option("--purpose", "purposes", multiple=True, default=("TREAT",), show_default=True, help="May be repeated.")
@click.option("--class", "classes", multiple=True, help="Record classes; may be repeated.  [default: all]")
@click.option("--label", default="N", show_default=True, help="The highest confidentiality: U, L, M, N, R or V.")
@click.option("--until", help="A date.  [default: in a year]")
@click.option("--deny", is_flag=True, help="Deny instead of permit.")
@click.option(
    "--document", type=click.Path(path_type=Path, exists=True), help="The FHIR Consent.  [default: a plain one]"
)
@channel_option
@hospital_option
async def grant(
    *,
    patient: str,
    purposes: tuple[str, ...],
    classes: tuple[str, ...],
    label: str,
    until: str | None,
    deny: bool,
    document: Path | None,
    wanted: str | None,
    folder: Path,
) -> Result:
    """Put a consent of PATIENT in force in a channel."""
    from client.demo.consent_form import consent_form

    now = now_ms()
    until_ms = date_ms(until) if until else now + YEAR_MS
    names = codes(purposes, PurposeOfUse)
    form = _read(document) if document else consent_form(patient, names, now_ms=now, until_ms=until_ms, permit=not deny)
    async with Desk.of_folder(folder) as desk:
        view = await find_channel(desk, wanted)
        asked = ConsentWanted(
            channel=view.id,
            patient=patient,
            decision="deny" if deny else "permit",
            purposes=names,
            classes=codes(classes, RecordClass),
            label_ceiling=codes((label,), Label)[0],
            from_ms=0,
            until_ms=until_ms,
            document=form,
        )
        index = await desk.grant_consent(asked)
    data = {"channel": view.id, "consent": index}
    return Result(data, f"Consent {index} is in force in the channel with {view.peer_name}.")


def _read(document: Path) -> object:
    try:
        return json.loads(document.read_bytes())
    except ValueError as error:
        raise LocalError(f"{document} is not JSON ({error})", "Give the FHIR Consent as JSON.") from None


@verb(consent, "withdraw")
@click.argument("index", type=click.IntRange(0))
@channel_option
@hospital_option
async def withdraw(index: int, wanted: str | None, folder: Path) -> Result:
    """End consent INDEX, from now on."""
    async with Desk.of_folder(folder) as desk:
        view = await find_channel(desk, wanted)
        await desk.withdraw_consent(view.id, index)
    return Result({"channel": view.id, "consent": index}, f"Consent {index} is withdrawn.")


@verb(consent, "list")
@hospital_option
async def list_consents(folder: Path) -> Result:
    """List consents in all channels."""
    async with Desk.of_folder(folder) as desk:
        found = await desk.consents()
    rows = [
        (
            view.index,
            short(view.channel),
            view.patient,
            view.decision,
            " ".join(view.purposes),
            view.label_ceiling,
            "withdrawn" if view.withdrawn else day(view.until_ms),
        )
        for view in found
    ]
    columns = ("consent", "channel", "patient", "says", "purposes", "label", "until")
    return Result([msgspec.to_builtins(view) for view in found], rows_table("Consents", columns, rows))
