"""A hospital's records at rest: one file each under its own key, and a sealed row to find it by.

[REST-1] file = mark ‖ boxed key ‖ chunks of a body. The key lies in the file that it opens, so that erasing overwrites
it in place; the index, which copies on write, never holds it. A record's id is a keyed hash of origin and content:
adding the same again finds it, and nobody outside can test a guess. docs/spec/records.md, rules REST-*.
"""

from collections.abc import Iterator
from pathlib import Path

from l1.ground.codec import Shape, decoder, encode
from l1.ground.codes import Label
from l1.ground.faults import Fault, LocalError, require
from l1.ground.hashing import digest, tagged_digest
from l2.node.bodies.files import make_folder, overwrite, remove, sweep, write_whole
from l2.node.bodies.index import Entropy, Index, Table
from l2.records.body import SALT_BYTES, open_chunk, pack, seal_chunks, unpack_body
from l2.records.envelope import identify
from l2.records.info import RecordInfo
from l2.records.keys import BOX_OVERHEAD, KEY_BYTES, NONCE_BYTES, box, unbox
from l2.records.limits import CONTENT_BYTES_MAX, SEALED_CHUNK_BYTES

__all__ = ["Origin", "Record", "RecordStore"]

_MARK = b"IWR1"
_HEAD_BYTES = len(_MARK) + BOX_OVERHEAD + KEY_BYTES
_ROW_BYTES_MAX = 4 * 1024 * 1024


class Origin(Shape, frozen=True):
    """Where a received record came from: the grant that lets it be opened."""

    channel: bytes
    grant: int
    custodian: bytes


class Record(Shape, frozen=True):
    """A record as its holder lists it. `origin` is None for the hospital's own."""

    id: bytes
    name: str
    size: int
    added_ms: int
    info: RecordInfo
    origin: Origin | None = None


_decode = decoder(Record, bytes_max=_ROW_BYTES_MAX, what="record row")


