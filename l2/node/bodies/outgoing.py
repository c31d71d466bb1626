"""The spool of what was granted: ciphertext by channel and lock, kept until its release is out.

Prepared before the grant is written, since the grant promises its root; so a crash in between leaves a body without
a grant, never a grant without a body. Knows no log and no line.
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

from l1.ground.codec import Shape, decoder, encode
from l1.ground.merkle import root_of
from l2.node.bodies.files import make_folder, remove, sweep, write_whole
from l2.node.bodies.index import Entropy, Index
from l2.records.body import SALT_BYTES, chunk_hash, chunk_size, content_digest, pack, place_of, seal_chunks
from l2.records.info import RecordInfo
from l2.records.keys import KEY_BYTES, exchange_public, key_digest, lock_of, release_secret, wrap
from l2.records.limits import SEALED_CHUNK_BYTES

__all__ = ["GrantBody", "Outgoing", "Spooled"]

_ROW_BYTES_MAX = 16 * 1024 * 1024


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
    key: bytes
    place: bytes
    cipher_root: bytes
    cipher_size: int
    hashes: bytes


_decode = decoder(_Row, bytes_max=_ROW_BYTES_MAX, what="outgoing row")


class Spooled:
    """One body that can be served: its chunks, their hashes, and its key wrapped for whoever pulls."""

    def __init__(self, path: Path, row: _Row, secret: bytes, entropy: Entropy) -> None:
        self._path, self._row, self._secret, self._entropy = path, row, secret, entropy
        self.cipher_size = row.cipher_size
        self.hashes = row.hashes

    def read(self, indices: Sequence[int]) -> list[bytes]:
        """Ciphertext chunks. Raises `Refused` (NO_SUCH_CHUNK)."""
        chunks: list[bytes] = []
        with self._path.open("rb") as file:
            for index in indices:
                size = chunk_size(index, self.cipher_size)
                file.seek(index * SEALED_CHUNK_BYTES)
                chunks.append(file.read(size))
        return chunks

    def wrap_for(self, peer: bytes) -> tuple[bytes, bytes]:
        """Our one-time public key and the wrapped body key. The private one is forgotten as soon as it was used."""
        one_time = self._entropy(KEY_BYTES)
        wrapped = wrap(
            self._row.key,
            one_time=one_time,
            peer=peer,
            secret=self._secret,
            place=self._row.place,
            root=self._row.cipher_root,
        )
        return exchange_public(one_time), wrapped


class Outgoing:
    """Bodies granted by this hospital. Every method is synchronous and safe in worker threads."""

    def __init__(self, folder: Path, index: Index, entropy: Entropy) -> None:
        self._folder = make_folder(folder)
        sweep(self._folder)
        self._rows = index.table("outgoing")
        self._entropy = entropy

    def prepare(self, content: bytes, info: RecordInfo, *, chain: bytes, channel: bytes, seed: bytes) -> GrantBody:
        """Seal the content for one grant, durably. Afterwards the grant may be written."""
        salt, key = self._entropy(SALT_BYTES), self._entropy(KEY_BYTES)
        digest = content_digest(salt, content)
        lock = lock_of(release_secret(seed, chain, channel, digest))
        place = place_of(chain, channel, lock)
        hashes: list[bytes] = []
        size = 0

        def sealed() -> Iterator[bytes]:
            nonlocal size
            for chunk in seal_chunks(pack(content, salt, info.media_type), key, place):
                hashes.append(chunk_hash(chunk))
                size += len(chunk)
                yield chunk

        write_whole(self._path(channel, lock), sealed())
        root = root_of(hashes)
        row = _Row(key=key, place=place, cipher_root=root, cipher_size=size, hashes=b"".join(hashes))
        self._rows.put(channel + lock, encode(row))
        return GrantBody(
            content=digest,
            cipher_root=root,
            cipher_size=size,
            key=key_digest(key),
            lock=lock,
            media_type=info.media_type,
            record_class=info.record_class,
            label=info.label,
        )

    def find(self, channel: bytes, lock: bytes, secret: bytes) -> Spooled | None:
        """The body behind a grant's lock. `secret` is the one that opens it (`release_secret`)."""
        assert lock_of(secret) == lock
        row = self._rows.get(channel + lock)
        path = self._path(channel, lock)
        return Spooled(path, _decode(row), secret, self._entropy) if row is not None and path.exists() else None

    def drop(self, channel: bytes, lock: bytes) -> None:
        """Forget a body: its release is durable, or its grant was never written or has ended."""
        remove(self._path(channel, lock))
        self._rows.delete(channel + lock)

    def locks(self) -> list[tuple[bytes, bytes]]:
        """Channel and lock of every body in the spool, so that a node can drop what no grant names."""
        return [(key[:32], key[32:]) for key, _ in self._rows.scan()]

    def _path(self, channel: bytes, lock: bytes) -> Path:
        return self._folder / sha256(channel + lock).hexdigest()[:40]
