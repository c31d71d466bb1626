"""`interward record share`: grant one record, several, or everything that there is something to share of."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from client.commands.record import record
from client.output import ROWS_MAX, Result, facts_table, rows_table, verb
from client.places import channel_option, find_channel, find_record, hospital_option
from client.units import codes, date_ms, end_ms
from client.wording import short
from l1.ground.codes import Label, PurposeOfUse, RecordClass
from l1.ground.faults import LocalError
from l2.desk.desk import Desk
from l2.desk.words import ChannelView, Share, SharedOne

__all__ = ["share"]

AT_ONCE = 512  # records in one request: as many as are granted with one sync


@verb(record, "share")
@click.argument("records", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Every record of our own, or with --patient every one about them.")
@click.option("--purpose", "purposes", multiple=True, default=("TREAT",), show_default=True, help="May be repeated.")
@click.option("--class", "classes", multiple=True, help="Only resources of this class; may be repeated.")
@click.option("--from", "begins", help="Only resources of this date or later.")
@click.option("--to", "ends", help="Only resources of this date or earlier.")
@click.option("--label", help="Only resources up to this label, as N.")
@click.option("--patient", default="", help="Whose resources, where the record is about several patients.")
@click.option("--until", help="A date.  [default: the consent's end]")
@click.option("--consent", "consent_index", type=click.IntRange(0), help="The consent it stands on.")
@click.option("--request", "request_index", type=click.IntRange(0), help="The peer's request that it answers.")
@click.option("--fee", type=click.IntRange(0), default=0, show_default=True, help="What the peer pays for each.")
@channel_option
@hospital_option
async def share(
    *,
    records: tuple[str, ...],
    every: bool,
    purposes: tuple[str, ...],
    classes: tuple[str, ...],
    begins: str | None,
    ends: str | None,
    label: str | None,
    patient: str,
    until: str | None,
    consent_index: int | None,
    request_index: int | None,
    fee: int,
    wanted: str | None,
    folder: Path,
) -> Result:
    """Grant the peer access to RECORDS, on a consent or a request.

    With --class, --from, --to, --label or --patient, or in answer to a request, only the resources that fit go to the
    peer, each proven against the root of the record (`interward record show` tells it). Of several records each is
    granted or not, and the report tells why not; what a grant in force carries already is left out, so that doing it
    again does no harm."""
    if bool(records) == every:
        raise click.UsageError("Name records, or say --all.")
    async with Desk.of_folder(folder) as desk:
        channel = await find_channel(desk, wanted)
        asked = Share(
            channel=channel.id,
            purposes=codes(purposes, PurposeOfUse),
            until_ms=date_ms(until) if until else None,
            consent_index=consent_index,
            request_index=request_index,
            fee=fee,
            patient=patient,
            classes=codes(classes, RecordClass) if classes else (),
            data_from_ms=date_ms(begins) if begins else None,
            data_until_ms=end_ms(ends) if ends else None,
            label="" if label is None else codes((label,), Label)[0],
        )
        if len(records) == 1:
            return await _one(desk, channel, (await find_record(desk, records[0])).record, asked)
        about = {"patient": patient} if patient else {}
        named = [(await find_record(desk, one)).record for one in records]
        ids = named or [view.record for view in await desk.records(origin="own", **about)]
        shared = await _each(desk, ids, asked)
    return _report(channel, shared, every=every)


async def _one(desk: Desk, channel: ChannelView, name: str, asked: Share) -> Result:
    granted = await desk.share(name, asked)
    data = {"channel": channel.id, "record": name, **msgspec.structs.asdict(granted)}
    part = f"{granted.resources} of {granted.of_resources} resources of record"
    what = "record" if granted.resources == granted.of_resources else part
    numbers = ", ".join(map(str, granted.grants or (granted.grant,)))
    says = f"{channel.peer_name} may open {what} {short(name)}…."
    return Result(data, f"Grant{'s' if len(granted.grants) > 1 else ''} {numbers}: {says}")


async def _each(desk: Desk, ids: Sequence[str], asked: Share) -> list[SharedOne]:
    from client.progress import show_progress

    if not ids:
        raise LocalError("there is no record to share", "`interward record list` shows what there is.")
    shared: list[SharedOne] = []
    with show_progress(fleeting=True) as bars, bars.stage("Share records", len(ids)) as advance:
        for start in range(0, len(ids), AT_ONCE):
            crowd = ids[start : start + AT_ONCE]
            shared += await desk.share_each(crowd, asked)
            advance(len(crowd))
    return shared


def _report(channel: ChannelView, shared: Sequence[SharedOne], *, every: bool) -> Result:
    """Not ok where a record that was named is not granted, or of all records none."""
    granted = [one for one in shared if one.grants]
    missing = [one for one in shared if one.problem and not one.already]
    ok = len(missing) < len(shared) if every else not missing
    data = {"channel": channel.id, "shared": [msgspec.to_builtins(one) for one in shared]}
    title = f"{len(granted):,} of {len(shared):,} records granted to {channel.peer_name}"
    if len(shared) <= ROWS_MAX:
        rows = [
            (short(one.record), ", ".join(map(str, one.grants)), _part(one), one.problem or "granted") for one in shared
        ]
        return Result(data, rows_table(title, ("record", "grant", "resources", ""), rows), ok=ok)
    of = sum(one.of_resources for one in granted)
    facts: list[tuple[str, object]] = [
        ("resources", f"{sum(one.resources for one in granted):,} of {of:,}" if granted else ""),
        *((why, f"{count:,}") for why, count in Counter(one.problem for one in shared if one.problem).most_common()),
    ]
    return Result(data, facts_table(title, facts), ok=ok)


def _part(one: SharedOne) -> str:
    return f"{one.resources:,} of {one.of_resources:,}" if one.grants else ""
