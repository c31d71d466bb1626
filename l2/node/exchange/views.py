"""What the desk is shown of consents, requests, grants and records: read from logs and book, never remembered."""

from collections.abc import Sequence
from typing import Any, Literal

from l1.ground.codes import Label, MediaType, PurposeOfUse, RecordClass, Role
from l1.ground.hashing import digest
from l1.rules.log.fold import ANSWERED, CONSENT, DONE, GRANT, HAS_ENDED, REQUEST, VOID
from l2.desk import words
from l2.node.bodies import Bodies, Record
from l2.node.exchange.afterclose import ClosedAccess
from l2.node.exchange.book import Book
from l2.node.exchange.cutting import Offer
from l2.node.exchange.dealing import Dealing
from l2.node.exchange.logs import VIEWS_MAX, find_marks, grant_has_ended, newest
from l2.node.exchange.terms import name_of, names_of
from l2.records import Piece

__all__ = [
    "added_one",
    "closed_access_views",
    "added_view",
    "consent_views",
    "fetched_view",
    "grant_views",
    "granted_view",
    "open_grant_views",
    "piece_view",
    "record_view",
    "request_views",
]

SUBJECTS_SHOWN = 100  # a bulk export is about thousands

Side = Literal["own", "peer"]


def consent_views(dealing: Dealing, book: Book) -> list[words.ConsentView]:
    """The newest consents of our log."""
    marks = dealing.channel.fold.logs[dealing.own].marks
    views: list[words.ConsentView] = []
    for index in newest(dealing.channel, dealing.own, CONSENT):
        if marks[index] & VOID:
            continue
        terms: Any = dealing.channel.readers[dealing.own].entry(index)[1]
        view = words.ConsentView(
            channel=dealing.id.hex(),
            index=index,
            patient=book.who(dealing.id, terms.subject) or "",
            decision="permit" if terms.permit else "deny",
            purposes=names_of(PurposeOfUse, terms.purposes),
            classes=names_of(RecordClass, terms.classes),
            label_ceiling=name_of(Label, terms.label),
            from_ms=terms.from_ms,
            until_ms=terms.until_ms,
            withdrawn=bool(marks[index] & HAS_ENDED),
        )
        views.append(view)
    return views


def request_views(dealing: Dealing, book: Book) -> list[words.RequestView]:
    """The newest requests of both logs."""
    return [
        view
        for side, whose in ((dealing.own, "own"), (dealing.theirs, "peer"))
        for view in _requests(dealing, book, side, "own" if whose == "own" else "peer")
    ]


def _requests(dealing: Dealing, book: Book, side: int, whose: Side) -> list[words.RequestView]:
    marks = dealing.channel.fold.logs[side].marks
    views: list[words.RequestView] = []
    for index in newest(dealing.channel, side, REQUEST):
        mark = marks[index]
        if mark & VOID:
            continue
        entry: Any
        terms: Any
        entry, terms = dealing.channel.readers[side].entry(index)
        answered = ("denied" if mark & DONE else "granted") if mark & ANSWERED else None
        view = words.RequestView(
            channel=dealing.id.hex(),
            side=whose,
            index=index,
            purpose=name_of(PurposeOfUse, terms.purpose),
            patient=book.who(dealing.id, terms.subject),
            practitioner=book.who(dealing.id, terms.practitioner),
            emergency=entry.emergency,
            answered=answered,
        )
        views.append(view)
    return views


def grant_views(dealing: Dealing, book: Book, bodies: Bodies) -> list[words.GrantView]:
    """The newest grants of both logs."""
    return [
        view
        for side, whose in ((dealing.own, "own"), (dealing.theirs, "peer"))
        for view in _grants(
            dealing, book, bodies, "own" if whose == "own" else "peer", newest(dealing.channel, side, GRANT)
        )
    ]


def open_grant_views(dealing: Dealing, book: Book, bodies: Bodies) -> list[words.GrantView]:
    """The oldest grants with a body that the peer wrote and we have not confirmed."""
    indices = find_marks(dealing.channel, dealing.theirs, "unreceipted grants")
    found: list[words.GrantView] = []
    for start in range(0, len(indices), VIEWS_MAX):
        some = _grants(dealing, book, bodies, "peer", indices[start : start + VIEWS_MAX])
        found += [view for view in some if view.bytes and view.state == "granted"]
        if len(found) >= VIEWS_MAX:
            break
    return found[:VIEWS_MAX]


