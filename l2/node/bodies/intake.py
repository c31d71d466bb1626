"""A content on its way in, in pieces of any size: hashed, packed, sealed and written as it comes.

What is short stays in memory, to be written together with others. Of what is long, chunks go to a file of their own as
they fill; the first, which holds the content's size, is written last. Knows files and cells, not what a record is.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from l1.ground.faults import Fault, LocalError, Refused, require
from l2.node.bodies.cells import Cell, Cells
from l2.node.bodies.files import remove
from l2.records.body import open_chunks, pack, seal_chunks
from l2.records.cipher import BodyCipher, Octets
from l2.records.envelope import look_bytes_max
from l2.records.keys import KEY_BYTES
from l2.records.limits import (
    CHUNK_BYTES,
    CONTENT_BYTES_MAX,
    LOOK_OTHER_BYTES,
    UNPACKED_BYTES_MAX,
)
from l2.records.packing import HEAD_BYTES, RAW, SALT_BYTES, Packer, Unpacked, content_bytes_max, head_of
from l2.records.runs import sealed_size

__all__ = ["RECORD_KEY", "Intake", "Seen", "Taken", "seal_short"]

RECORD_KEY = b"record key"
"""What a cell's head holds of a record: bound into the box."""

_SHORT_BYTES = 1024 * 1024  # longer contents are packed and sealed while they come
_GZIP = b"\x1f\x8b\x08"
_NOT_YET = -1  # the last chunk is not among those
_PART_BYTES = 256 * 1024


@dataclass(frozen=True)
class Taken:
    """What has come in. `short` is the content where that is in memory, `cell` where it lies otherwise. `seen` is what
    may be looked at to tell what it is: all of it, or (`whole` is False) its begin."""

    digest: bytes
    size: int
    seen: bytes
    whole: bool
    short: bytes | None = None
    cell: Cell | None = None


