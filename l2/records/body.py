"""A record's body: what travels and rests encrypted, in chunks that each prove their place.

Chunks of 64 KiB under one fresh key; RFC 9162 root over the ciphertext chunks. So a chunk that was cut, swapped,
repeated, appended or taken from elsewhere does not open. Content is hashed as the raw bytes received. Everything here
works on iterators, so that a worker thread can do it and no size needs more memory. docs/spec/records.md.
"""

from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from typing import Protocol, TypeVar

from zstandard import ZstdDecompressor

from l1.ground.faults import Fault, require
from l1.ground.hashing import tagged_prefix
from l1.ground.merkle import root_of
from l2.records import limits
from l2.records.cipher import BodyCipher, Octets
from l2.records.limits import CHUNK_BYTES, SEALED_CHUNK_BYTES, TAG_BYTES
from l2.records.packing import HEAD_BYTES, RAW, SALT_BYTES, ZSTD, Unpacked, head_of, new_packer, squeeze, unpack_short
from l2.records.runs import opened_size

__all__ = [
    "HASH_BYTES",
    "Hasher",
    "Spread",
    "Update",
    "check_hashes",
    "chunk_count",
    "chunk_hash",
    "chunk_size",
    "content_digest",
    "cut_hashes",
    "in_turn",
    "open_body",
    "open_chunks",
    "open_short",
    "pack",
    "place_of",
    "places_in",
    "regrant",
    "seal_chunks",
    "unpack_body",
]

HASH_BYTES = 32  # of a chunk

LOCK_BYTES = 32
_COPIED_BYTES = 4 * 1024  # what is shorter is sooner copied than hashed in two calls

Update = Callable[[Octets], object]
"""Takes the next piece in, as a hash does."""


class Hasher(Protocol):
    """A hash under way."""

    def update(self, data: Octets, /) -> object: ...

    def digest(self) -> bytes: ...


Plain = TypeVar("Plain", bytearray, memoryview)

Spread = Callable[..., Iterator[Octets]]
"""`in_turn`, or the same with threads."""


def in_turn(pieces: Iterable[Octets], *updates: Update) -> Iterator[Octets]:
    """The same pieces, each given to every update before it is handed on."""
    for piece in pieces:
        for update in updates:
            update(piece)
        yield piece


def place_of(chain: bytes, channel: bytes, lock: bytes) -> bytes:
    """[BODY-4] Where a body belongs. The lock is fresh per grant, so it stands for the grant before it has an index."""
    return places_in(chain, channel)(lock)


def places_in(chain: bytes, channel: bytes) -> Callable[[bytes], bytes]:
    """The same for many grants of one channel: a function of each one's lock."""
    prefix = tagged_prefix(b"body", chain, channel, size=LOCK_BYTES)
    return lambda lock: sha256(prefix + lock).digest()


def content_digest(salt: bytes, digest: bytes) -> bytes:
    """[BODY-2] What the grant promises of a content with this SHA-256: SHA-256(salt ‖ SHA-256(content))."""
    assert len(salt) == SALT_BYTES
    return sha256(salt + digest).digest()


def pack(content: bytes, salt: bytes) -> bytes:
    """[BODY-1] The body of a content that is in memory: head, then data, compressed where that pays."""
    squeezed = squeeze(content, new_packer())
    if squeezed is None:
        return head_of(salt, RAW, len(content)) + content
    return head_of(salt, ZSTD, len(content)) + squeezed


def seal_chunks(parts: Iterable[Octets], cipher: BodyCipher) -> Iterator[bytes]:
    """[BODY-3] The ciphertext chunks of a body that comes in parts."""
    for index, (plain, last) in enumerate(_chunks(parts)):
        yield cipher.seal(plain, index, last)


def _chunks(parts: Iterable[Octets]) -> Iterator[tuple[bytes, bool]]:
    """Pieces of 64 KiB; the last is marked, and holds 1 byte to 64 KiB."""
    kept = b""
    for part in parts:
        data, start = b"".join((kept, part)) if kept else part, 0
        while len(data) - start > CHUNK_BYTES:
            yield bytes(data[start : start + CHUNK_BYTES]), False
            start += CHUNK_BYTES
        kept = bytes(data[start:])
    assert kept, "a body has at least its head"
    yield kept, True


def regrant(plain: Plain, salt: bytes) -> Plain:
    """[BODY-8] The begin of a body at rest as that of a grant: the same data behind a head with another salt."""
    plain[:SALT_BYTES] = salt
    return plain


def chunk_hash(chunk: Octets) -> bytes:
    """The RFC 9162 leaf hash of a ciphertext chunk."""
    if len(chunk) <= _COPIED_BYTES:
        return sha256(b"\x00" + chunk).digest()
    hasher = sha256(b"\x00")
    hasher.update(chunk)
    return hasher.digest()


