"""What was granted and not yet released: rows, and no second copy. A body is sealed again whenever it is sent.

Key and salt of a grant's body follow from the record's own key and a nonce, so the same ciphertext comes out each time,
nothing has to be offered, and nothing is left to send once the record is erased. Rows are durable before the grant is
written, since the grant promises a root; so a crash in between leaves a row without a grant, never a grant without a
row. Knows no log and no line. docs/spec/records.md, BODY-8.
"""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256

from zstandard import ZstdDecompressor

from l1.ground.codec import Shape, decoder, encode
from l1.ground.merkle import root_of
from l2.node.bodies.beside import beside
from l2.node.bodies.cells import Cell, Cells, ReadShort, is_short_cell
from l2.node.bodies.index import Table
from l2.node.bodies.intake import RECORD_KEY
from l2.node.bodies.store import Record, RecordStore
from l2.records.body import chunk_count, chunk_hash, in_turn, place_of, regrant
from l2.records.cipher import BodyCipher, Octets
from l2.records.keys import KEY_BYTES, agree, exchange_public, grant_keys, key_digest, lock_of, release_secret, wrap
from l2.records.limits import SEALED_CHUNK_BYTES
from l2.records.packing import Unpacked, new_unpacker

__all__ = ["GrantBody", "Outgoing", "Offered", "Wrapper"]

_ROW_BYTES_MAX = 16 * 1024 * 1024
_NONCE_BYTES = 16


class GrantBody(Shape, frozen=True):
    """What a grant says about its body. Names are those of the grant's own fields."""

    content: bytes
    cipher_root: bytes
    cipher_size: int
    key: bytes
    lock: bytes
    media_type: int
    record_class: int
    label: int


class _Row(Shape, frozen=True):
    record: bytes
    nonce: bytes
    cipher_root: bytes
    hashes: bytes  # of a body of one chunk none are kept: its root is its hash


_decode = decoder(_Row, bytes_max=_ROW_BYTES_MAX, what="outgoing row")


class _Sealer:
    """A record's cell, opened under its own key and sealed for one grant."""

    def __init__(self, cells: Cells, cell: Cell, nonce: bytes, read_short: ReadShort) -> None:
        self._chunk: bytes | None = None
        if is_short_cell(cell):
            head, self._chunk = read_short(cell)
            record_key = cells.unhead(head, RECORD_KEY, cell.place)
        else:
            record_key = cells.key(cell, RECORD_KEY)
        self.cells, self.cell = cells, cell
        self.last = chunk_count(cell.size) - 1
        self.key, self.salt = grant_keys(record_key, nonce)
        self._rest = BodyCipher(record_key, cell.place)

    def to(self, place: bytes) -> None:
        self._sealed = BodyCipher(self.key, place)

    def runs(self) -> Iterable[bytes]:
        """The record's own ciphertext, in order, in runs of some chunks."""
        return self.cells.runs(self.cell) if self._chunk is None else (self._chunk,)

    def read(self, first: int, end: int) -> bytes:
        """Some of it. Raises `Refused` (NO_SUCH_CHUNK)."""
        if self._chunk is not None and (first, end) == (0, 1):
            return self._chunk
        return self.cells.read(self.cell, first, end)

    def open(self, run: bytes, first: int) -> bytearray:
        """What of a run of the record's own chunks is granted."""
        if self._chunk is not None:
            return regrant(bytearray(self._rest.open(run, first, True)), self.salt)
        plain = self._rest.open_run(run, first, self.last)
        return plain if first else regrant(plain, self.salt)

    def seal(self, plain: bytearray, first: int) -> Octets:
        if self._chunk is not None:
            return self._sealed.seal(bytes(plain), first, True)
        return self._sealed.seal_run(plain, first, self.last)


class Wrapper:
    """One pull's agreement on a one-time key: ours is fresh, and forgotten with this object."""

    def __init__(self, one_time: bytes, peer: bytes) -> None:
        """Raises `Refused` (BAD_KEY)."""
        self.public, self.shared = exchange_public(one_time), agree(one_time, peer)


class Offered:
    """One body that can be served: its chunks, their hashes, and its key wrapped for whoever pulls."""

    def __init__(self, sealer: _Sealer, row: _Row, secret: bytes, place: bytes) -> None:
        sealer.to(place)
        self._sealer, self._row, self._secret, self._place = sealer, row, secret, place
        self.cipher_size = sealer.cell.size
        self.hashes = row.hashes or row.cipher_root

    def read(self, first: int, end: int) -> Octets:
        """The ciphertext of consecutive chunks. Raises `Refused` (NO_SUCH_CHUNK; BAD_CIPHERTEXT if the record's file
        was damaged)."""
        return self._sealer.seal(self._sealer.open(self._sealer.read(first, end), first), first)

    def wrap_for(self, wrapper: Wrapper) -> bytes:
        """The body's key for this pull."""
        return wrap(
            self._sealer.key,
            shared=wrapper.shared,
            secret=self._secret,
            place=self._place,
            root=self._row.cipher_root,
        )


