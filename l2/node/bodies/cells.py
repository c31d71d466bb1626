"""Where ciphertext rests: cells in files. A cell is a head, which holds the one key to it, and the chunks of a body.

A large body has a file of its own; many small ones share one, written with one sync. Keys lie in heads and nowhere
else, so that to overwrite a head in place is to destroy what it opens; the index, which copies on write, never holds
one. Knows neither records nor grants. docs/spec/records.md, rules REST-1, 2, 4 and 6.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import RawIOBase
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

from l1.ground.codec import Shape
from l1.ground.faults import Fault, require
from l2.node.bodies.entropy import Entropy
from l2.node.bodies.files import STAYS_BYTES, make_folder, open_private, remove, sweep, sync, write_whole
from l2.node.bodies.index import Index
from l2.records.keys import BOX_OVERHEAD, KEY_BYTES, NONCE_BYTES, box, unbox
from l2.records.limits import SEALED_CHUNK_BYTES

__all__ = ["HEAD_BYTES", "Cell", "Cells", "ReadShort", "is_short_cell", "place_key"]

_EPOCH_BYTES = 4
HEAD_BYTES = _EPOCH_BYTES + BOX_OVERHEAD + KEY_BYTES
_READ_FIRST_BYTES = 8 * 1024  # of a file in which a short cell lies: it may have some neighbours, or a few hundred ...
_READ_AHEAD_BYTES = 64 * 1024  # ... and where one of them is wanted, more are
RUN_CHUNKS = 16  # read, opened and hashed at once: a megabyte
FEW_CHUNKS = 4  # read and sealed anew at once: what comes in and goes out stays in a processor's own cache
FILE_BYTES = 16
PLACE_BYTES = 32


class Cell(Shape, frozen=True):
    """`size` is that of the ciphertext, `place` what its chunks are bound to."""

    file: bytes
    offset: int
    size: int
    place: bytes


def is_short_cell(cell: Cell) -> bool:
    """Whether it holds one chunk."""
    return cell.size <= SEALED_CHUNK_BYTES


ReadShort = Callable[[Cell], tuple[bytes, bytes]]
"""Head and chunk of a short cell."""


class Cells:
    """All cells of a hospital. Every method is synchronous and safe in worker threads; what returned is durable."""

    def __init__(self, folder: Path, index: Index, entropy: Entropy) -> None:
        self._folder = make_folder(folder)
        self._prefix = f"{self._folder}{os.sep}"
        self.index, self.entropy = index, entropy
        self.places = index.table("places")

    def path(self, file: bytes) -> Path:
        return self._folder / file.hex()

    def new_file(self) -> bytes:
        return self.entropy(FILE_BYTES)

    def new_place(self) -> bytes:
        return self.entropy(PLACE_BYTES)

    # -- heads

    def head(self, key: bytes, what: bytes, place: bytes) -> bytes:
        """[REST-2] A key boxed under the newest epoch's key; `what` it is and its cell's `place` are bound in."""
        ring = self.index.ring
        return ring.epoch.to_bytes(_EPOCH_BYTES, "big") + box(ring.key, key, what + place, self.entropy(NONCE_BYTES))

    def heads(self, keys: Sequence[tuple[bytes, bytes]], what: bytes) -> list[bytes]:
        """The same for many: key and place of each."""
        ring = self.index.ring
        epoch, key = ring.epoch.to_bytes(_EPOCH_BYTES, "big"), ring.key
        nonces = self.entropy(len(keys) * NONCE_BYTES)
        return [
            epoch + box(key, one, what + place, nonces[at * NONCE_BYTES : (at + 1) * NONCE_BYTES])
            for at, (one, place) in enumerate(keys)
        ]

    def unhead(self, head: bytes, what: bytes, place: bytes) -> bytes:
        """Raises `Refused` (BAD_CIPHERTEXT): another key, another place, destroyed or damaged."""
        require(len(head) == HEAD_BYTES, Fault.BAD_CIPHERTEXT, "a cell without a head")
        return unbox(self.index.ring.of(int.from_bytes(head[:_EPOCH_BYTES], "big")), head[_EPOCH_BYTES:], what + place)

    def key(self, cell: Cell, what: bytes) -> bytes:
        """The key in a cell's head. Raises `Refused` (BAD_CIPHERTEXT), `OSError` without the file."""
        return self.unhead(self.read_head(cell), what, cell.place)

    def read_head(self, cell: Cell) -> bytes:
        with self.path(cell.file).open("rb") as file:
            file.seek(cell.offset)
            return file.read(HEAD_BYTES)

    @contextmanager
    def reading_short(self) -> Iterator[ReadShort]:
        """Reads head and chunk of short cells; of several that lie in one file, one after the other, those behind the
        first are read with one call. Cells that are read in the order of `place_key` cost the least."""
        reader = _ShortReader(self._prefix)
        try:
            yield reader.read
        finally:
            reader.close()

    def set_heads(self, heads: Iterable[tuple[Cell, bytes]]) -> None:
        """Overwrite heads in place, each file with one sync."""
        ordered = sorted(heads, key=lambda pair: (pair[0].file, pair[0].offset))
        for name, pairs in groupby(ordered, key=lambda pair: pair[0].file):
            with self.path(name).open("r+b", buffering=0) as file:
                handle = file.fileno()
                for cell, head in pairs:
                    written = os.pwrite(handle, head, cell.offset)
                    assert written == len(head), "a head of less than a block is written whole"
                os.fsync(handle)

    # -- writing

    def write_pack(self, bodies: Sequence[tuple[bytes, bytes, bytes]]) -> list[Cell]:
        """Short bodies, each as head, ciphertext and place, in one new file."""
        name, offset = self.new_file(), 0
        cells: list[Cell] = []
        for head, chunk, place in bodies:
            cells.append(Cell(name, offset, len(chunk), place))
            offset += len(head) + len(chunk)
        write_whole(self.path(name), (part for head, chunk, _ in bodies for part in (head, chunk)))
        return cells

    def open_file(self, name: bytes) -> BinaryIO:
        """A file to write chunks into by position (`seat`); `sync` makes it durable."""
        return open_private(self.path(name))

    def sync(self, name: bytes) -> None:
        sync(self.path(name))

    @staticmethod
    def seat(index: int) -> int:
        """Where a chunk begins in a file that is one cell."""
        return HEAD_BYTES + index * SEALED_CHUNK_BYTES

    # -- reading

    def runs(self, cell: Cell) -> Iterator[bytes]:
        """The ciphertext, in order, in runs of some chunks. What was read of a long cell leaves the memory again.
        Source: posix_fadvise(2)."""
        run, begin = RUN_CHUNKS * SEALED_CHUNK_BYTES, cell.offset + HEAD_BYTES
        with self.path(cell.file).open("rb", buffering=0) as file:
            handle = file.fileno()
            file.seek(begin)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_SEQUENTIAL)
            for at in range(0, cell.size, run):
                yield _read_whole(file, min(run, cell.size - at))
                if cell.size > STAYS_BYTES:
                    os.posix_fadvise(handle, begin, at, os.POSIX_FADV_DONTNEED)

    def chunks(self, cell: Cell, first: int, end: int) -> Iterator[memoryview]:
        """The ciphertext of consecutive chunks, a few at a time and always in the same memory: it holds until the next
        ones are asked for. Raises `Refused` (BAD_CIPHERTEXT) where the file is cut short."""
        handle = os.open(self._prefix + cell.file.hex(), os.O_RDONLY)
        try:
            with memoryview(bytearray(FEW_CHUNKS * SEALED_CHUNK_BYTES)) as room:
                for index in range(first, end, FEW_CHUNKS):
                    until = min(cell.size, min(end, index + FEW_CHUNKS) * SEALED_CHUNK_BYTES)
                    with room[: until - index * SEALED_CHUNK_BYTES] as here:
                        size = os.preadv(handle, [here], cell.offset + self.seat(index))
                        require(size == len(here), Fault.BAD_CIPHERTEXT, "the record's file is cut short")
                        yield here
        finally:
            os.close(handle)

    def has(self, cell: Cell) -> bool:
        return os.path.exists(self._prefix + cell.file.hex())

    # -- destroying

    def destroy(self, cells: Iterable[Cell]) -> None:
        """[REST-6] Overwrite heads, and what short bodies hold, in place; with one sync for each file. A file that is
        gone already is no fault."""
        ordered = sorted(cells, key=lambda cell: (cell.file, cell.offset))
        for name, group in groupby(ordered, key=lambda cell: cell.file):
            try:
                file = self.path(name).open("r+b")
            except FileNotFoundError:
                continue  # tidied away, perhaps a moment ago
            with file:
                for cell in group:
                    file.seek(cell.offset)
                    file.write(bytes(HEAD_BYTES + min(cell.size, SEALED_CHUNK_BYTES)))
                file.flush()
                os.fsync(file.fileno())

    def tidy(self, files: Iterable[bytes]) -> None:
        """Remove those of the files that no cell is left in."""
        for name in set(files):
            if not self.places.has(name):
                remove(self.path(name))

    def sweep_unfinished(self) -> None:
        """Remove what a crash left half-written."""
        sweep(self._folder)

    def sweep_orphans(self) -> None:
        """Remove files that no row knows: a crash came between them and their rows."""
        for path in list(self._folder.iterdir()):
            if not self.places.has(bytes.fromhex(path.name)):
                path.unlink(missing_ok=True)


