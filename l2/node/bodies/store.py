"""A hospital's records at rest: a cell each under its own key, and a sealed row to find it by.

A record's id is a keyed hash of origin and content: adding the same again finds it, and nobody outside can test a
guess. What comes together is written together: many short records cost two syncs. docs/spec/records.md, rules REST-*.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from l1.ground.codec import Shape, decoder, encode
from l1.ground.codes import Label, MediaType
from l1.ground.faults import LocalError
from l1.ground.limits import HANDLE_BYTES
from l2.node.bodies.cells import Cell, Cells, place_key
from l2.node.bodies.files import remove, write_whole
from l2.node.bodies.index import Index, Table
from l2.node.bodies.intake import RECORD_KEY, Intake, Taken, seal_short
from l2.records.body import open_chunks
from l2.records.cipher import BodyCipher, Octets
from l2.records.envelope import identify
from l2.records.fhir import Slice
from l2.records.info import RecordInfo
from l2.records.packing import Unpacked
from l2.records.pieces import PieceTree, plant

__all__ = ["New", "Origin", "Record", "RecordStore", "look"]

_ROW_BYTES_MAX = 4 * 1024 * 1024
_PART_BYTES = 16


class Origin(Shape, frozen=True):
    """Where a received record came from: the grant that lets it be opened."""

    channel: bytes
    grant: int
    custodian: bytes


class Record(Shape, frozen=True):
    """A record as its holder lists it. `digest` is SHA-256 of the content; `origin` is None for the hospital's own.

    `said` is the label that a person gave it, which counts instead of any that was derived. `part_of` is set for an
    extract that was made for a grant of that record: nobody finds or lists it, and it goes when it was released.
    """

    id: bytes
    name: str
    size: int
    added_ms: int
    info: RecordInfo
    digest: bytes
    cell: Cell
    origin: Origin | None = None
    said: int | None = None
    part_of: bytes | None = None


_decode = decoder(Record, bytes_max=_ROW_BYTES_MAX, what="record row")


@dataclass(frozen=True)
class New:
    """A record to be kept: what came in, and what is known of it."""

    taken: Taken
    name: str
    info: RecordInfo
    said: int | None = None


def look(taken: Taken) -> RecordInfo:
    """[INFO-1] What came in. JSON that is too long to be looked at whole may be anybody's, and anything."""
    if taken.whole or taken.seen[:64].lstrip()[:1] != b"{":
        return identify(taken.seen)
    return RecordInfo(media_type=MediaType.JSON, label=Label.R, title="JSON, too long to be looked at whole")


