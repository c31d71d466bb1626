"""A record's body: what travels and rests encrypted, in chunks that each prove their place.

body = salt (32) ‖ codec (1) ‖ content size (8, little-endian) ‖ data; chunks of 64 KiB under XChaCha20-Poly1305 with
one fresh key, nonce = chunk index, associated data = place ‖ last flag; RFC 9162 root over the ciphertext chunks.
So a chunk that was cut, swapped, repeated, appended or taken from elsewhere does not open. Content is hashed as the
raw bytes received. Everything here works on iterators, so that a worker thread can do it. docs/spec/records.md.
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Protocol

import zstandard
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt, crypto_aead_xchacha20poly1305_ietf_encrypt
from nacl.exceptions import CryptoError

from l1.ground.codes import MediaType
from l1.ground.faults import Fault, Refused, require
from l1.ground.hashing import tagged_digest
from l1.ground.merkle import root_of
from l2.records import limits
from l2.records.limits import CHUNK_BYTES, SEALED_CHUNK_BYTES, TAG_BYTES

__all__ = [
    "HEAD_BYTES",
    "RAW",
    "SALT_BYTES",
    "ZSTD",
    "check_hashes",
    "chunk_count",
    "chunk_hash",
    "chunk_size",
    "content_digest",
    "open_body",
    "open_chunk",
    "pack",
    "place_of",
    "seal_chunks",
    "unpack_body",
]

SALT_BYTES = 32
HEAD_BYTES = SALT_BYTES + 1 + 8
RAW, ZSTD = 0, 1

_LEVEL = 3  # 17 to 50 times smaller on FHIR; higher levels cost more than they save on a hospital's line
_PROBE_BYTES = 128 * 1024
_WORTH_IT = 0.95  # below this ratio compression pays its own time
_READ_BYTES = 1024 * 1024


def place_of(chain: bytes, channel: bytes, lock: bytes) -> bytes:
    """[BODY-4] Where a body belongs. The lock is fresh per grant, so it stands for the grant before it has an index."""
    return tagged_digest(b"body", chain, channel, lock)


def content_digest(salt: bytes, content: bytes) -> bytes:
    """[BODY-2] What the grant promises: SHA-256(salt ‖ content). The salt's fixed length keeps the two apart."""
    assert len(salt) == SALT_BYTES
    hasher = sha256(salt)
    hasher.update(content)
    return hasher.digest()


def pack(content: bytes, salt: bytes, media_type: int = MediaType.OCTET_STREAM) -> list[bytes]:
    """[BODY-1] The body as parts to be joined: head, then data, compressed where that pays."""
    assert len(salt) == SALT_BYTES
    size = len(content)
    squeezed = _squeeze(content, media_type)
    codec, data = (RAW, content) if squeezed is None else (ZSTD, squeezed)
    return [salt + bytes((codec,)) + size.to_bytes(8, "little"), data]


