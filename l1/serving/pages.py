"""Whether the pages of an LMDB file fit together, read without LMDB.

LMDB keeps no checksums and trusts its pages: a damaged number in one can make it read past the mapping, which ends the
process by a signal, unheard, or lose rows without a word. So before a file is opened, and beside a process that has it
open, every page that holds a tree together is walked: page numbers, kinds, bounds, the order of the keys, the counts of
the meta page, and that no page is in use twice or free as well. What the rows say is not known here.
Source: LMDB 0.9 lmdb.h and mdb.c (MDB_page, MDB_node, MDB_db, MDB_meta), 64 bit, little-endian.
"""

import mmap
import struct
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from l1.ground.faults import Fault, Refused, require

__all__ = ["PAGE_BYTES", "check_metas", "check_pages"]

PAGE_BYTES = mmap.PAGESIZE  # LMDB takes the machine's; a file of another kind of machine is not read here

_MAGIC, _VERSION = 0xBEEFC0DE, 1
_META_PAGES = 2
_BRANCH, _LEAF, _OVERFLOW, _META = 1, 2, 4, 8
_HEADER = struct.Struct("<QHHHH")  # page number, pad, flags, lower, upper (or the count of overflow pages, as one)
_DB = struct.Struct("<IHHQQQQQ")  # pad, flags, depth, branch, leaf and overflow pages, entries, root
_NODE = struct.Struct("<HHHH")  # data size or child (low, high), flags (or child, highest), key size
_BIG, _SUB, _DUPLICATES = 1, 2, 4  # flags of a leaf's node: value on overflow pages, a database, many values
_INTEGER_KEYS, _NO_FOLDER = 8, 0x4000  # flags of a file's free list and its environment; no others are used here
_NO_ROOT = 2**64 - 1
_DEPTH_MAX = 32
_META_AT = 16  # after the page's header: magic, version, address, size of the map
_DBS_AT = _META_AT + 24
_LAST_AT = _DBS_AT + 2 * _DB.size  # last page, number of the transaction


class _Database(NamedTuple):
    """What a meta page, or a node, says of a tree."""

    pad: int
    flags: int
    depth: int
    branch_pages: int
    leaf_pages: int
    overflow_pages: int
    entries: int
    root: int


class _Meta(NamedTuple):
    free: _Database
    main: _Database
    last_page: int
    transaction: int


def check_pages(path: Path, transaction: int | None = None) -> int | None:
    """Walk the newest tree, or the one of a transaction that a reader holds open. The number of the last page.

    None where that transaction's tree is not in the file any more, and for a file that is empty or not there.
    Raises `Refused` (MALFORMED) for pages that do not fit together.
    """
    if not path.exists() or path.stat().st_size == 0:
        return None
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        metas = _metas(data)
        found = max(metas, key=lambda meta: meta.transaction)
        if transaction is not None:
            found = next((meta for meta in metas if meta.transaction == transaction), found)
            if found.transaction != transaction:
                return None
        _Walk(data, found).whole()
        return found.last_page


