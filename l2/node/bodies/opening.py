"""What a release is followed by: bodies are opened, verified to the last byte, and stay where they are as records.

The body's own key replaces the one-time key in the cell's head; so a record that arrived is never sealed again, and
its one-time key is destroyed with the same write. Many at once cost two syncs. docs/spec/records.md, PULL-7.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

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

Agree = Callable[[bytes, bytes], bytes]


@dataclass(frozen=True)
class Released:
    """A grant whose secret has come."""

    grant: int
    secret: bytes


class _Opened(NamedTuple):
    """A body that is what was granted: its key, and the record that it is."""

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
    ) -> dict[int, Record | Refused | LocalError]:
        """What became of each grant: its record; or `Refused` where it does not open to what was granted, and
        `LocalError` where the ciphertext is not here. Safe to repeat."""
        outcome: dict[int, Record | Refused | LocalError] = {}
        opened: list[tuple[int, _Opened]] = []
        agreed, unpacker = _agreeing(), new_unpacker()
        with self._cells.reading_short() as read_short:
            tools = _Tools(agreed, read_short, unpacker)
            for one in released:
                row = self._incoming.find(channel, one.grant)
                known = self._records.find_received(channel, one.grant) if row is None else None
                if known is not None:
                    outcome[one.grant] = known
                    continue
                try:
                    origin = Origin(channel=channel, grant=one.grant, custodian=custodian)
                    opened.append(
                        (one.grant, self._open(require_complete(row), one.secret, origin, name, now_ms, tools))
                    )
                except (Refused, LocalError) as error:
                    outcome[one.grant] = error
        cells = [done.record.cell for _, done in opened]
        keys = [(done.key, cell.place) for (_, done), cell in zip(opened, cells, strict=True)]
        self._cells.set_heads(zip(cells, self._cells.heads(keys, RECORD_KEY), strict=True))
        rows = [row for _, done in opened for row in self._records.rows_of(done.record)]
        self._incoming.end(channel, [grant for grant, _ in opened], rows)
        return outcome | {grant: done.record for grant, done in opened}

    def _open(self, row: Waiting, secret: bytes, origin: Origin, name: str, now_ms: int, tools: _Tools) -> _Opened:
        body, cell = row.body, row.cell
        require(lock_of(secret) == body.lock, Fault.BAD_DIGEST, "the secret does not open the grant's lock")
        head, chunk = tools.read_short(cell) if is_short_cell(cell) else (self._cells.read_head(cell), None)
        key = self._key(row, head, secret, tools.agreed)
        require(key_digest(key) == body.key, Fault.BAD_DIGEST, "the key is not the one that the grant names")
        cipher = BodyCipher(key, cell.place)
        if chunk is None:
            taken = self._open_long(cell, cipher, body.content, tools)
        else:
            content, digest = open_short(chunk, cipher, body.content, tools.unpacker)
            taken = Taken(digest, len(content), content, whole=True)
        info = look(taken)
        if info.label < body.label:
            info = replace(info, label=body.label)
        id_ = self._records.id_of(taken.digest, origin)
        return _Opened(key, Record(id_, name, taken.size, now_ms, info, taken.digest, cell, origin))

    def _open_long(self, cell: Cell, cipher: BodyCipher, granted: bytes, tools: _Tools) -> Taken:
        hasher, size, seen = sha256(), 0, Seen()
        runs = ahead(self._cells.runs(cell))
        for piece in open_body(runs, cell.size, cipher, granted, hasher, spread=beside, unpacker=tools.unpacker):
            size += len(piece)
            seen.add(piece)
        return Taken(hasher.digest(), size, seen.bytes, seen.whole)

    def _key(self, row: Waiting, head: bytes, secret: bytes, agreed: Agree) -> bytes:
        try:
            one_time = self._cells.unhead(head, ONE_TIME_KEY, row.cell.place)
        except Refused:
            # A crash came between the head and the row: the key that is due there is there already.
            return self._cells.unhead(head, RECORD_KEY, row.cell.place)
        shared = agreed(one_time, row.peer_one_time)
        return unwrap(row.wrapped, shared=shared, secret=secret, place=row.cell.place, root=row.body.cipher_root)


def _agreeing() -> Agree:
    """`agree`, once for every pair of keys: grants that came in one pull share theirs."""
    known: dict[tuple[bytes, bytes], bytes] = {}

    def agreed(private: bytes, public: bytes) -> bytes:
        pair = private, public
        if pair not in known:
            known[pair] = agree(private, public)
        return known[pair]

    return agreed
