"""Downloads that survive cuts and crashes: ciphertext in a file, everything else in one row.

Which chunks are here is not written down: a chunk is here when the bytes in the file hash to it. So no crash can leave
a claim that is not true, and nothing needs a sync before the end. Knows no log and no line.
"""

from pathlib import Path

from l1.ground.codec import Shape, decoder, encode
from l1.ground.faults import Fault, LocalError, require
from l2.node.bodies.files import make_folder, open_private, remove, sync
from l2.node.bodies.index import Entropy, Index, Table
from l2.node.bodies.outgoing import GrantBody
from l2.records.body import check_hashes, chunk_count, chunk_hash, chunk_size, open_body, place_of
from l2.records.keys import KEY_BYTES, exchange_public, key_digest, lock_of, unwrap
from l2.records.limits import SEALED_CHUNK_BYTES

__all__ = ["Download", "Incoming"]

_ROW_BYTES_MAX = 16 * 1024 * 1024
_HASH_BYTES = 32


class _Row(Shape, frozen=True):
    body: GrantBody
    one_time: bytes
    hashes: bytes = b""
    peer_one_time: bytes = b""
    wrapped: bytes = b""
    complete: bool = False


_decode = decoder(_Row, bytes_max=_ROW_BYTES_MAX, what="incoming row")


class Download:
    """One grant's ciphertext on its way in. Synchronous; call it from one task or thread at a time."""

    def __init__(self, path: Path, rows: Table, key: bytes, row: _Row) -> None:
        self._path, self._rows, self._key, self._row = path, rows, key, row
        self.channel, self.grant = _parts_of(key)
        self.body = row.body
        self.one_time_public = exchange_public(row.one_time)
        self._hashes = [row.hashes[i : i + _HASH_BYTES] for i in range(0, len(row.hashes), _HASH_BYTES)]
        self.missing = self._find_missing()

    @property
    def is_complete(self) -> bool:
        return self._row.complete and self._path.exists()

    @property
    def has_hashes(self) -> bool:
        return bool(self._hashes)

    @property
    def bytes_missing(self) -> int:
        return sum(chunk_size(index, self.body.cipher_size) for index in self.missing)

    def _find_missing(self) -> set[int]:
        # [PULL-5] The bytes on disk are the only witness.
        everything = set(range(chunk_count(self.body.cipher_size)))
        if self.is_complete:
            return set()
        if not self._hashes or not self._path.exists():
            return everything
        with self._path.open("rb") as file:
            for index in range(len(self._hashes)):
                if chunk_hash(file.read(SEALED_CHUNK_BYTES)) == self._hashes[index]:
                    everything.discard(index)
        return everything

    def accept_hashes(self, hashes: bytes) -> None:
        """All chunk hashes of the body. Raises `Refused` (BAD_PROOF) unless they lead to the granted root."""
        pieces = [hashes[i : i + _HASH_BYTES] for i in range(0, len(hashes), _HASH_BYTES)]
        check_hashes(pieces, self.body.cipher_size, self.body.cipher_root)
        self._hashes = pieces
        self._keep(hashes=hashes)

    def accept_chunks(self, chunks: list[tuple[int, bytes]]) -> None:
        """[PULL-4] Verify and write chunks. Raises `Refused`: UNEXPECTED (not asked for), BAD_DIGEST (a wrong one)."""
        assert self._hashes
        with open_private(self._path) as file:
            for index, chunk in chunks:
                require(index in self.missing, Fault.UNEXPECTED, f"chunk {index} was not asked for")
                require(chunk_hash(chunk) == self._hashes[index], Fault.BAD_DIGEST, f"chunk {index} has another hash")
                file.seek(index * SEALED_CHUNK_BYTES)
                file.write(chunk)
                self.missing.discard(index)

    def accept_key(self, peer_one_time: bytes, wrapped: bytes) -> None:
        """The body's key, wrapped. It can be judged only after the release. Once it is kept, it stays."""
        if not self._row.wrapped:
            self._keep(peer_one_time=peer_one_time, wrapped=wrapped)

    def complete(self) -> None:
        """[PULL-6] Make all durable: then the receipt may be written. Raises `Refused` if something is missing."""
        if self.is_complete:
            return
        require(not self.missing and self._row.wrapped, Fault.NO_SUCH_CHUNK, "the peer did not send everything")
        sync(self._path)
        self._keep(complete=True)

    def open(self, chain: bytes, secret: bytes) -> bytes:
        """The content, verified to the last byte, by the released secret.

        Raises `LocalError` before it is complete, `Refused` after: BAD_DIGEST (another secret, key or content),
        BAD_CIPHERTEXT, MALFORMED, TOO_LARGE, BAD_KEY.
        """
        body, row = self.body, self._row
        if not self.is_complete:
            raise LocalError("the record's ciphertext is not here yet", "Fetch the grant again.")
        require(lock_of(secret) == body.lock, Fault.BAD_DIGEST, "the secret does not open the grant's lock")
        place = place_of(chain, self.channel, body.lock)
        key = unwrap(
            row.wrapped,
            one_time=row.one_time,
            peer=row.peer_one_time,
            secret=secret,
            place=place,
            root=body.cipher_root,
        )
        require(key_digest(key) == body.key, Fault.BAD_DIGEST, "the key is not the one that the grant names")
        with self._path.open("rb") as file:
            chunks = iter(lambda: file.read(SEALED_CHUNK_BYTES), b"")
            return open_body(chunks, body.cipher_size, key, place, body.content)

    def _keep(self, **changes: object) -> None:
        fields = {name: getattr(self._row, name) for name in self._row.__struct_fields__}
        self._row = _Row(**(fields | changes))
        self._rows.put(self._key, encode(self._row))


class Incoming:
    """Bodies granted to this hospital and not yet opened. One `Download` per grant at a time."""

    def __init__(self, folder: Path, index: Index, entropy: Entropy) -> None:
        self._folder = make_folder(folder)
        self._rows = index.table("incoming")
        self._entropy = entropy

    def begin(self, channel: bytes, grant: int, body: GrantBody) -> Download:
        """The download of a grant, where it stopped. Raises `Refused` (OUT_OF_BOUNDS) for a size that no body has."""
        chunk_count(body.cipher_size)
        known = self.find(channel, grant)
        if known is not None and known.body == body:
            return known
        key = _key_of(channel, grant)
        row = _Row(body=body, one_time=self._entropy(KEY_BYTES))
        self._rows.put(key, encode(row))
        return Download(self._path(key), self._rows, key, row)

    def find(self, channel: bytes, grant: int) -> Download | None:
        key = _key_of(channel, grant)
        row = self._rows.get(key)
        return None if row is None else Download(self._path(key), self._rows, key, _decode(row))

    def drop(self, channel: bytes, grant: int) -> None:
        """Forget ciphertext and one-time key: the record is stored, or the grant has ended."""
        key = _key_of(channel, grant)
        remove(self._path(key))
        self._rows.delete(key)

    def waiting(self) -> list[tuple[bytes, int, bool]]:
        """Channel, grant and whether the ciphertext is complete, of every download."""
        rows = ((key, _decode(row)) for key, row in self._rows.scan())
        return [(*_parts_of(key), row.complete) for key, row in rows]

    def _path(self, key: bytes) -> Path:
        return self._folder / key.hex()


def _key_of(channel: bytes, grant: int) -> bytes:
    return channel + grant.to_bytes(8, "big")


def _parts_of(key: bytes) -> tuple[bytes, int]:
    return key[:32], int.from_bytes(key[32:], "big")
