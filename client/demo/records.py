"""The demo's first half: consents, every record shared under one, fetched, opened, compared; a withdrawal that counts.

Each scene takes the stage and the report, does one thing, and notes what it saw.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import trio

from client.demo.consent_form import consent_form
from client.demo.dataset import Document
from client.demo.encounters import Encounter, find_encounters
from client.demo.report import Report
from client.demo.world import Hospital, World, now_ms, wait_until
from client.progress import Advance
from l1.ground.codes import Label, PurposeOfUse, RecordClass
from l1.ground.faults import LocalError, Refused
from l2.desk import words

__all__ = [
    "Shared",
    "Stage",
    "open_channel",
    "permit_all",
    "records_are_imported",
    "records_are_shared",
    "records_arrive",
    "withdrawal_counts",
]

DEPOSIT = 1_000_000
BOND = 500_000
WINDOW_MS = 8_000  # long enough for a hospital on a busy laptop to answer, short enough to watch
YEAR_MS = 366 * 86_400_000
TRANSFERS_AT_ONCE = 4
PURPOSES = (PurposeOfUse.TREAT.name, PurposeOfUse.ETREAT.name, PurposeOfUse.HPAYMT.name, PurposeOfUse.HTEST.name)
READER = {"practitioner": "attending", "role": "PHYSICIAN", "purpose": "TREAT"}
ANSWER_S = 30.0


@dataclass
class Shared:
    """A record of the data set on its way from A to B. `received` is what B's store calls it."""

    document: Document
    record: str
    subject: str
    bytes: int
    grant: int = -1
    received: str = ""


@dataclass
class Stage:
    """Who plays, and what they have in hand."""

    world: World
    a: Hospital
    b: Hospital
    channel: str = ""
    documents: list[Document] = field(default_factory=list)
    records: list[Shared] = field(default_factory=list)
    consents: dict[str, int] = field(default_factory=dict)
    encounters: list[Encounter] = field(default_factory=list)


async def open_channel(stage: Stage, report: Report) -> None:
    wanted = words.OpenChannel(
        peer=stage.b.id.hex(), deposit=DEPOSIT, peer_deposit=DEPOSIT, bond=BOND, window_ms=WINDOW_MS
    )
    stage.channel = await stage.a.desk.open_channel(wanted)

    async def open_at_b() -> bool:
        return stage.channel in {view.id for view in await stage.b.desk.channels() if view.state == "open"}

    await wait_until("the channel is open at B", open_at_b, ANSWER_S)
    row = await stage.world.reader.channel(bytes.fromhex(stage.channel))
    report.check("channel open", row is not None, f"{stage.channel[:8]}…, deposits {DEPOSIT:,}, bonds {BOND:,}")


async def records_are_imported(stage: Stage, report: Report, advance: Advance) -> None:
    """A takes in every file, and finds out whose it is."""
    for document in stage.documents:
        content = await trio.to_thread.run_sync(document.content)
        added = await stage.a.desk.add_record(content, name=document.name)
        if not added.known:
            stage.records.append(Shared(document, added.record, added.subject, len(content)))
            stage.encounters += find_encounters(content, added.subject or "unknown")
        advance()
    report.patients = len({record.subject for record in stage.records})
    twice = len(stage.documents) - len(stage.records)
    report.check("import", True, f"{len(stage.records)} records of {report.patients} patients, {twice} known twice")


async def records_are_shared(stage: Stage, report: Report, advance: Advance) -> None:
    """One consent for each patient; then a grant for each record. The first is asked for, the others are pushed."""
    for subject in dict.fromkeys(record.subject for record in stage.records):
        stage.consents[subject] = await stage.a.desk.grant_consent(_consent(stage.channel, subject))
        advance()
    first, *others = stage.records
    first.grant = await _ask_and_grant(stage, first)
    advance()
    for record in others:
        record.grant = (await stage.a.desk.share(record.record, _share(stage, record))).grant
        advance()
    report.records_shared = len(stage.records)
    report.bytes_shared = sum(record.bytes for record in stage.records)
    text = f"{len(stage.records)} records, {report.bytes_shared:,} bytes, under {len(stage.consents)} consents"
    report.check("shared under consent", all(record.grant >= 0 for record in stage.records), text)