class RecordStore:
    """Records on disk. Every method is synchronous and safe in worker threads; what returned is durable."""

    def __init__(self, cells: Cells, index: Index) -> None:
        self.cells, self._index = cells, index
        self._rows = index.table("records")
        self._subjects = index.table("subjects")
        self._origins = index.table("origins")
        self._parts = index.table("parts")

    # -- in

    def intake(self) -> Intake:
        """For a content that comes in pieces; `keep` makes it a record."""
        return Intake(self.cells)

    def add(
        self, content: bytes, *, name: str = "", now_ms: int, info: RecordInfo | None = None
    ) -> tuple[Record, bool]:
        """The record of this content, and whether it was here already. Raises `LocalError` for too large a one."""
        taken = self._take_in(content)
        (kept,) = self.keep([New(taken, name, look(taken) if info is None else info)], now_ms=now_ms)
        return kept

    def _take_in(self, content: bytes) -> Taken:
        intake = Intake(self.cells, gzip=False)
        try:
            intake.feed(content)
            return intake.finish()
        except BaseException:
            intake.abandon()
            raise

    def keep(self, news: Sequence[New], *, now_ms: int) -> list[tuple[Record, bool]]:
        """The records of what came in, and whether each was here already."""
        ids = [self.id_of(new.taken.digest, None) for new in news]
        known = {id_: record for id_ in ids if (record := self._here(id_)) is not None}
        fresh = {id_: new for id_, new in zip(ids, news, strict=True) if id_ not in known}
        cells = self._write([new.taken for new in fresh.values()])
        made: dict[bytes, Record] = {}
        for (id_, new), cell in zip(fresh.items(), cells, strict=True):
            taken = new.taken
            info = new.info if new.said is None else replace(new.info, label=new.said)
            made[id_] = Record(id_, new.name, taken.size, now_ms, info, taken.digest, cell, said=new.said)
        # [REST-4] The rows come last: they are what makes a record known, so none ever points at nothing.
        self._index.write(row for record in made.values() for row in self.rows_of(record))
        for id_, new in zip(ids, news, strict=True):
            if new.taken.cell is not None and (id_ in known or made[id_].cell != new.taken.cell):
                remove(self.cells.path(new.taken.cell.file))
        kept: list[tuple[Record, bool]] = []
        for id_, new in zip(ids, news, strict=True):
            record = made.pop(id_, None)
            kept.append((self._relabel(known[id_], new.said), True) if record is None else (record, False))
            known[id_] = kept[-1][0]
        return kept

    def _relabel(self, record: Record, said: int | None) -> Record:
        if said is None or said == record.said:
            return record
        changed = replace(record, said=said, info=replace(record.info, label=said))
        self._rows.put(record.id, encode(changed))
        return changed

    # -- in part

    def tree(self, record_id: bytes, slices: Sequence[Slice]) -> PieceTree:
        """[PIECE-3] The tree over a record's resources, under salts that only this hospital can compute."""
        return plant(slices, lambda n: self._index.keyed_hash(b"piece", record_id, n.to_bytes(4, "big")))

    def keep_part(self, content: bytes, info: RecordInfo, *, of: bytes, now_ms: int) -> Record:
        """An extract of a record, for one grant: it has a key of its own, and is never shared twice."""
        taken = self._take_in(content)
        (cell,) = self._write([taken])
        part_id = self._index.keyed_hash(b"part", self.cells.entropy(_PART_BYTES))
        part = Record(part_id, "", taken.size, now_ms, info, taken.digest, cell, part_of=of)
        self._index.write(self.rows_of(part))
        return part

    def has_parts(self) -> bool:
        return self._parts.count() > 0

    def parts(self, record_id: bytes = b"") -> list[Record]:
        """The extracts of a record that are still to be released, or of all."""
        found = [self.find(key[HANDLE_BYTES:]) for key, _ in self._parts.scan(record_id)]
        return [part for part in found if part is not None]

    def _here(self, record_id: bytes) -> Record | None:
        found = self.find(record_id)
        return found if found is not None and self.cells.has(found.cell) else None

    def _write(self, taken: Sequence[Taken]) -> list[Cell]:
        """Cells for all of it, the short ones that fit into one chunk in one file."""
        sealed = {i: seal_short(self.cells, one.short) for i, one in enumerate(taken) if one.short is not None}
        packed = [(i, body) for i, body in sealed.items() if isinstance(body, tuple)]
        cells = (
            dict(zip((i for i, _ in packed), self.cells.write_pack([body for _, body in packed]), strict=True))
            if packed
            else {}
        )
        for i, parts in sealed.items():
            if isinstance(parts, list):
                place, *rest = parts
                name = self.cells.new_file()
                write_whole(self.cells.path(name), rest)
                cells[i] = Cell(name, 0, sum(map(len, rest)) - self.cells.seat(0), place)
        return [one.cell or cells[i] for i, one in enumerate(taken)]

    def rows_of(self, record: Record) -> Iterator[tuple[Table, bytes, bytes]]:
        """Everything that the index holds of a record: what leads to it, and its row."""
        yield from self._pointers(record)
        yield self._rows, record.id, encode(record)

    def _pointers(self, record: Record) -> Iterator[tuple[Table, bytes, bytes]]:
        """What leads to a record: its file, its patients, and the grant that it came by."""
        yield self.cells.places, place_key(record.cell), b""
        if record.part_of is not None:
            yield self._parts, record.part_of + record.id, b""
            return
        for subject in record.info.subjects:
            yield self._subjects, self._subject_key(subject) + record.id, b""
        if record.origin is not None:
            yield self._origins, _origin_key(record.origin.channel, record.origin.grant), record.id

    # -- out

    def open(self, record_id: bytes) -> bytes:
        """The content of a record that is small enough for memory. Raises like `open_pieces`."""
        return b"".join(self.open_pieces(record_id))

    def open_pieces(self, record_id: bytes) -> Iterator[Octets]:
        """The content in pieces, every chunk authenticated under the record's own key and place before it is given.

        Raises `LocalError` when it is not here, `Refused` when its file was damaged.
        """
        record = self.find(record_id)
        if record is None or not self.cells.has(record.cell):
            raise LocalError(f"there is no record {record_id.hex()}", "`interward record list` shows what there is.")
        cell = record.cell
        cipher = BodyCipher(self.cells.key(cell, RECORD_KEY), cell.place)
        return iter(Unpacked(open_chunks(self.cells.runs(cell), cell.size, cipher), max(cell.size, record.size)))

    def has_many(self, record_ids: Sequence[bytes]) -> list[bool]:
        """Whether there are such records; nothing of them is read."""
        return self._rows.has_many(record_ids)

    def find(self, record_id: bytes) -> Record | None:
        row = self._rows.get(record_id)
        return None if row is None else _decode(row)

    def find_many(self, record_ids: Sequence[bytes]) -> list[Record | None]:
        return [None if row is None else _decode(row) for row in self._rows.get_many(record_ids)]

    def find_received(self, channel: bytes, grant: int) -> Record | None:
        """The record that came by a grant."""
        record_id = self._origins.get(_origin_key(channel, grant))
        return None if record_id is None else self.find(record_id)

    def have_received(self, channel: bytes, grants: Sequence[int]) -> list[bool]:
        """Whether there are records that came by these grants."""
        return self._origins.has_many([_origin_key(channel, grant) for grant in grants])

    def search(
        self,
        *,
        subject: str | None = None,
        record_class: int | None = None,
        label: int | None = None,
        own: bool | None = None,
        custodian: bytes | None = None,
        from_ms: int | None = None,
        until_ms: int | None = None,
    ) -> list[Record]:
        """Records that fit everything asked for, oldest first. `own` False: received ones. Of a period are those whose
        dates touch it; those without a date are of none."""

        def fits(record: Record) -> bool:
            info, origin = record.info, record.origin
            return (
                (record_class is None or bool((1 << info.record_class | info.classes) >> record_class & 1))
                and (label is None or info.label == label)
                and (own is None or (origin is None) == own)
                and (custodian is None or (origin is not None and origin.custodian == custodian))
                and (from_ms is None or (info.until_ms is not None and info.until_ms >= from_ms))
                and (until_ms is None or (info.from_ms is not None and info.from_ms <= until_ms))
            )

        return sorted((r for r in self._candidates(subject) if fits(r)), key=lambda r: (r.added_ms, r.id))

    def _candidates(self, subject: str | None) -> Iterator[Record]:
        if subject is None:
            found = (_decode(row) for _, row in self._rows.scan())
            yield from (record for record in found if record.part_of is None)
            return
        prefix = self._subject_key(subject)
        for key in [key for key, _ in self._subjects.scan(prefix)]:
            if (record := self.find(key[len(prefix) :])) is not None:
                yield record

    def subjects(self, most: int = 1_024) -> Iterator[set[str]]:
        """The patients whom our own records are about, some at a time; one may come again."""
        some: set[str] = set()
        for record in self._candidates(None):
            some.update(record.info.subjects if record.origin is None else ())
            if len(some) >= most:
                yield some
                some = set()
        yield some

    def count(self) -> int:
        return self._rows.count() - self._parts.count()

    def cells_in_use(self) -> list[Cell]:
        """The cells of all records, extracts among them."""
        return [_decode(row).cell for _, row in self._rows.scan()]

    # -- away

    def erase(self, records: Iterable[Record]) -> None:
        """[REST-6] Destroy keys and ciphertexts, then the rows; of what was cut from them, too. Safe to repeat."""
        gone = list(records)
        gone += [part for record in gone if record.part_of is None for part in self.parts(record.id)]
        self.cells.destroy(record.cell for record in gone)
        self._index.write((table, key, None) for record in gone for table, key, _ in self.rows_of(record))
        self.cells.tidy(record.cell.file for record in gone)

    def id_of(self, digest: bytes, origin: Origin | None) -> bytes:
        # [REST-3] The origin is part of the id: each grant opens its own copy.
        return self._index.keyed_hash(b"record", encode(origin), digest)

    def _subject_key(self, subject: str) -> bytes:
        return self._index.keyed_hash(b"subject", subject.encode())


def _origin_key(channel: bytes, grant: int) -> bytes:
    return channel + grant.to_bytes(8, "big")