class Outgoing:
    """Bodies granted by this hospital. Every method is synchronous and safe in worker threads."""

    def __init__(self, records: RecordStore) -> None:
        self._records, self._cells = records, records.cells
        self._index = self._cells.index
        self._rows = self._index.table("outgoing")

    def prepare(self, record: Record, *, chain: bytes, channel: bytes, seed: bytes) -> GrantBody:
        """What one grant of a record promises, durably. Afterwards the grant may be written."""
        (body,) = self.prepare_all([record], chain=chain, channel=channel, seed=seed)
        return body

    def prepare_all(
        self,
        records: Sequence[Record],
        *,
        chain: bytes,
        channel: bytes,
        seed: bytes,
        beside: Sequence[tuple[Table, bytes]] = (),
    ) -> list[GrantBody]:
        """One body for each record, with one sync. `beside` are rows (by table, one for each record) to be written
        under the same key, so that either all of a grant's rows are there or none."""
        unpacker = new_unpacker()
        with self._cells.reading_short() as read_short:
            made = [self._prepare(record, (chain, channel), seed, read_short, unpacker) for record in records]
        rows = [(self._rows, channel + body.lock, encode(row)) for body, row in made]
        rows += [(table, channel + body.lock, row) for (table, row), (body, _) in zip(beside, made, strict=False)]
        self._index.write(rows)
        return [body for body, _ in made]

    def _prepare(
        self,
        record: Record,
        where: tuple[bytes, bytes],
        seed: bytes,
        read_short: ReadShort,
        unpacker: ZstdDecompressor,
    ) -> tuple[GrantBody, _Row]:
        chain, channel = where
        nonce = self._cells.entropy(_NONCE_BYTES)
        sealer = _Sealer(self._cells, record.cell, nonce, read_short)
        key = key_digest(sealer.key)
        lock = lock_of(release_secret(seed, chain, channel, key))
        sealer.to(place_of(chain, channel, lock))
        hashes: list[bytes] = []

        def hash_sealed(plain: bytearray, first: int) -> None:
            with memoryview(sealer.seal(plain, first)) as sealed:
                hashes.extend(
                    chunk_hash(sealed[at : at + SEALED_CHUNK_BYTES]) for at in range(0, len(sealed), SEALED_CHUNK_BYTES)
                )

        def plain() -> Iterator[bytearray]:
            first = 0
            for run in sealer.runs():
                piece = sealer.open(run, first)
                hash_sealed(piece, first)
                yield piece
                first += -(-len(run) // SEALED_CHUNK_BYTES)

        hasher = sha256(sealer.salt)
        unpacked = Unpacked(plain(), max(record.cell.size, record.size), unpacker)
        spread = in_turn if is_short_cell(record.cell) else beside
        for _ in spread(unpacked, hasher.update):
            pass
        root = root_of(hashes)
        body = GrantBody(
            content=hasher.digest(),
            cipher_root=root,
            cipher_size=record.cell.size,
            key=key,
            lock=lock,
            media_type=record.info.media_type,
            record_class=record.info.record_class,
            label=record.info.label,
        )
        return body, _Row(record.id, nonce, root, b"".join(hashes) if len(hashes) > 1 else b"")

    def find(self, chain: bytes, channel: bytes, lock: bytes, secret: bytes) -> Offered | None:
        """The body behind a grant's lock, unless its record was erased. `secret` opens it (`release_secret`)."""
        with self._cells.reading_short() as read_short:
            return self.find_one(chain, channel, lock, secret, read_short)

    def find_one(
        self, chain: bytes, channel: bytes, lock: bytes, secret: bytes, read_short: ReadShort
    ) -> Offered | None:
        """The same for one of many."""
        assert lock_of(secret) == lock
        row = self._rows.get(channel + lock)
        if row is None:
            return None
        known = _decode(row)
        record = self._records.find(known.record)
        if record is None or not self._cells.has(record.cell):
            return None
        sealer = _Sealer(self._cells, record.cell, known.nonce, read_short)
        return Offered(sealer, known, secret, place_of(chain, channel, lock))

    def wrapper(self, peer: bytes) -> Wrapper:
        """A fresh one-time key, agreed with the peer's. Raises `Refused` (BAD_KEY)."""
        return Wrapper(self._cells.entropy(KEY_BYTES), peer)

    def drop(self, channel: bytes, locks: Sequence[bytes]) -> None:
        """Forget bodies: their releases are durable, or their grants were never written or have ended."""
        self._index.write((self._rows, channel + lock, None) for lock in locks)

    def records(self) -> set[bytes]:
        """Every record of which a body may be pulled."""
        return {_decode(row).record for _, row in self._rows.scan()}

    def record_of(self, channel: bytes, lock: bytes) -> bytes | None:
        """The record that a body is of."""
        row = self._rows.get(channel + lock)
        return None if row is None else _decode(row).record

    def locks(self) -> list[tuple[bytes, bytes]]:
        """Channel and lock of every body that may be pulled, so that a node can drop what no grant names."""
        return [(key[:32], key[32:]) for key, _ in self._rows.scan()]