def permit_all(
    channel: str, patient: str, purposes: Sequence[str], until_ms: int, document: dict[str, Any] | None = None
) -> words.ConsentWanted:
    """Every class, however sensitive, from ever until then."""
    return words.ConsentWanted(
        channel=channel,
        patient=patient,
        decision="permit",
        purposes=tuple(purposes),
        classes=tuple(record_class.name for record_class in RecordClass),
        label_ceiling=Label.V.name,
        from_ms=0,
        until_ms=until_ms,
        document=document,
    )


def _consent(channel: str, subject: str) -> words.ConsentWanted:
    now = now_ms()
    until = now + YEAR_MS
    document = consent_form(subject, PURPOSES, now_ms=now, until_ms=until)
    return permit_all(channel, subject, PURPOSES, until, document)


def _share(stage: Stage, record: Shared, request: int | None = None) -> words.Share:
    consent = stage.consents[record.subject]
    purposes = PURPOSES if request is None else (READER["purpose"],)
    return words.Share(channel=stage.channel, purposes=purposes, consent_index=consent, request_index=request)


async def _ask_and_grant(stage: Stage, record: Shared) -> int:
    """B asks for a patient's records; A sees the request and answers it with a grant."""
    asked = words.RecordWanted(
        channel=stage.channel,
        patient=record.subject,
        purpose=READER["purpose"],
        practitioner=READER["practitioner"],
        role=READER["role"],
        classes=tuple(record_class.name for record_class in RecordClass),
        from_ms=0,
        to_ms=now_ms(),
    )
    index = await stage.b.desk.request(asked)

    async def seen_at_a() -> bool:
        return any(view.index == index and view.side == "peer" for view in await stage.a.desk.requests())

    await wait_until("A has seen B's request", seen_at_a, ANSWER_S)
    return (await stage.a.desk.share(record.record, _share(stage, record, index))).grant


async def records_arrive(stage: Stage, report: Report, advance: Advance) -> None:
    """B pulls every record, opens it with an access entry, and what it shows is compared with the file."""
    limit = trio.CapacityLimiter(TRANSFERS_AT_ONCE)
    verified: list[str] = []

    async def arrive(record: Shared) -> None:
        async with limit:
            fetched = await stage.b.desk.fetch(stage.channel, record.grant)
            record.received = fetched.record
            content = await stage.b.desk.content(fetched.record, **READER)
            if fetched.digest_ok and hashlib.sha256(content).hexdigest() == record.document.digest():
                verified.append(record.record)
            advance()

    async with trio.open_nursery() as nursery:
        for record in stage.records:
            nursery.start_soon(arrive, record)
    report.records_verified = len(verified)
    text = f"{len(verified)} of {len(stage.records)} identical to the last byte, each opened with an access entry"
    report.check("fetched, verified, opened", len(verified) == len(stage.records), text)


async def withdrawal_counts(stage: Stage, report: Report) -> None:
    """One patient withdraws; once B has acknowledged it, the next access is refused."""
    record = stage.records[-1]
    await stage.a.desk.withdraw_consent(stage.channel, stage.consents[record.subject])

    async def acknowledged() -> bool:
        view = await stage.a.desk.channel(stage.channel)
        return view.receipted >= view.own.size

    await wait_until("B has acknowledged the withdrawal", acknowledged, ANSWER_S)
    try:
        await stage.b.desk.content(record.received, **READER)
        seen = "B showed the record all the same"
    except (Refused, LocalError) as refusal:
        report.withdrawal_enforced = True
        seen = f"the next access was refused ({refusal})"
    report.check("withdrawal stops access", report.withdrawal_enforced, seen)