def check_metas(path: Path) -> None:
    """Whether LMDB may open the file at all, beside a process that writes to it. Raises `Refused` (MALFORMED)."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        _metas(data)


def _metas(data: mmap.mmap) -> list[_Meta]:
    require(len(data) >= _META_PAGES * PAGE_BYTES, Fault.MALFORMED, "the file was cut: no page is whole")
    return [_meta(data, number) for number in range(_META_PAGES)]


def _meta(data: mmap.mmap, number: int) -> _Meta:
    at = number * PAGE_BYTES
    page, _, flags, _, _ = _HEADER.unpack_from(data, at)
    magic, version, address = struct.unpack_from("<IIQ", data, at + _META_AT)
    free, main = (_Database(*_DB.unpack_from(data, at + _DBS_AT + which * _DB.size)) for which in (0, 1))
    last, transaction = struct.unpack_from("<QQ", data, at + _LAST_AT)
    known = (page, flags, magic, version, address) == (number, _META, _MAGIC, _VERSION, 0)
    plain = (free.pad, free.flags & ~_NO_FOLDER, main.flags) == (PAGE_BYTES, _INTEGER_KEYS, 0)
    require(known and plain, Fault.MALFORMED, f"meta page {number} is damaged")
    return _Meta(free, main, last, transaction)


class _Walk:
    """One pass over everything that a meta page reaches."""

    def __init__(self, data: mmap.mmap, meta: _Meta) -> None:
        self._data, self._meta = data, meta
        require(meta.last_page < 2**40, Fault.MALFORMED, "the number of the last page is damaged")
        self._pages = len(data) // PAGE_BYTES
        self._used = bytearray(meta.last_page + 1)
        self._used[:_META_PAGES] = b"\1" * _META_PAGES
        self._counts = [0, 0, 0, 0]  # branch, leaf and overflow pages, entries, of the tree at hand

    def whole(self) -> None:
        free = [page for _, value in self._tree(self._meta.free, numbers=True) for page in self._freed(value)]
        for page in free:
            self._take(page, 1, "free")
        for _, value in list(self._tree(self._meta.main, named=True)):
            require(len(value) == _DB.size, Fault.MALFORMED, "what it says of a database is damaged")
            for _ in self._tree(_Database(*_DB.unpack(value))):
                pass

    def _freed(self, value: bytes) -> Iterator[int]:
        count = int.from_bytes(value[:8], "little")
        require(len(value) % 8 == 0 and 8 + 8 * count <= len(value), Fault.MALFORMED, "the list of free pages")
        yield from struct.unpack_from(f"<{count}Q", value, 8)

    def _take(self, page: int, count: int, what: str) -> None:
        inside = page >= _META_PAGES and page + count <= len(self._used)
        require(inside, Fault.MALFORMED, f"page {page} lies outside the file")
        require(not any(self._used[page : page + count]), Fault.MALFORMED, f"page {page} ({what}) is in use twice")
        self._used[page : page + count] = b"\1" * count

    def _tree(
        self, database: _Database, *, numbers: bool = False, named: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """The values of a tree that are wanted (free pages, databases), once all its pages were walked."""
        self._counts = [0, 0, 0, 0]
        found: list[tuple[bytes, bytes]] = []
        if database.root != _NO_ROOT:
            require(0 < database.depth <= _DEPTH_MAX, Fault.MALFORMED, "a tree's depth is damaged")
            self._page(
                database.root, database.depth, (None, None), found if numbers or named else None, numbers=numbers
            )
        said = [database.branch_pages, database.leaf_pages, database.overflow_pages, database.entries]
        require(said == self._counts, Fault.MALFORMED, "a tree has not as many pages or rows as the file says")
        yield from found

    def _page(
        self,
        page: int,
        depth: int,
        bounds: tuple[bytes | None, bytes | None],
        found: list[tuple[bytes, bytes]] | None,
        *,
        numbers: bool,
    ) -> None:
        self._take(page, 1, "tree")
        require(page < self._pages, Fault.MALFORMED, f"the file was cut: page {page} is not there")
        at = page * PAGE_BYTES
        number, _, flags, lower, upper = _HEADER.unpack_from(self._data, at)
        kind = _LEAF if depth == 1 else _BRANCH
        known = (number, flags) == (page, kind)
        require(known and 16 <= lower <= upper <= PAGE_BYTES, Fault.MALFORMED, f"page {page} is damaged")
        count = (lower - 16) // 2
        self._counts[0 if kind == _BRANCH else 1] += 1
        body = self._data[at : at + PAGE_BYTES]
        nodes = list(self._nodes(page, body, struct.unpack_from(f"<{count}H", body, 16), upper))
        keys = [key for key, _, _ in nodes]
        _check_order(page, keys[kind == _BRANCH :], bounds, numbers=numbers)
        if kind == _BRANCH:
            require(count > 1 or depth > 1, Fault.MALFORMED, f"page {page} is damaged")
            ends = [*keys[1:], bounds[1]]
            for first, end, (_, head, _) in zip([bounds[0], *keys[1:]], ends, nodes, strict=True):
                child = head[0] | head[1] << 16 | head[2] << 32
                self._page(child, depth - 1, (first, end), found, numbers=numbers)
            return
        self._counts[3] += count
        for key, head, start in nodes:
            value = self._value(page, body, head, start, wanted=found is not None)
            if found is not None:
                require(numbers or head[2] == _SUB, Fault.MALFORMED, "a database's own row is damaged")
                found.append((key, value))

    def _nodes(
        self, page: int, body: bytes, places: tuple[int, ...], upper: int
    ) -> Iterator[tuple[bytes, tuple[int, int, int, int], int]]:
        """Key, head and start of the value of every node of a page."""
        last = PAGE_BYTES - _NODE.size
        for place in places:
            require(upper <= place <= last and place % 2 == 0, Fault.MALFORMED, f"page {page} is damaged")
            head = _NODE.unpack_from(body, place)
            start = place + _NODE.size + head[3]
            require(start <= PAGE_BYTES, Fault.MALFORMED, f"a key on page {page} is damaged")
            yield body[place + _NODE.size : start], head, start

    def _value(self, page: int, body: bytes, head: tuple[int, int, int, int], start: int, *, wanted: bool) -> bytes:
        low, high, flags, _ = head
        size = low | high << 16
        require(flags in (0, _BIG, _SUB), Fault.MALFORMED, f"a row on page {page} is damaged")
        if flags != _BIG:
            require(start + size <= PAGE_BYTES, Fault.MALFORMED, f"a row on page {page} is damaged")
            return body[start : start + size] if wanted else b""
        require(start + 8 <= PAGE_BYTES, Fault.MALFORMED, f"a row on page {page} is damaged")
        return self._overflow(int.from_bytes(body[start : start + 8], "little"), size, wanted=wanted)

    def _overflow(self, first: int, size: int, *, wanted: bool) -> bytes:
        """A value on pages of its own; more of them than it needs, where a longer one stood there before."""
        needed = -(-(16 + size) // PAGE_BYTES)
        require(first + needed <= self._pages, Fault.MALFORMED, f"the file was cut: page {first} is not there")
        at = first * PAGE_BYTES
        number, _, kind, low, high = _HEADER.unpack_from(self._data, at)
        count = low | high << 16
        known = (number, kind) == (first, _OVERFLOW) and count >= needed
        require(known, Fault.MALFORMED, f"page {first} is damaged")
        self._take(first, count, "row")
        self._counts[2] += count
        return self._data[at + 16 : at + 16 + size] if wanted else b""


def _check_order(page: int, keys: list[bytes], bounds: tuple[bytes | None, bytes | None], *, numbers: bool) -> None:
    """Keys rise, and lie within what the pages above say of this one."""
    if not keys:
        return
    first, end = bounds
    if numbers:
        keys = [key[::-1] for key in keys]  # little-endian on disk
        first, end = (None if bound is None else bound[::-1] for bound in bounds)
    rises = all(before < after for before, after in pairwise(keys))
    inside = (first is None or first <= keys[0]) and (end is None or keys[-1] < end)
    if not (rises and inside):
        raise Refused(Fault.MALFORMED, f"the keys on page {page} are damaged")
