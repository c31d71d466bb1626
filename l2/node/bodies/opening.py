"""What a release is followed by: bodies are opened, verified to the last byte, and stay where they are as records.

The body's own key replaces the one-time key in the cell's head; so a record that arrived is never sealed again, and
its one-time key is destroyed with the same write. Many at once cost two syncs. docs/spec/records.md, PULL-7.
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple, TypeVar

from msgspec.structs import replace
from zstandard import ZstdDecompressor

from l1.ground.faults import Fault, LocalError, Refused, require
from l2.node.bodies.beside import ahead, beside
from l2.node.bodies.cells import Cell, Cells, ReadShort, is_short_cell
from l2.node.bodies.incoming import ONE_TIME_KEY, Incoming, Waiting, require_complete
from l2.node.bodies.intake import RECORD_KEY, Seen, Taken
from l2.node.bodies.store import Origin, Record, RecordStore, look
from l2.records.body import open_body, open_short
from l2.records.cipher import BodyCipher
from l2.records.keys import agree, key_digest, lock_of, unwrap
from l2.records.packing import new_unpacker

__all__ = ["Opener", "Released"]

_TOGETHER = 64  # bodies that are opened together: of short ones at most 4 MiB

Agree = Callable[[bytes, bytes], bytes]
Outcome = dict[int, Record | Refused | LocalError]
Item = TypeVar("Item")
Made = TypeVar("Made")


class Released(NamedTuple):
    """A grant whose secret has come."""

    grant: int
    secret: bytes


class _Unlocked(NamedTuple):
    """A body whose key is known to be the granted one; `chunk` is all of a short one."""

    row: Waiting
    origin: Origin
    key: bytes
    chunk: bytes | None


class _Opened(NamedTuple):
    """A body that is what was granted."""

    row: Waiting
    origin: Origin
    key: bytes
    taken: Taken


class _Kept(NamedTuple):
    """Its key, and the record that it is."""

    key: bytes
    record: Record


class _Tools(NamedTuple):
    """What is made once for many."""

    agreed: Agree
    read_short: ReadShort
    unpacker: ZstdDecompressor


class Opener:
    """Synchronous, safe in worker threads; what returned is durable."""

    def __init__(self, cells: Cells, incoming: Incoming, records: RecordStore) -> None:
        self._cells, self._incoming, self._records = cells, incoming, records

    def keep(
        self, channel: bytes, released: Sequence[Released], *, custodian: bytes, name: str = "", now_ms: int
    ) -> Outcome:
        """What became of each grant: its record; or `Refused` where it does not open to what was granted, and
        `LocalError` where the ciphertext is not here. Safe to repeat."""
        outcome: Outcome = {}
        kept: dict[int, _Kept] = {}
        with self._cells.reading_short() as read_short:
            tools = _Tools(_agreeing(), read_short, new_unpacker())
            for start in range(0, len(released), _TOGETHER):
                here: list[tuple[int, tuple[Waiting | None, Released]]] = []
                for one in released[start : start + _TOGETHER]:
                    row = self._incoming.find(channel, one.grant)
                    known = self._records.find_received(channel, one.grant) if row is None else None
                    if known is not None:
                        outcome[one.grant] = known
                    else:
                        here.append((one.grant, (row, one)))
                # One step for all of them, then the next: what a step needs stays in the processor's own cache.
                unlocked = _each(here, lambda one: self._unlock(*one, channel, custodian, tools), outcome)
                opened = _each(unlocked, lambda one: self._open(one, tools), outcome)
                kept |= _each(opened, lambda one: self._record(one, name, now_ms), outcome)
        cells = [one.record.cell for one in kept.values()]
        keys = [(one.key, one.record.cell.place) for one in kept.values()]
        self._cells.set_heads(zip(cells, self._cells.heads(keys, RECORD_KEY), strict=True))
        rows = [row for one in kept.values() for row in self._records.rows_of(one.record)]
        self._incoming.end(channel, kept, rows)
        return outcome | {grant: one.record for grant, one in kept.items()}

    def _unlock(
        self, row: Waiting | None, released: Released, channel: bytes, custodian: bytes, tools: _Tools
    ) -> _Unlocked:
        row = require_complete(row)
        body, cell, secret = row.body, row.cell, released.secret
        require(lock_of(secret) == body.lock, Fault.BAD_DIGEST, "the secret does not open the grant's lock")
        head, chunk = tools.read_short(cell) if is_short_cell(cell) else (self._cells.read_head(cell), None)
        one_time = self._incoming.fresh_one_time(channel, released.grant)
        key = self._key(row, head, one_time, secret, tools.agreed)
        require(key_digest(key) == body.key, Fault.BAD_DIGEST, "the key is not the one that the grant names")
        return _Unlocked(row, Origin(channel=channel, grant=released.grant, custodian=custodian), key, chunk)

    def _open(self, one: _Unlocked, tools: _Tools) -> _Opened:
        cell, granted = one.row.cell, one.row.body.content
        cipher = BodyCipher(one.key, cell.place)
        if one.chunk is None:
            taken = self._open_long(cell, cipher, granted, tools)
        else:
            content, digest = open_short(one.chunk, cipher, granted, tools.unpacker)
            taken = Taken(digest, len(content), content, whole=True)
        return _Opened(one.row, one.origin, one.key, taken)

    def _record(self, one: _Opened, name: str, now_ms: int) -> _Kept:
        taken, granted = one.taken, one.row.body.label
        info = look(taken)
        if info.label < granted:
            info = replace(info, label=granted)
        id_ = self._records.id_of(taken.digest, one.origin)
        return _Kept(one.key, Record(id_, name, taken.size, now_ms, info, taken.digest, one.row.cell, one.origin))

    def _open_long(self, cell: Cell, cipher: BodyCipher, granted: bytes, tools: _Tools) -> Taken:
        hasher, size, seen = sha256(), 0, Seen()
        runs = ahead(self._cells.runs(cell))
        for piece in open_body(runs, cell.size, cipher, granted, hasher, spread=beside, unpacker=tools.unpacker):
            size += len(piece)
            seen.add(piece)
        return Taken(hasher.digest(), size, seen.bytes, seen.whole)

    def _key(self, row: Waiting, head: bytes, one_time: bytes | None, secret: bytes, agreed: Agree) -> bytes:
        try:
            one_time = one_time or self._cells.unhead(head, ONE_TIME_KEY, row.cell.place)
        except Refused:
            # A crash came between the head and the row: the key that is due there is there already.
            return self._cells.unhead(head, RECORD_KEY, row.cell.place)
        shared = agreed(one_time, row.peer_one_time)
        return unwrap(row.wrapped, shared=shared, secret=secret, place=row.cell.place, root=row.body.cipher_root)


def _each(items: Iterable[tuple[int, Item]], step: Callable[[Item], Made], failed: Outcome) -> list[tuple[int, Made]]:
    """What a step makes of each; what cannot be gone on with is noted, and is no other's trouble."""
    made: list[tuple[int, Made]] = []
    for grant, item in items:
        try:
            made.append((grant, step(item)))
        except (Refused, LocalError) as error:
            failed[grant] = error
    return made


def _agreeing() -> Agree:
    """`agree`, once for every pair of keys: grants that came in one pull share theirs."""
    known: dict[tuple[bytes, bytes], bytes] = {}

    def agreed(private: bytes, public: bytes) -> bytes:
        pair = private, public
        if pair not in known:
            known[pair] = agree(private, public)
        return known[pair]

    return agreed