def _squeeze(content: bytes, media_type: int) -> bytes | None:
    """The content compressed, or None where it is already, or where it would look like a bomb."""
    middle = max(0, (len(content) - _PROBE_BYTES) // 2)
    probe = content[middle : middle + _PROBE_BYTES]
    packer = zstandard.ZstdCompressor(level=_LEVEL)
    dense = media_type in (MediaType.OCTET_STREAM, MediaType.DICOM)
    if dense and len(content) > len(probe) and len(packer.compress(probe)) > len(probe) * _WORTH_IT:
        return None
    data = packer.compress(content)
    worth = len(data) < len(content) * _WORTH_IT and len(content) <= _content_bytes_max(len(data))
    return data if worth else None


def _content_bytes_max(cipher_size: int) -> int:
    """[BODY-6] What a compressed body of that ciphertext size may unpack to."""
    return max(limits.SMALL_BYTES, cipher_size * limits.RATIO_MAX)


def _nonce(index: int) -> bytes:
    return index.to_bytes(24, "little")


def seal_chunks(parts: Iterable[bytes], key: bytes, place: bytes) -> Iterator[bytes]:
    """[BODY-3] The ciphertext chunks of a body. The key must be fresh: it encrypts this body and nothing else."""
    for index, (plain, last) in enumerate(_chunks(parts)):
        flag = b"\x01" if last else b"\x00"
        yield crypto_aead_xchacha20poly1305_ietf_encrypt(plain, place + flag, _nonce(index), key)


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


def open_chunk(chunk: bytes, index: int, last: bool, key: bytes, place: bytes) -> bytes:
    """The plaintext of one chunk. Raises `Refused` (BAD_CIPHERTEXT)."""
    try:
        flag = b"\x01" if last else b"\x00"
        return crypto_aead_xchacha20poly1305_ietf_decrypt(chunk, place + flag, _nonce(index), key)
    except CryptoError:
        raise Refused(Fault.BAD_CIPHERTEXT, f"chunk {index} does not open under its key and place") from None


def open_body(chunks: Iterable[bytes], cipher_size: int, key: bytes, place: bytes, digest: bytes) -> bytes:
    """[BODY-7] The content of a ciphertext, verified against its salted digest.

    Raises `Refused`: BAD_CIPHERTEXT, MALFORMED, TOO_LARGE, BAD_DIGEST. Reads no chunk beyond `cipher_size`.
    """
    count = chunk_count(cipher_size)
    plain = (open_chunk(c, i, i == count - 1, key, place) for i, c in zip(range(count), chunks, strict=False))
    salt, content = unpack_body(plain, cipher_size)
    require(content_digest(salt, content) == digest, Fault.BAD_DIGEST, "the content is not what the grant promised")
    return content


def unpack_body(plain: Iterable[bytes], cipher_size: int) -> tuple[bytes, bytes]:
    """Salt and content of a body that comes in pieces (the first is at least the head)."""
    pieces = iter(plain)
    first = next(pieces, b"")
    require(len(first) >= HEAD_BYTES, Fault.MALFORMED, "the body is shorter than its head")
    salt, codec = first[:SALT_BYTES], first[SALT_BYTES]
    size = int.from_bytes(first[SALT_BYTES + 1 : HEAD_BYTES], "little")
    rest = _with_first(first[HEAD_BYTES:], pieces)
    match codec:
        case 0:
            content = b"".join(rest)
        case 1:
            # [BODY-6] Unpacking stops at the size that the head promises, and that is bounded by the granted size.
            require(size <= _content_bytes_max(cipher_size), Fault.TOO_LARGE, f"a body that claims {size} bytes")
            content = _unsqueeze(rest, size)
        case _:
            raise Refused(Fault.MALFORMED, f"there is no codec {codec}")
    require(len(content) == size, Fault.MALFORMED, "the content has another size than the body's head says")
    return salt, content


def _with_first(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest


class _Reads(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


class _Source:
    """An iterator of pieces as something that can be read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._kept = b""

    def read(self, size: int = -1, /) -> bytes:
        data = self._kept or next(self._pieces, b"")
        self._kept = data[size:] if size >= 0 else b""
        return data[:size] if size >= 0 else data


def _unsqueeze(pieces: Iterator[bytes], size: int) -> bytes:
    source: _Reads = _Source(pieces)
    unpacker = zstandard.ZstdDecompressor(max_window_size=1 << limits.WINDOW_LOG_MAX)
    parts: list[bytes] = []
    total = 0
    try:
        with unpacker.stream_reader(source, read_size=CHUNK_BYTES) as reader:  # type: ignore[arg-type]
            # One byte more than promised is asked for, so that surplus shows without being unpacked.
            while total <= size and (part := reader.read(min(_READ_BYTES, size + 1 - total))):
                parts.append(part)
                total += len(part)
    except zstandard.ZstdError:
        raise Refused(Fault.MALFORMED, "the body's data is not what its codec says") from None
    for _ in pieces:  # every chunk is opened, also those behind the end of the data
        raise Refused(Fault.MALFORMED, "data behind the end of the content")
    return b"".join(parts)