def _grants(dealing: Dealing, book: Book, bodies: Bodies, whose: Side, indices: Sequence[int]) -> list[words.GrantView]:
    side = dealing.own if whose == "own" else dealing.theirs
    views: list[words.GrantView] = []
    for index in indices:
        grant: Any
        terms: Any
        grant, terms = dealing.channel.readers[side].entry(index)
        record: bytes | None = None
        if terms.cipher_size:
            record = _own_record(dealing, book, grant.lock) if whose == "own" else _received(dealing, bodies, index)
        view = words.GrantView(
            channel=dealing.id.hex(),
            side=whose,
            index=index,
            state=_state(dealing, side, index, bodies if terms.cipher_size and whose == "peer" else None),
            purposes=names_of(PurposeOfUse, terms.purposes),
            record_class=name_of(RecordClass, terms.record_class),
            label=name_of(Label, terms.label),
            media_type=name_of(MediaType, terms.media_type),
            from_ms=terms.from_ms,
            until_ms=terms.until_ms,
            fee=grant.fee,
            bytes=terms.cipher_size,
            record=None if record is None else record.hex(),
        )
        views.append(view)
    return views


def _own_record(dealing: Dealing, book: Book, lock: bytes) -> bytes | None:
    shared = book.shared(dealing.id, lock)
    return None if shared is None else shared.record


def _received(dealing: Dealing, bodies: Bodies, index: int) -> bytes | None:
    record = bodies.records.find_received(dealing.id, index)
    return None if record is None else record.id


def _state(dealing: Dealing, side: int, index: int, bodies: Bodies | None) -> str:
    mark = dealing.channel.fold.logs[side].marks[index]
    if mark & VOID:
        return "void"
    if grant_has_ended(dealing.channel, side, index):
        return "revoked"
    if mark & DONE:
        return "released"
    if mark & ANSWERED:
        return "received"
    fetching = bodies is not None and index in dealing.awaited
    return "fetching" if fetching else "granted"


def added_view(record: Record, *, known: bool) -> words.RecordAdded:
    return words.RecordAdded(
        record=record.id.hex(),
        media_type=name_of(MediaType, record.info.media_type),
        record_class=name_of(RecordClass, record.info.record_class),
        subject=record.info.subject,
        label=name_of(Label, record.info.label),
        bytes=record.size,
        known=known,
    )


def added_one(became: tuple[Record, bool] | Exception) -> words.AddedOne:
    if isinstance(became, Exception):
        return words.AddedOne(problem=str(became))
    return words.AddedOne(added=added_view(became[0], known=became[1]))


def record_view(record: Record) -> words.RecordView:
    info, origin = record.info, record.origin
    return words.RecordView(
        record=record.id.hex(),
        media_type=name_of(MediaType, info.media_type),
        record_class=name_of(RecordClass, info.record_class),
        subject=info.subject,
        label=name_of(Label, info.label),
        bytes=record.size,
        origin="own" if origin is None else origin.custodian.hex(),
        name=record.name,
        channel=None if origin is None else origin.channel.hex(),
        grant=None if origin is None else origin.grant,
        digest=record.digest.hex(),
        title=info.title,
        classes=names_of(RecordClass, info.classes),
        sensitivity=info.sensitivity,
        subjects=info.subjects[:SUBJECTS_SHOWN],
        names=info.names,
        from_ms=info.from_ms,
        until_ms=info.until_ms,
        resources=info.resources,
        added_ms=record.added_ms,
        root=info.root.hex(),
        unproven=info.unproven,
    )


def granted_view(record: Record, offers: Sequence[Offer], grants: Sequence[int]) -> words.Granted:
    return words.Granted(
        grant=grants[0],
        grants=tuple(grants),
        resources=sum(record.info.resources if offer.cut is None else len(offer.cut.numbers) for offer in offers),
        of_resources=record.info.resources,
    )


def fetched_view(record: Record) -> words.Fetched:
    """[PIECE-6] Content that is not what was granted never gets here; proofs that lead nowhere do, and are told."""
    info = record.info
    return words.Fetched(
        record=record.id.hex(),
        bytes=record.size,
        digest_ok=not info.unproven,
        resources=info.resources,
        root=info.root.hex(),
        unproven=info.unproven,
    )


def piece_view(number: int, piece: Piece) -> words.PieceView:
    outside = piece.outside
    return words.PieceView(
        number=number,
        kind=outside.kind,
        id=outside.id,
        classes=names_of(RecordClass, outside.classes),
        label=outside.label.name,
        sensitivity=tuple(sorted(outside.sensitivity)),
        subjects=outside.subjects,
        from_ms=None if outside.span is None else outside.span[0],
        until_ms=None if outside.span is None else outside.span[1],
        bytes=len(piece.slice.raw),
        digest=digest(piece.slice.raw).hex(),
    )


def closed_access_views(accesses: Sequence[ClosedAccess]) -> list[words.ClosedAccessView]:
    return [
        words.ClosedAccessView(
            number=one.number,
            record=one.record.hex(),
            channel=one.channel.hex(),
            grant=one.grant,
            practitioner=one.practitioner,
            role=name_of(Role, one.role),
            purpose=name_of(PurposeOfUse, one.purpose),
            time_ms=one.time,
        )
        for one in accesses
    ]
