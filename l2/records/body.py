"""A record's body: what travels and rests encrypted, in chunks that each prove their place.

Chunks of 64 KiB under one fresh key; RFC 9162 root over the ciphertext chunks. So a chunk that was cut, swapped,
repeated, appended or taken from elsewhere does not open. Content is hashed as the raw bytes received. Everything here
works on iterators, so that a worker thread can do it and no size needs more memory. docs/spec/records.md.
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256

from l1.ground.faults import Fault, require
from l1.ground.hashing import tagged_digest
from l1.ground.merkle import root_of
from l2.records import limits
from l2.records.cipher import BodyCipher
from l2.records.limits import CHUNK_BYTES, SEALED_CHUNK_BYTES, TAG_BYTES
from l2.records.packing import HEAD_BYTES, RAW, SALT_BYTES, ZSTD, Unpacked, head_of, new_packer, squeeze

__all__ = [
    "check_hashes",
    "chunk_count",
    "chunk_hash",
    "chunk_size",
    "content_digest",
    "open_body",
    "open_chunks",
    "pack",
    "place_of",
    "regrant",
    "seal_chunks",
    "unpack_body",
]


def place_of(chain: bytes, channel: bytes, lock: bytes) -> bytes:
    """[BODY-4] Where a body belongs. The lock is fresh per grant, so it stands for the grant before it has an index."""
    return tagged_digest(b"body", chain, channel, lock)


def content_digest(salt: bytes, content: bytes) -> bytes:
    """[BODY-2] What the grant promises: SHA-256(salt ‖ content). The salt's fixed length keeps the two apart."""
    assert len(salt) == SALT_BYTES
    hasher = sha256(salt)
    hasher.update(content)
    return hasher.digest()


def pack(content: bytes, salt: bytes) -> bytes:
    """[BODY-1] The body of a content that is in memory: head, then data, compressed where that pays."""
    squeezed = squeeze(content, new_packer())
    if squeezed is None:
        return head_of(salt, RAW, len(content)) + content
    return head_of(salt, ZSTD, len(content)) + squeezed


def seal_chunks(parts: Iterable[bytes], cipher: BodyCipher) -> Iterator[bytes]:
    """[BODY-3] The ciphertext chunks of a body that comes in parts."""
    for index, (plain, last) in enumerate(_chunks(parts)):
        yield cipher.seal(plain, index, last)


def _chunks(parts: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Pieces of 64 KiB; the last is marked, and holds 1 byte to 64 KiB."""
    kept = b""
    for part in parts:
        data, start = kept + part if kept else part, 0
        while len(data) - start > CHUNK_BYTES:
            yield bytes(data[start : start + CHUNK_BYTES]), False
            start += CHUNK_BYTES
        kept = bytes(data[start:])
    assert kept, "a body has at least its head"
    yield kept, True


def regrant(plain: bytes, index: int, salt: bytes) -> bytes:
    """[BODY-8] A plain chunk of a body at rest as that of a grant: the same data behind a head with another salt."""
    return plain if index else salt + plain[SALT_BYTES:]


def chunk_hash(chunk: bytes) -> bytes:
    """The RFC 9162 leaf hash of a ciphertext chunk."""
    hasher = sha256(b"\x00")
    hasher.update(chunk)
    return hasher.digest()


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


def check_hashes(hashes: list[bytes], cipher_size: int, cipher_root: bytes) -> None:
    """[PULL-4] Raise `Refused` (BAD_PROOF) unless these are the chunk hashes of the grant's ciphertext."""
    require(len(hashes) == chunk_count(cipher_size), Fault.BAD_PROOF, "another number of chunk hashes")
    require(root_of(hashes) == cipher_root, Fault.BAD_PROOF, "the chunk hashes lead to another root")


def open_chunks(chunks: Iterable[bytes], cipher_size: int, cipher: BodyCipher) -> Iterator[bytes]:
    """The plain chunks of a ciphertext, in order. Raises `Refused` (BAD_CIPHERTEXT). Reads none beyond its size."""
    count = chunk_count(cipher_size)
    return (cipher.open(chunk, i, i == count - 1) for i, chunk in zip(range(count), chunks, strict=False))


def open_body(chunks: Iterable[bytes], cipher_size: int, cipher: BodyCipher, digest: bytes) -> Iterator[bytes]:
    """[BODY-7] The content of a ciphertext in pieces, which ends by raising unless it has the salted digest.

    Raises `Refused`: BAD_CIPHERTEXT, MALFORMED, TOO_LARGE, BAD_DIGEST.
    """
    unpacked = Unpacked(open_chunks(chunks, cipher_size, cipher), cipher_size)
    hasher = sha256(unpacked.salt)
    for piece in unpacked:
        hasher.update(piece)
        yield piece
    require(hasher.digest() == digest, Fault.BAD_DIGEST, "the content is not what the grant promised")


def unpack_body(plain: Iterable[bytes], cipher_size: int) -> tuple[bytes, bytes]:
    """Salt and content of a body that is small enough for memory."""
    unpacked = Unpacked(plain, cipher_size)
    return unpacked.salt, b"".join(unpacked)
