"""Downloads that survive cuts and crashes: ciphertext in the cell where it will stay, everything else in one row.

Which chunks are here is not written down: a chunk is here when the bytes in the file hash to it. So no crash can leave
a claim that is not true, and nothing needs a sync before the end. Until the release a cell's head holds the one-time
key of its pull; then the body's own key takes its place, and the record is at rest: nothing is sealed twice.
Knows no log and no line. docs/spec/records.md, rules PULL-4 to 8.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from l1.ground.codec import Shape, decoder, encode
from l1.ground.faults import Fault, LocalError, Refused, require
from l2.node.bodies.cells import HEAD_BYTES, Cell, Cells, place_key
from l2.node.bodies.crowds import Crowds
from l2.node.bodies.files import write_out
from l2.node.bodies.index import Change
from l2.node.bodies.outgoing import GrantBody
from l2.records.body import (
    HASH_BYTES,
    check_hashes,
    chunk_count,
    chunk_hash,
    chunk_size,
    cut_hashes,
    place_of,
    places_in,
)
from l2.records.cipher import Octets
from l2.records.keys import KEY_BYTES, exchange_public
from l2.records.limits import SEALED_CHUNK_BYTES
from l2.records.runs import hash_run

__all__ = ["ONE_TIME_KEY", "Download", "Incoming", "Pulled", "Waiting", "is_short", "require_complete"]

ONE_TIME_KEY = b"one-time key"
"""What a cell's head holds of a download: bound into the box."""

_ROW_BYTES_MAX = 16 * 1024 * 1024
_READ_CHUNKS = 16


def is_short(body: GrantBody) -> bool:
    """Whether a body is one chunk: such bodies come many in one message."""
    return body.cipher_size <= SEALED_CHUNK_BYTES


class Waiting(Shape, frozen=True):
    """The row of a download."""

    body: GrantBody
    cell: Cell
    hashes: bytes = b""
    peer_one_time: bytes = b""
    wrapped: bytes = b""
    complete: bool = False


class Pulled(Shape, frozen=True):
    """A short body as it came: ciphertext and wrapped key, nothing of it judged."""

    grant: int
    chunk: bytes
    wrapped: bytes


_decode = decoder(Waiting, bytes_max=_ROW_BYTES_MAX, what="incoming row")
_decode_crowd = decoder(tuple[tuple[bytes, Waiting], ...], bytes_max=_ROW_BYTES_MAX, what="row of an incoming crowd")