class Seen:
    """As much of a content's begin as may be looked at: JSON whole, of other things the head."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self.whole = True

    def add(self, piece: Octets) -> None:
        if self.whole:
            self._bytes += piece
            if len(self._bytes) > LOOK_OTHER_BYTES and len(self._bytes) > (most := look_bytes_max(self._bytes)):
                del self._bytes[most:]
                self.whole = False

    @property
    def bytes(self) -> bytes:
        return bytes(self._bytes)


class Intake:
    """One content. Call `feed` for each piece, then `finish`; or `abandon`. Synchronous, for one thread at a time."""

    def __init__(self, cells: Cells, *, gzip: bool = True) -> None:
        """`gzip`: of a gzip file, take in what is inside."""
        self._cells = cells
        self._unzip: _Unzip | None = None
        self._gzip, self._begun = gzip, False
        self._hasher, self._size = sha256(), 0
        self._seen = Seen()
        self._short = bytearray()
        self._long: _Long | None = None

    def feed(self, piece: bytes) -> None:
        """Raises `Refused` for a damaged gzip file, `LocalError` for too much."""
        if not self._begun and self._gzip:
            piece = bytes(self._short) + piece
            self._short.clear()
            if len(piece) < len(_GZIP) and _GZIP.startswith(piece):
                self._short += piece
                return
            self._unzip = _Unzip() if piece.startswith(_GZIP) else None
        self._begun = True
        for part in (piece,) if self._unzip is None else self._unzip.feed(piece):
            self._take(part)

    def _take(self, piece: bytes) -> None:
        self._hasher.update(piece)
        self._size += len(piece)
        if self._size > CONTENT_BYTES_MAX:
            raise LocalError(f"the record has over {CONTENT_BYTES_MAX} bytes", "Larger ones are shared in parts.")
        self._seen.add(piece)
        if self._long is None:
            self._short += piece
            if len(self._short) <= _SHORT_BYTES:
                return
            self._long = _Long(self._cells, bytes(self._short))
            piece, self._short = bytes(self._short), bytearray()
        self._long.feed(piece)

    def finish(self) -> Taken:
        """Everything is here; what is long is durable."""
        if self._unzip is not None:
            self._unzip.finish()
        elif not self._begun:
            short, self._short = bytes(self._short), bytearray()
            self._take(short)
        digest, size, seen, whole = self._hasher.digest(), self._size, self._seen.bytes, self._seen.whole
        if self._long is None:
            return Taken(digest, size, seen, whole, short=bytes(self._short))
        return Taken(digest, size, seen, whole, cell=self._long.finish(size))

    def abandon(self) -> None:
        """Nothing of it stays."""
        if self._long is not None:
            self._long.abandon()


class _Long:
    """A long content on its way into a cell of its own."""

    def __init__(self, cells: Cells, first: bytes) -> None:
        self._cells = cells
        self._name, self._place = cells.new_file(), cells.new_place()
        self._key, self._salt = cells.entropy(KEY_BYTES), cells.entropy(SALT_BYTES)
        self._cipher = BodyCipher(self._key, self._place)
        self._packer = Packer(first)
        self._file = cells.open_file(self._name)
        self._first: bytes | None = None
        self._kept = bytearray(HEAD_BYTES)  # room for the head, which is known at the end
        self._count = 0

    def feed(self, piece: bytes) -> None:
        self._kept += self._packer.feed(piece)
        if len(self._kept) > CHUNK_BYTES * 16:
            self._drain()

    def _drain(self) -> None:
        """Seal and write what is surely not the last chunk."""
        full = (len(self._kept) - 1) // CHUNK_BYTES
        if full <= 0:
            return
        begin = 0
        with memoryview(self._kept) as kept:
            if self._count == 0:
                self._first, begin = bytes(kept[:CHUNK_BYTES]), 1  # sealed once, at the end
            self._file.seek(self._cells.seat(self._count + begin))
            with kept[begin * CHUNK_BYTES : full * CHUNK_BYTES] as run:
                sealed = bytearray(sealed_size(len(run)))
                with memoryview(sealed) as into:
                    self._cipher.seal_run(run, self._count + begin, _NOT_YET, into)
                self._file.write(sealed)
        self._count += full
        del self._kept[: full * CHUNK_BYTES]

    def finish(self, size: int) -> Cell:
        self._kept += self._packer.finish()
        self._drain()
        begin, last = head_of(self._salt, self._packer.codec, size), bytes(self._kept)
        if self._first is None:
            first, only = begin + last[HEAD_BYTES:], True
        else:
            first, only = begin + self._first[HEAD_BYTES:], False
            self._file.seek(self._cells.seat(self._count))
            self._file.write(self._cipher.seal(last, self._count, True))
        self._file.seek(0)
        self._file.write(self._cells.head(self._key, RECORD_KEY, self._place))
        self._file.write(self._cipher.seal(first, 0, only))
        self._file.flush()
        cipher_size = self._file.seek(0, 2) - self._cells.seat(0)
        self._file.close()
        cell = Cell(self._name, 0, cipher_size, self._place)
        if self._packer.codec != RAW and size > content_bytes_max(cipher_size):
            return self._again_raw(cell)
        self._cells.sync(self._name)
        return cell

    def _again_raw(self, cell: Cell) -> Cell:
        # [BODY-6] It shrank so much that a recipient would take it for a bomb: it is kept, and sent, as it is.
        unpacked = Unpacked(open_chunks(self._cells.runs(cell), cell.size, self._cipher), CONTENT_BYTES_MAX)
        key, place, name = self._cells.entropy(KEY_BYTES), self._cells.new_place(), self._cells.new_file()

        def parts() -> Iterator[Octets]:
            yield head_of(self._salt, RAW, unpacked.size)
            yield from unpacked

        with self._cells.open_file(name) as file:
            file.write(self._cells.head(key, RECORD_KEY, place))
            file.writelines(seal_chunks(parts(), BodyCipher(key, place)))
            size = file.tell() - self._cells.seat(0)
        self._cells.sync(name)
        remove(self._cells.path(self._name))
        return Cell(name, 0, size, place)

    def abandon(self) -> None:
        self._file.close()
        remove(self._cells.path(self._name))


def seal_short(cells: Cells, content: bytes) -> list[bytes] | tuple[bytes, bytes, bytes]:
    """A short content as head, the one chunk and place; or, if it fills more chunks, as the parts of a file."""
    key, place = cells.entropy(KEY_BYTES), cells.new_place()
    body = pack(content, cells.entropy(SALT_BYTES))
    head, cipher = cells.head(key, RECORD_KEY, place), BodyCipher(key, place)
    if len(body) <= CHUNK_BYTES:
        return head, cipher.seal(body, 0, True), place
    return [place, head, *seal_chunks([body], cipher)]


class _Unzip:
    """[INFO-4] A gzip file, every member, within bounds of size and of memory."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)
        self._between = False  # members may be padded with zeros (RFC 1952, gzip's own habit)
        self._total = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._between:
                data = data.lstrip(b"\x00")
                if not data:
                    return
                self._member, self._between = zlib.decompressobj(wbits=31), False
            try:
                part = self._member.decompress(data, _PART_BYTES)
            except zlib.error as error:
                raise Refused(Fault.MALFORMED, f"a damaged gzip file ({error})") from None
            self._total += len(part)
            bounded = self._total <= UNPACKED_BYTES_MAX
            require(bounded, Fault.TOO_LARGE, f"a gzip file that opens to more than {UNPACKED_BYTES_MAX} bytes")
            if part:
                yield part
            data = self._member.unconsumed_tail
            if self._member.eof:
                data, self._between = self._member.unused_data, True

    def finish(self) -> None:
        require(self._between, Fault.MALFORMED, "a gzip file that is cut short")