class _ShortReader:
    """One file at a time is open, and a part of it in memory."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._file, self._handle = b"", -1
        self._begin, self._data = 0, b""

    def read(self, cell: Cell) -> tuple[bytes, bytes]:
        """Raises `OSError` without the file."""
        size = HEAD_BYTES + cell.size
        at = cell.offset - self._begin
        if cell.file != self._file or not 0 <= at <= len(self._data) - size:
            # A file that is met for the first time may hold little else that is wanted.
            ahead = _READ_AHEAD_BYTES if cell.file == self._file else _READ_FIRST_BYTES
            self._open(cell.file)
            self._begin, self._data, at = cell.offset, os.pread(self._handle, max(size, ahead), cell.offset), 0
        return self._data[at : at + HEAD_BYTES], self._data[at + HEAD_BYTES : at + size]

    def _open(self, file: bytes) -> None:
        if file != self._file:
            self.close()
            self._handle, self._file = os.open(self._prefix + file.hex(), os.O_RDONLY), file

    def close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
        self._file, self._handle, self._data = b"", -1, b""


def _read_whole(file: RawIOBase, size: int) -> bytes:
    data = file.read(size) or b""
    require(len(data) == size, Fault.BAD_CIPHERTEXT, "the record's file is cut short")
    return data


def place_key(cell: Cell) -> bytes:
    """A cell's key in the table of places."""
    return cell.file + cell.offset.to_bytes(8, "big")
