"""What was granted and not yet released: rows, and no second copy. A body is sealed again whenever it is sent.

Key and salt of a grant's body follow from the record's own key and a nonce, so the same ciphertext comes out each time,
nothing has to be offered, and nothing is left to send once the record is erased. Rows are durable before the grant is
written, since the grant promises a root; so a crash in between leaves a row without a grant, never a grant without a
row. Knows no log and no line. docs/spec/records.md, BODY-8.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import Lock
from typing import NamedTuple

from l1.ground.codec import Shape, decoder, encode
from l1.ground.faults import Fault, Refused, require
from l1.ground.merkle import root_of
from l2.node.bodies.cells import FEW_CHUNKS, Cell, Cells, ReadShort, is_short_cell, place_key
from l2.node.bodies.crowds import Crowds
from l2.node.bodies.intake import RECORD_KEY
from l2.node.bodies.store import Record, RecordStore
from l2.records.body import chunk_count, chunk_hash, content_digest, cut_hashes, places_in, regrant
from l2.records.cipher import BodyCipher
from l2.records.keys import KEY_BYTES, agree, exchange_public, grant_keys, key_digest, lock_of, release_secrets, wrap
from l2.records.limits import CHUNK_BYTES, SEALED_CHUNK_BYTES
from l2.records.runs import hash_run, opened_size

__all__ = ["GrantBody", "Outgoing", "Offered", "Wrapper"]

_ROW_BYTES_MAX = 16 * 1024 * 1024
_NONCE_BYTES = 16
_KEPT_BYTES = 8 * 1024 * 1024  # of short bodies that were granted and not pulled yet: some thousands


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
_decode_crowd = decoder(tuple[tuple[bytes, _Row], ...], bytes_max=_ROW_BYTES_MAX, what="row of an outgoing crowd")


class _Sealer:
    """A record's cell, opened under its own key and sealed for one grant."""

    def __init__(self, cells: Cells, cell: Cell, nonce: bytes, read_short: ReadShort) -> None:
        self._chunk: bytes | None = None
        if is_short_cell(cell):
            head, self._chunk = read_short(cell)
            record_key = cells.unhead(head, RECORD_KEY, cell.place)
        else:
            record_key = cells.key(cell, RECORD_KEY)
        self._cells, self.cell = cells, cell
        self._last = 0 if self._chunk is not None else chunk_count(cell.size) - 1
        self.key, self.salt = grant_keys(record_key, nonce)
        self._rest = BodyCipher(record_key, cell.place)

    def to(self, place: bytes) -> None:
        self._sealed = BodyCipher(self.key, place)

    def seal_short(self) -> bytes | None:
        """The one chunk of a short body; None for a long one. Raises `Refused` (BAD_CIPHERTEXT)."""
        if self._chunk is None:
            return None
        return self._sealed.seal(regrant(self._rest.open_first(self._chunk, True), self.salt), 0, True)

    def seal_into(self, first: int, end: int, into: memoryview) -> None:
        """Consecutive chunks of a long body, sealed where they are to be."""
        at = 0
        for index, chunks, plain in self._each(first, end):
            self._seal(chunks, plain, index, into[at : at + len(chunks)])
            at += len(chunks)

    def hashes(self) -> bytes:
        """Of every chunk of a long body, one behind the other."""
        return b"".join(hash_run(chunks) for chunks in self._all())

    def _all(self) -> Iterator[memoryview]:
        sealed = memoryview(bytearray(FEW_CHUNKS * SEALED_CHUNK_BYTES))
        for index, chunks, plain in self._each(0, self._last + 1):
            into = sealed[: len(chunks)]
            self._seal(chunks, plain, index, into)
            yield into

    def _each(self, first: int, end: int) -> Iterator[tuple[int, memoryview, memoryview]]:
        """First index, chunks at rest, and room for what they open to: the same each time, in the processor's cache."""
        plain = memoryview(bytearray(FEW_CHUNKS * CHUNK_BYTES))
        for chunks in self._cells.chunks(self.cell, first, end):
            yield first, chunks, plain[: opened_size(len(chunks))]
            first += FEW_CHUNKS

    def _seal(self, chunks: memoryview, plain: memoryview, index: int, into: memoryview) -> None:
        self._rest.open_run(chunks, index, self._last, plain)
        if not index:
            regrant(plain, self.salt)
        self._sealed.seal_run(plain, index, self._last, into)


class _Tools(NamedTuple):
    """What is made once for all grants of one append."""

    channel: bytes
    secret_of: Callable[[bytes], bytes]
    place_of: Callable[[bytes], bytes]
    read_short: ReadShort