def cut_hashes(hashes: bytes) -> list[bytes]:
    """Hashes that stand one behind the other."""
    return [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]


def chunk_count(cipher_size: int) -> int:
    """[BODY-5] How many chunks a ciphertext of that size has. Raises `Refused` (OUT_OF_BOUNDS) if no body has it."""
    count, rest = divmod(cipher_size, SEALED_CHUNK_BYTES)
    body_size = cipher_size - (count + (rest > 0)) * TAG_BYTES
    possible = HEAD_BYTES <= body_size <= HEAD_BYTES + limits.CONTENT_BYTES_MAX and (rest == 0 or rest > TAG_BYTES)
    require(possible, Fault.OUT_OF_BOUNDS, f"no body has a ciphertext of {cipher_size} bytes")
    return count + (rest > 0)


def chunk_size(index: int, cipher_size: int) -> int:
    """The size of a ciphertext chunk. Raises `Refused` (NO_SUCH_CHUNK)."""
    require(0 <= index < chunk_count(cipher_size), Fault.NO_SUCH_CHUNK, f"there is no chunk {index}")
    return min(SEALED_CHUNK_BYTES, cipher_size - index * SEALED_CHUNK_BYTES)


def check_hashes(hashes: bytes, cipher_size: int, cipher_root: bytes) -> None:
    """[PULL-4] Raise `Refused` (BAD_PROOF) unless these are the chunk hashes of the grant's ciphertext."""
    right = len(hashes) == chunk_count(cipher_size) * HASH_BYTES
    require(right, Fault.BAD_PROOF, "another number of chunk hashes")
    require(root_of(cut_hashes(hashes)) == cipher_root, Fault.BAD_PROOF, "the chunk hashes lead to another root")


def open_chunks(runs: Iterable[bytes], cipher_size: int, cipher: BodyCipher) -> Iterator[Octets]:
    """What a ciphertext opens to, in order. It comes in runs of whole chunks. Raises `Refused` (BAD_CIPHERTEXT). Reads
    none beyond its size."""
    count, index = chunk_count(cipher_size), 0
    pieces = iter(runs)
    while index < count and (run := next(pieces, b"")):
        yield (
            cipher.open(run, index, index == count - 1)
            if len(run) <= SEALED_CHUNK_BYTES
            else _open_run(run, index, count, cipher)
        )
        index += -(-len(run) // SEALED_CHUNK_BYTES)
    require(index >= count, Fault.BAD_CIPHERTEXT, f"chunk {index} is not there")


def _open_run(run: bytes, first: int, count: int, cipher: BodyCipher) -> bytearray:
    rest = len(run) % SEALED_CHUNK_BYTES
    require(rest == 0 or rest >= TAG_BYTES, Fault.BAD_CIPHERTEXT, "a chunk is cut short")
    plain = bytearray(opened_size(len(run)))
    with memoryview(plain) as into:
        cipher.open_run(run, first, count - 1, into)
    return plain


def open_body(
    runs: Iterable[bytes],
    cipher_size: int,
    cipher: BodyCipher,
    granted: bytes,
    hasher: Hasher,
    *,
    spread: Spread = in_turn,
    unpacker: ZstdDecompressor | None = None,
) -> Iterator[Octets]:
    """[BODY-7] The content of a ciphertext in pieces, which ends by raising unless it is what was granted. `hasher` is
    a fresh SHA-256, which afterwards has all of it.

    Raises `Refused`: BAD_CIPHERTEXT, MALFORMED, TOO_LARGE, BAD_DIGEST.
    """
    unpacked = Unpacked(open_chunks(runs, cipher_size, cipher), cipher_size, unpacker)
    yield from spread(unpacked, hasher.update)
    digest = content_digest(unpacked.salt, hasher.digest())
    require(digest == granted, Fault.BAD_DIGEST, "the content is not what the grant promised")


def open_short(chunk: bytes, cipher: BodyCipher, granted: bytes, unpacker: ZstdDecompressor) -> tuple[bytes, bytes]:
    """[BODY-7] The content of a body of one chunk, and its SHA-256. Raises like `open_body`."""
    salt, content = unpack_short(cipher.open_first(chunk, True), unpacker)
    digest = sha256(content).digest()
    require(content_digest(salt, digest) == granted, Fault.BAD_DIGEST, "the content is not what the grant promised")
    return content, digest


def unpack_body(plain: Iterable[Octets], cipher_size: int) -> tuple[bytes, bytes]:
    """Salt and content of a body that is small enough for memory."""
    unpacked = Unpacked(plain, cipher_size)
    return unpacked.salt, b"".join(unpacked)