class Download:
    """One grant's ciphertext on its way in. Synchronous; call it from one task or thread at a time, but `accept_chunks`
    from any."""

    def __init__(self, incoming: "Incoming", channel: bytes, grant: int, row: Waiting, one_time: bytes) -> None:
        self._incoming, self._row = incoming, row
        self.channel, self.grant, self.body = channel, grant, row.body
        self.one_time_public = exchange_public(one_time)
        self._hashes = row.hashes
        self._path = incoming.cells.path(row.cell.file)
        self._count = chunk_count(self.body.cipher_size)
        self.missing = self._find_missing()
        left = len(self.missing) * SEALED_CHUNK_BYTES
        if self._count - 1 in self.missing:
            left += chunk_size(self._count - 1, self.body.cipher_size) - SEALED_CHUNK_BYTES
        self.bytes_here = self.body.cipher_size - left

    @property
    def is_complete(self) -> bool:
        return self._row.complete

    @property
    def has_hashes(self) -> bool:
        return bool(self._hashes)

    @property
    def has_key(self) -> bool:
        return bool(self._row.wrapped)

    def _find_missing(self) -> set[int]:
        # [PULL-5] The bytes on disk are the only witness.
        if self.is_complete:
            return set()
        missing = set(range(self._count))
        if not self._hashes:
            return missing
        with self._path.open("rb", buffering=0) as file:
            file.seek(HEAD_BYTES)
            for first in range(0, self._count, _READ_CHUNKS):
                found = cut_hashes(hash_run(file.read(SEALED_CHUNK_BYTES * _READ_CHUNKS)))
                missing.difference_update(first + at for at, it in enumerate(found) if it == self._hash_of(first + at))
        return missing

    def _hash_of(self, index: int) -> bytes:
        return self._hashes[index * HASH_BYTES : (index + 1) * HASH_BYTES]

    def accept_hashes(self, found: bytes) -> None:
        """All chunk hashes of the body. Raises `Refused` (BAD_PROOF) unless they lead to the granted root."""
        check_hashes(found, self.body.cipher_size, self.body.cipher_root)
        self._hashes = found
        self._keep(hashes=found)

    def accept_chunks(self, first: int, data: Octets) -> None:
        """[PULL-4] Verify and write consecutive chunks. Raises `Refused`: UNEXPECTED (not asked for), BAD_DIGEST (a
        wrong one)."""
        view = memoryview(data)
        require(len(view), Fault.UNEXPECTED, "no chunks")
        indices = range(first, first - (-len(view) // SEALED_CHUNK_BYTES))
        for index, found in zip(indices, cut_hashes(hash_run(view)), strict=True):
            require(index in self.missing, Fault.UNEXPECTED, f"chunk {index} was not asked for")
            require(found == self._hash_of(index), Fault.BAD_DIGEST, f"chunk {index} has another hash")
        write_out(self._path, view, self._incoming.cells.seat(first))
        self.missing.difference_update(indices)
        self.bytes_here += len(view)

    def accept_key(self, peer_one_time: bytes, wrapped: bytes) -> None:
        """The body's key, wrapped. It can be judged only after the release. Once it is kept, it stays."""
        if not self._row.wrapped:
            self._keep(peer_one_time=peer_one_time, wrapped=wrapped)

    def complete(self) -> None:
        """[PULL-6] Make all durable: then the receipt may be written. Raises `Refused` if something is missing."""
        if self.is_complete:
            return
        require(not self.missing and self._row.wrapped, Fault.NO_SUCH_CHUNK, "the peer did not send everything")
        self._incoming.cells.sync(self._row.cell.file)
        self._keep(complete=True)

    def _keep(self, **changes: object) -> None:
        fields = {name: getattr(self._row, name) for name in self._row.__struct_fields__}
        self._row = Waiting(**(fields | changes))
        self._incoming.put(self.channel, self.grant, self._row)


class Incoming:
    """Bodies granted to this hospital and not yet opened. One `Download` per grant at a time."""

    def __init__(self, cells: Cells) -> None:
        self.cells = cells
        self._rows = cells.index.table("incoming")
        self._crowds = Crowds(cells.index.table("crowds in"), _decode_crowd, cells.entropy)
        self._fresh: dict[bytes, bytes] = {}  # of short downloads that wait, the one-time key, while this process lives

    def begin(self, chain: bytes, channel: bytes, grant: int, body: GrantBody) -> Download:
        """The download of a grant, where it stopped. Raises `Refused` (OUT_OF_BOUNDS) for a size that no body has."""
        chunk_count(body.cipher_size)
        known = self.find(channel, grant)
        if known is not None and known.body == body:
            with suppress(Refused, OSError):  # the head was cut off or never written: begin anew
                return self._resume(channel, grant, known)
        if known is not None:
            self.drop(channel, [grant])
        one_time = self.cells.entropy(KEY_BYTES)
        cell = Cell(self.cells.new_file(), 0, body.cipher_size, place_of(chain, channel, body.lock))
        with self.cells.open_file(cell.file) as file:
            file.write(self.cells.head(one_time, ONE_TIME_KEY, cell.place))
        row = Waiting(body=body, cell=cell)
        self.put(channel, grant, row)
        return Download(self, channel, grant, row, one_time)

    def _resume(self, channel: bytes, grant: int, row: Waiting) -> Download:
        # A complete one may have its own key in its head already: then nothing is asked for any more.
        one_time = bytes(KEY_BYTES) if row.complete else self.cells.key(row.cell, ONE_TIME_KEY)
        return Download(self, channel, grant, row, one_time)

    def take_short(
        self,
        chain: bytes,
        channel: bytes,
        wanted: dict[int, GrantBody],
        pulled: Sequence[Pulled],
        *,
        one_time: bytes,
        peer_one_time: bytes,
    ) -> dict[int, Refused]:
        """Verify short bodies that came in one answer and make them durable, with two syncs for all: then their
        receipts may be written. Which were refused, and why: UNEXPECTED, BAD_DIGEST."""
        refused: dict[int, Refused] = {}
        place_of = places_in(chain, channel)
        good: list[tuple[int, GrantBody, Pulled, bytes]] = []
        seen: set[int] = set()
        for one in pulled:
            body = wanted.get(one.grant)
            if body is None or one.grant in seen:
                refused[one.grant] = Refused(Fault.UNEXPECTED, f"the body of grant {one.grant} was not asked for")
            elif len(one.chunk) != body.cipher_size or chunk_hash(one.chunk) != body.cipher_root:
                refused[one.grant] = Refused(Fault.BAD_DIGEST, f"the body of grant {one.grant} has another hash")
            else:
                good.append((one.grant, body, one, place_of(body.lock)))
            seen.add(one.grant)
        if good:
            heads = self.cells.heads([(one_time, place) for _, _, _, place in good], ONE_TIME_KEY)
            bodies = [(head, one.chunk, place) for head, (_, _, one, place) in zip(heads, good, strict=True)]
            cells = self.cells.write_pack(bodies)
            crowd = {
                _key_of(channel, grant): Waiting(body, cell, b"", peer_one_time, one.wrapped, complete=True)
                for (grant, body, one, _), cell in zip(good, cells, strict=True)
            }
            with self._crowds.adding(crowd) as rows:
                self.cells.index.write([*rows, *((self.cells.places, place_key(cell), b"") for cell in cells)])
            self._fresh |= dict.fromkeys(crowd, one_time)
        return refused

    def fresh_one_time(self, channel: bytes, grant: int) -> bytes | None:
        """What the head of a short download holds, if it came since the start: then its box need not be opened."""
        return self._fresh.get(_key_of(channel, grant))

    def put(self, channel: bytes, grant: int, row: Waiting) -> None:
        place = (self.cells.places, place_key(row.cell), b"")
        self.cells.index.write([(self._rows, _key_of(channel, grant), encode(row)), place])

    def find(self, channel: bytes, grant: int) -> Waiting | None:
        key = _key_of(channel, grant)
        if (known := self._crowds.get(key)) is not None:
            return known
        row = self._rows.get(key)
        return None if row is None else _decode(row)

    def complete(self, channel: bytes, grants: Iterable[int]) -> set[int]:
        """Those of the grants whose ciphertext is all here."""
        keys = {_key_of(channel, grant): grant for grant in grants}
        alone = [key for key in keys if key not in self._crowds]
        found = zip(alone, self._rows.get_many(alone), strict=True)
        incomplete = {key for key, row in found if row is None or not _decode(row).complete}
        return {grant for key, grant in keys.items() if key not in incomplete}

    def drop(self, channel: bytes, grants: Sequence[int]) -> None:
        """Forget ciphertexts and one-time keys: the grants have ended, or what they brought does not open."""
        known = [(grant, row) for grant in grants if (row := self.find(channel, grant)) is not None]
        self.cells.destroy(row.cell for _, row in known)
        self.end(
            channel, [grant for grant, _ in known], [(self.cells.places, place_key(r.cell), None) for _, r in known]
        )
        self.cells.tidy(row.cell.file for _, row in known)

    def end(self, channel: bytes, grants: Iterable[int], changes: Sequence[Change]) -> None:
        """These downloads are none any more; written together with what follows from it."""
        keys = [_key_of(channel, grant) for grant in grants]
        alone: list[Change] = [(self._rows, key, None) for key in keys if key not in self._crowds]
        with self._crowds.removing(keys) as rows:
            self.cells.index.write([*changes, *rows, *alone])
        for key in keys:
            self._fresh.pop(key, None)

    def cells_in_use(self) -> list[Cell]:
        """The cells of all downloads."""
        return [row.cell for _, row in self._all()]

    def waiting(self) -> list[tuple[bytes, int, bool]]:
        """Channel, grant and whether the ciphertext is complete, of every download."""
        return [(*_parts_of(key), row.complete) for key, row in self._all()]

    def _all(self) -> Iterator[tuple[bytes, Waiting]]:
        yield from ((key, _decode(row)) for key, row in self._rows.scan())
        yield from self._crowds.items()


def require_complete(row: Waiting | None) -> Waiting:
    """Raises `LocalError` for a download that is not all here."""
    if row is None or not row.complete:
        raise LocalError("the record's ciphertext is not here yet", "Fetch the grant again.")
    return row


def _key_of(channel: bytes, grant: int) -> bytes:
    return channel + grant.to_bytes(8, "big")


def _parts_of(key: bytes) -> tuple[bytes, int]:
    return key[:32], int.from_bytes(key[32:], "big")