class _Made(NamedTuple):
    """What a pull needs of a body: of a short one the chunk, too."""

    record: bytes
    key: bytes
    cipher_root: bytes
    cipher_size: int
    hashes: bytes
    chunk: bytes


class Wrapper:
    """One pull's agreement on a one-time key: ours is fresh, and forgotten with this object."""

    def __init__(self, one_time: bytes, peer: bytes) -> None:
        """Raises `Refused` (BAD_KEY)."""
        self.public, self.shared = exchange_public(one_time), agree(one_time, peer)


class Offered:
    """One body that can be served: its chunks, their hashes, and its key wrapped for whoever pulls."""

    def __init__(self, made: "_Made", secret: bytes, place: bytes, sealer: _Sealer | None = None) -> None:
        """A short body is all in `made`; the chunks of a long one come from `sealer`."""
        self._made, self._secret, self._place, self._sealer = made, secret, place, sealer
        self.cipher_size = made.cipher_size
        self.hashes = made.hashes

    def size_of(self, first: int, end: int) -> int:
        """How many bytes these consecutive chunks have. Raises `Refused` (NO_SUCH_CHUNK)."""
        exist = 0 <= first < end <= chunk_count(self.cipher_size)
        require(exist, Fault.NO_SUCH_CHUNK, f"there are no chunks {first} to {end}")
        return min(end * SEALED_CHUNK_BYTES, self.cipher_size) - first * SEALED_CHUNK_BYTES

    def read_into(self, first: int, end: int, into: memoryview) -> None:
        """The ciphertext of consecutive chunks, as much as `size_of` says. Raises `Refused` (BAD_CIPHERTEXT) if the
        record's file was damaged."""
        if self._sealer is None:
            into[:] = self._made.chunk
        else:
            self._sealer.seal_into(first, end, into)

    def read(self, first: int, end: int) -> bytes:
        """The same, in memory of its own. Raises `Refused`: NO_SUCH_CHUNK, BAD_CIPHERTEXT."""
        size = self.size_of(first, end)
        if self._sealer is None:
            return self._made.chunk
        data = bytearray(size)
        self._sealer.seal_into(first, end, memoryview(data))
        return bytes(data)

    def wrap_for(self, wrapper: Wrapper) -> bytes:
        """The body's key for this pull."""
        return wrap(
            self._made.key,
            shared=wrapper.shared,
            secret=self._secret,
            place=self._place,
            root=self._made.cipher_root,
        )


