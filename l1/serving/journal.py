"""What stands in a write-ahead journal: pure encoding. Its file is `journal_file`; what the rows mean is the store's.

A journal is a page that names it, and behind it records, each at the beginning of a page: the rows of one commit, a
number that rises by one for ever, and the run that wrote it. A run is a random name that a store takes anew each time
it begins to write: only its own records are taken, however a disk or a peer filled the rest of the file. A record is
written once and flushed before the next is begun, and what was acknowledged is never written over before the store
itself holds it. So of a store that was killed, only the last record may be torn, and nobody was told of that one.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from mmap import mmap
from typing import NamedTuple
from zlib import crc32

import msgspec

__all__ = [
    "PAGE_BYTES",
    "RUN_BYTES",
    "JournalDamaged",
    "JournalForeign",
    "Place",
    "Record",
    "Row",
    "encode_place",
    "encode_record",
    "encode_rows",
    "unwritten",
]

PAGE_BYTES = 4096  # what a disk writes at once: a record that was acknowledged is never on the page of a later one
RUN_BYTES = 16

_PLACE_MARK, _RECORD_MARK = b"IWj1", b"IWr1"
_PLACE = struct.Struct(f"<4s{RUN_BYTES}s{RUN_BYTES}sQ")  # mark, run, run before, bytes of the file; then a CRC-32
_RECORD = struct.Struct(f"<4s{RUN_BYTES}sQI")  # mark, run, number, bytes of the rows; then a CRC-32 over all of it
_CHECK = struct.Struct("<I")
_BODY_AT = _RECORD.size + _CHECK.size

Row = tuple[bytes, bytes]
"""Where it stands in the store, and what stands there."""

Bytes = bytes | mmap
"""A whole journal."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Row]).decode


class JournalDamaged(Exception):  # noqa: N818 - it says what is so
    """The journal does not hold what was acknowledged. The text says what is wrong."""


class JournalForeign(JournalDamaged):
    """The journal is not of this store, or one of the two is older than the other."""


class Record(NamedTuple):
    """The rows of one commit."""

    run: bytes
    number: int
    rows: Sequence[Row]


class Place(NamedTuple):
    """The first page: the run that writes here, the one before it, and how long the file is."""

    run: bytes
    before: bytes
    file_bytes: int


def encode_place(place: Place) -> bytes:
    """A page."""
    head = _PLACE.pack(_PLACE_MARK, *place)
    return (head + _CHECK.pack(crc32(head))).ljust(PAGE_BYTES, b"\0")


def encode_rows(rows: Sequence[Row]) -> bytes:
    """What of a record can be made before its number is known; nearly all the work."""
    return _encode(rows)


def encode_record(run: bytes, number: int, rows: bytes) -> bytes:
    """Whole pages. `rows` as `encode_rows` made them."""
    head = _RECORD.pack(_RECORD_MARK, run, number, len(rows))
    check = _CHECK.pack(crc32(rows, crc32(head)))
    used = len(head) + len(check) + len(rows)
    return b"".join((head, check, rows, bytes(-used % PAGE_BYTES)))


def unwritten(journal: Bytes, run: bytes, number: int) -> list[Record]:
    """What a store that ended in this run, with all up to that number, lacks: in order, and nothing missing between.

    The last record may be torn: then it was never acknowledged, and is left out. Raises `JournalDamaged`,
    `JournalForeign`.
    """
    place = _place(journal)
    if run not in (place.run, place.before):
        raise JournalForeign("it is another store's, or of another time")
    if place.file_bytes != len(journal):
        raise JournalDamaged(f"it has {len(journal):,} bytes, and {place.file_bytes:,} were written")
    later = sorted(_records(journal, (place.run, place.before), number), key=lambda one: one.number)
    if any(one.run != run for one in later):
        raise JournalForeign("it goes on where a newer store ended")
    for expected, one in enumerate(later, number + 1):
        if one.number != expected:
            raise JournalDamaged(f"record {expected} is not there, and {one.number} is")
    return later


def _place(journal: Bytes) -> Place:
    if len(journal) >= PAGE_BYTES and journal[: len(_PLACE_MARK)] == _PLACE_MARK:
        head = journal[: _PLACE.size]
        if _CHECK.unpack_from(journal, _PLACE.size) == (crc32(head),):
            return Place(*_PLACE.unpack(head)[1:])
    raise JournalDamaged("its first page is not what was written")


def _records(journal: Bytes, runs: Iterable[bytes], number: int) -> Iterator[Record]:
    """Every whole record of these runs behind that number, wherever a page begins."""
    sought = {_RECORD_MARK + run for run in runs}
    length = len(_RECORD_MARK) + RUN_BYTES
    for at in range(PAGE_BYTES, len(journal), PAGE_BYTES):
        if journal[at : at + length] in sought and (found := _record_at(journal, at, number)) is not None:
            yield found


def _record_at(journal: Bytes, at: int, number: int) -> Record | None:
    """The record that begins there, if it is a whole one behind that number."""
    head = journal[at : at + _BODY_AT]
    _, run, found, size = _RECORD.unpack_from(head)
    if found <= number:
        return None
    body = journal[at + _BODY_AT : at + _BODY_AT + size]
    whole = _CHECK.unpack_from(head, _RECORD.size) == (crc32(body, crc32(head[: _RECORD.size])),)
    return Record(run, found, _decode(body)) if whole else None
