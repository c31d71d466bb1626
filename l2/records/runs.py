"""Consecutive chunks of a body in one call: sealed, opened or hashed.

From Python each chunk takes the interpreter again, and waits for it while another thread has it. So where a C compiler
and libcrypto were at hand at installation, `_runs.c` does the same and lets go of it once for a whole run
(docs/decisions/runs-in-c.md). Nobody can tell which one is at work. Keys are those of RFC 8439; docs/spec/records.md,
BODY-3 and BODY-5.
"""

from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from l2.records.aead import Octets
from l2.records.limits import CHUNK_BYTES, SEALED_CHUNK_BYTES, TAG_BYTES

try:
    from l2.records import _runs as in_c
except ImportError:
    in_c = None  # type: ignore[assignment]

__all__ = ["ALL_OPENED", "IN_C", "hash_run", "open_run", "opened_size", "seal_run", "sealed_size"]

IN_C = in_c is not None
ALL_OPENED = -1


def sealed_size(size: int) -> int:
    """What so many bytes of a body come to in chunks."""
    return size + -(-size // CHUNK_BYTES) * TAG_BYTES


def opened_size(size: int) -> int:
    """The bytes of a body in so many of its chunks. Of a last chunk that is cut shorter than a tag: too few."""
    return size - -(-size // SEALED_CHUNK_BYTES) * TAG_BYTES


def seal_run_in_python(key: bytes, place: bytes, plain: Octets, first: int, last: int, into: memoryview) -> None:
    """Seal chunks from index `first` on, all full but perhaps the body's `last`; `into` has room for exactly them, and
    does not overlap. What does not fit together is a `ValueError`."""
    _check_room(len(into) == sealed_size(len(plain)))
    cipher, data = ChaCha20Poly1305(key), memoryview(plain)
    for at in range(-(-len(plain) // CHUNK_BYTES)):
        index = first + at
        chunk = into[at * SEALED_CHUNK_BYTES : (at + 1) * SEALED_CHUNK_BYTES]
        piece = data[at * CHUNK_BYTES : (at + 1) * CHUNK_BYTES]
        cipher.encrypt_into(index.to_bytes(12, "big"), piece, place + bytes((index == last,)), chunk)


def open_run_in_python(key: bytes, place: bytes, sealed: Octets, first: int, last: int, into: memoryview) -> int:
    """Open chunks from index `first` on: `ALL_OPENED`, or the index of the first that does not open. What does not fit
    together is a `ValueError`, a chunk shorter than its tag, too."""
    rest = len(sealed) % SEALED_CHUNK_BYTES
    _check_room(len(into) == opened_size(len(sealed)) and (rest == 0 or rest >= TAG_BYTES))
    cipher, data = ChaCha20Poly1305(key), memoryview(sealed)
    for at in range(-(-len(sealed) // SEALED_CHUNK_BYTES)):
        index = first + at
        chunk = data[at * SEALED_CHUNK_BYTES : (at + 1) * SEALED_CHUNK_BYTES]
        piece = into[at * CHUNK_BYTES : (at + 1) * CHUNK_BYTES]
        try:
            cipher.decrypt_into(index.to_bytes(12, "big"), chunk, place + bytes((index == last,)), piece)
        except InvalidTag:
            return index
    return ALL_OPENED


def hash_run_in_python(sealed: Octets) -> bytes:
    """The RFC 9162 leaf hash of each chunk, one behind the other."""
    made: list[bytes] = []
    with memoryview(sealed) as data:
        for at in range(0, len(data), SEALED_CHUNK_BYTES):
            hasher = sha256(b"\x00")
            hasher.update(data[at : at + SEALED_CHUNK_BYTES])
            made.append(hasher.digest())
    return b"".join(made)


def _check_room(fits: bool) -> None:
    if not fits:
        raise ValueError("key, place, chunks and room do not fit together")


seal_run = in_c.seal_run if IN_C else seal_run_in_python
open_run = in_c.open_run if IN_C else open_run_in_python
hash_run = in_c.hash_run if IN_C else hash_run_in_python