class Outgoing:
    """Bodies granted by this hospital. Every method is synchronous and safe in worker threads."""

    def __init__(self, records: RecordStore) -> None:
        self._records, self._cells = records, records.cells
        self._index = self._cells.index
        self._rows = self._index.table("outgoing")
        self._crowds = Crowds(self._index.table("crowds out"), _decode_crowd, self._cells.entropy)
        self._kept: OrderedDict[bytes, _Made] = OrderedDict()  # short bodies, from the grant to the pull
        self._kept_bytes, self._keeping = 0, Lock()

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
    ) -> list[GrantBody]:
        """One body for each record, with one sync."""
        made: dict[int, tuple[GrantBody, _Row]] = {}
        nonces = self._cells.entropy(_NONCE_BYTES * len(records))
        with self._cells.reading_short() as read_short:
            tools = _Tools(channel, release_secrets(seed, chain, channel), places_in(chain, channel), read_short)
            for at in sorted(range(len(records)), key=lambda at: place_key(records[at].cell)):
                made[at] = self._prepare(records[at], nonces[at * _NONCE_BYTES : (at + 1) * _NONCE_BYTES], tools)
        crowd = {channel + body.lock: row for body, row in made.values() if not row.hashes}
        alone = [(self._rows, channel + body.lock, encode(row)) for body, row in made.values() if row.hashes]
        with self._crowds.adding(crowd) as rows:
            self._index.write([*rows, *alone])
        return [made[at][0] for at in range(len(records))]

    def _prepare(self, record: Record, nonce: bytes, tools: _Tools) -> tuple[GrantBody, _Row]:
        sealer = _Sealer(self._cells, record.cell, nonce, tools.read_short)
        key = key_digest(sealer.key)
        lock = lock_of(tools.secret_of(key))
        sealer.to(tools.place_of(lock))
        short = sealer.seal_short()
        found = sealer.hashes() if short is None else chunk_hash(short)
        root = found if short is not None else root_of(cut_hashes(found))
        if short is not None:
            self._keep(tools.channel + lock, _Made(record.id, sealer.key, root, len(short), root, short))
        body = GrantBody(
            content=content_digest(sealer.salt, record.digest),
            cipher_root=root,
            cipher_size=record.cell.size,
            key=key,
            lock=lock,
            media_type=record.info.media_type,
            record_class=record.info.record_class,
            label=record.info.label,
        )
        return body, _Row(record.id, nonce, root, found if short is None else b"")

    def find(self, chain: bytes, channel: bytes, lock: bytes, secret: bytes) -> Offered | None:
        """The body behind a grant's lock, unless its record was erased. `secret` opens it (`release_secret`)."""
        ((_, found),) = self.find_all(chain, channel, [(0, lock, secret)])
        if isinstance(found, Refused):
            raise found
        return found

    def find_all(
        self, chain: bytes, channel: bytes, wanted: Sequence[tuple[int, bytes, bytes]]
    ) -> Iterator[tuple[int, Offered | Refused | None]]:
        """The same for many grants: index, lock and secret of each. `Refused` is one whose file was damaged, which is
        no other's trouble."""
        place_of = places_in(chain, channel)
        kept = [self._kept.get(channel + lock) for _, lock, _ in wanted]
        # What is kept in memory is given only while its record is there.
        there = iter(self._records.has_many([made.record for made in kept if made is not None]))
        with self._cells.reading_short() as read_short:
            for (index, lock, secret), made in zip(wanted, kept, strict=True):
                if made is not None:
                    yield index, Offered(made, secret, place_of(lock)) if next(there) else None
                    continue
                try:
                    yield index, self._seal_again(channel + lock, secret, place_of(lock), read_short)
                except Refused as damaged:
                    yield index, damaged

    def _seal_again(self, key: bytes, secret: bytes, place: bytes, read_short: ReadShort) -> Offered | None:
        known = self._row(key)
        record = None if known is None else self._records.find(known.record)
        if known is None or record is None or not self._cells.has(record.cell):
            return None
        sealer = _Sealer(self._cells, record.cell, known.nonce, read_short)
        sealer.to(place)
        short, root = sealer.seal_short(), known.cipher_root
        made = _Made(record.id, sealer.key, root, record.cell.size, known.hashes or root, short or b"")
        return Offered(made, secret, place, sealer if short is None else None)

    def _keep(self, key: bytes, made: _Made) -> None:
        """What was sealed to be granted is pulled soon. What no pull came for gives way, and is sealed again."""
        with self._keeping:
            self._kept[key] = made
            self._kept_bytes += len(made.chunk)
            while self._kept_bytes > _KEPT_BYTES:
                self._kept_bytes -= len(self._kept.popitem(last=False)[1].chunk)

    def forget_kept(self, keys: Iterable[bytes] | None = None) -> None:
        """Short bodies are kept no longer: those of these grants (channel and lock), or all."""
        with self._keeping:
            for key in list(self._kept if keys is None else keys):
                made = self._kept.pop(key, None)
                self._kept_bytes -= 0 if made is None else len(made.chunk)

    def wrapper(self, peer: bytes) -> Wrapper:
        """A fresh one-time key, agreed with the peer's. Raises `Refused` (BAD_KEY)."""
        return Wrapper(self._cells.entropy(KEY_BYTES), peer)

    def drop(self, channel: bytes, locks: Sequence[bytes]) -> None:
        """Forget bodies: their releases are durable, or their grants were never written or have ended."""
        keys = [channel + lock for lock in locks]
        self.forget_kept(keys)
        alone = [(self._rows, key, None) for key in keys if key not in self._crowds]
        with self._crowds.removing(keys) as rows:
            self._index.write([*rows, *alone])

    def _row(self, key: bytes) -> _Row | None:
        if (known := self._crowds.get(key)) is not None:
            return known
        row = self._rows.get(key)
        return None if row is None else _decode(row)

    def _all(self) -> Iterator[tuple[bytes, _Row]]:
        yield from ((key, _decode(row)) for key, row in self._rows.scan())
        yield from self._crowds.items()

    def records(self) -> set[bytes]:
        """Every record of which a body may be pulled."""
        return {row.record for _, row in self._all()}

    def record_of(self, channel: bytes, lock: bytes) -> bytes | None:
        """The record that a body is of."""
        row = self._row(channel + lock)
        return None if row is None else row.record

    def locks(self) -> list[tuple[bytes, bytes]]:
        """Channel and lock of every body that may be pulled, so that a node can drop what no grant names."""
        return [(key[:32], key[32:]) for key, _ in self._all()]