class RecordStore:
    """Records on disk. Every method is synchronous and safe in worker threads; what returned is durable."""

    def __init__(self, folder: Path, index: Index, kek: bytes, entropy: Entropy) -> None:
        self._folder = make_folder(folder)
        sweep(self._folder)
        self._index, self._kek, self._entropy = index, kek, entropy
        self._rows = index.table("records")
        self._subjects = index.table("subjects")
        self._origins = index.table("origins")

    def add(
        self,
        content: bytes,
        *,
        name: str = "",
        now_ms: int,
        info: RecordInfo | None = None,
        origin: Origin | None = None,
        least_label: int = Label.U,
    ) -> tuple[Record, bool]:
        """The record of this content, and whether it was here already. Raises `LocalError` for too large a one."""
        if len(content) > CONTENT_BYTES_MAX:
            raise LocalError(f"the record has {len(content)} bytes", f"At most {CONTENT_BYTES_MAX} can be stored.")
        record_id = self._id_of(content, origin)
        known = self.find(record_id)
        if known is not None and self._path(record_id).exists():
            return known, True
        info = identify(content) if info is None else info
        if info.label < least_label:
            info = _with_label(info, least_label)
        record = Record(id=record_id, name=name, size=len(content), added_ms=now_ms, info=info, origin=origin)
        self._write_file(record_id, content, info.media_type)
        # [REST-4] The row comes last: it is what makes the record known, so it never points at nothing.
        self._index.write([*self._pointers(record), (self._rows, record_id, encode(record))])
        return record, False

    def _pointers(self, record: Record) -> Iterator[tuple[Table, bytes, bytes]]:
        """What leads to a record: its patients, and the grant that it came by."""
        for subject in record.info.subjects:
            yield self._subjects, self._subject_key(subject) + record.id, b""
        if record.origin is not None:
            yield self._origins, _origin_key(record.origin.channel, record.origin.grant), record.id

    def open(self, record_id: bytes) -> bytes:
        """The content, every chunk authenticated under the record's own key and place.

        Raises `LocalError` when it is not here, `Refused` when the file was damaged.
        """
        if self.find(record_id) is None or not self._path(record_id).exists():
            raise LocalError(f"there is no record {record_id.hex()}", "`interward record list` shows what there is.")
        return self._read_file(record_id)

    def find(self, record_id: bytes) -> Record | None:
        row = self._rows.get(record_id)
        return None if row is None else _decode(row)

    def find_received(self, channel: bytes, grant: int) -> Record | None:
        """The record that came by a grant."""
        record_id = self._origins.get(_origin_key(channel, grant))
        return None if record_id is None else self.find(record_id)

    def search(
        self,
        *,
        subject: str | None = None,
        record_class: int | None = None,
        label: int | None = None,
        own: bool | None = None,
        custodian: bytes | None = None,
    ) -> list[Record]:
        """Records that fit everything asked for, oldest first. `own` False: received ones."""

        def fits(record: Record) -> bool:
            info, origin = record.info, record.origin
            return (
                (record_class is None or bool((1 << info.record_class | info.classes) >> record_class & 1))
                and (label is None or info.label == label)
                and (own is None or (origin is None) == own)
                and (custodian is None or (origin is not None and origin.custodian == custodian))
            )

        return sorted((r for r in self._candidates(subject) if fits(r)), key=lambda r: (r.added_ms, r.id))

    def _candidates(self, subject: str | None) -> Iterator[Record]:
        if subject is None:
            yield from (_decode(row) for _, row in self._rows.scan())
            return
        prefix = self._subject_key(subject)
        for key in [key for key, _ in self._subjects.scan(prefix)]:
            if (record := self.find(key[len(prefix) :])) is not None:
                yield record

    def count(self) -> int:
        return self._rows.count()

    def erase(self, record_id: bytes) -> bool:
        """[REST-6] Destroy key and ciphertext, then the row. False when there was none. Safe to repeat."""
        record = self.find(record_id)
        path = self._path(record_id)
        if path.exists():
            overwrite(path, bytes(_HEAD_BYTES))
            remove(path)
        if record is None:
            return False
        gone = [(table, key) for table, key, _ in self._pointers(record)]
        self._index.write((table, key, None) for table, key in [*gone, (self._rows, record_id)])
        return True

    def _id_of(self, content: bytes, origin: Origin | None) -> bytes:
        # [REST-3] The origin is part of the id: each grant opens its own copy.
        return self._index.keyed_hash(b"record", encode(origin), digest(content))

    def _subject_key(self, subject: str) -> bytes:
        return self._index.keyed_hash(b"subject", subject.encode())

    def _path(self, record_id: bytes) -> Path:
        return self._folder / record_id.hex()

    def _write_file(self, record_id: bytes, content: bytes, media_type: int) -> None:
        key = self._entropy(KEY_BYTES)
        boxed = box(self._kek, key, b"record key" + record_id, self._entropy(NONCE_BYTES))

        def parts() -> Iterator[bytes]:
            yield _MARK + boxed
            yield from seal_chunks(pack(content, self._entropy(SALT_BYTES), media_type), key, _place_of(record_id))

        write_whole(self._path(record_id), parts())

    def _read_file(self, record_id: bytes) -> bytes:
        path = self._path(record_id)
        size = path.stat().st_size - _HEAD_BYTES
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
            require(head[: len(_MARK)] == _MARK, Fault.MALFORMED, f"{path.name} is not a record file")
            key = unbox(self._kek, head[len(_MARK) :], b"record key" + record_id)
            count = -(-size // SEALED_CHUNK_BYTES)
            place = _place_of(record_id)
            chunks = (open_chunk(file.read(SEALED_CHUNK_BYTES), i, i == count - 1, key, place) for i in range(count))
            _, content = unpack_body(chunks, size)
        return content


def _place_of(record_id: bytes) -> bytes:
    return tagged_digest(b"at rest", record_id)


def _origin_key(channel: bytes, grant: int) -> bytes:
    return channel + grant.to_bytes(8, "big")


def _with_label(info: RecordInfo, label: int) -> RecordInfo:
    fields = {name: getattr(info, name) for name in info.__struct_fields__}
    return RecordInfo(**(fields | {"label": label}))
