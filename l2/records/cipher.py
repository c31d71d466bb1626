"""One body's cipher: XChaCha20-Poly1305 over its chunks, each bound to its index, its place and whether it is the last.

The nonce is the chunk's index in 24 bytes, big-endian: so its first 16 bytes are zeros for every chunk, and the subkey
that XChaCha20 derives from them is the same for the whole body. It is derived once; then OpenSSL's ChaCha20-Poly1305
seals the same bytes as libsodium, twice as fast. A short body never gets that far and is libsodium's.
Source: draft-irtf-cfrg-xchacha-03, sections 2.2 and 2.3; RFC 8439; docs/spec/records.md, BODY-3.
"""

from functools import cached_property
from struct import pack, unpack

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

from l1.ground.faults import Fault, Refused, require
from l2.records import runs
from l2.records.aead import NONCE_BYTES, Octets, open_sealed, seal
from l2.records.limits import TAG_BYTES

__all__ = ["BodyCipher", "Octets", "subkey_of"]

_FIRST = bytes(NONCE_BYTES)  # the first chunk's nonce: all of a short body
_CONSTANTS = unpack("<4I", b"expand 32-byte k")


def subkey_of(key: bytes) -> bytes:
    """HChaCha20 of a key and 16 zero bytes: ChaCha20's block, with the state it started from taken off again."""
    block = Cipher(ChaCha20(key, bytes(16)), mode=None).encryptor().update(bytes(64))
    words = unpack("<16I", block)
    first = ((word - constant) & 0xFFFF_FFFF for word, constant in zip(words[:4], _CONSTANTS, strict=True))
    return pack("<8I", *first, *words[12:])  # words 12 to 15 started as zeros


class BodyCipher:
    """[BODY-3] Seals and opens chunks of one body. The key must be fresh: it encrypts this body and nothing else."""

    def __init__(self, key: bytes, place: bytes) -> None:
        self._key, self._place = key, place
        self._data = (place + b"\x00", place + b"\x01")

    @cached_property
    def _subkey(self) -> bytes:
        return subkey_of(self._key)

    @cached_property
    def _fast(self) -> ChaCha20Poly1305:
        return ChaCha20Poly1305(self._subkey)

    def seal(self, plain: Octets, index: int, last: bool) -> bytes:
        """A ciphertext chunk."""
        if index:
            return self._fast.encrypt(index.to_bytes(12, "big"), plain, self._data[last])
        return seal(plain, self._data[last], _FIRST, self._key)

    def seal_run(self, plain: Octets, first: int, last: int, into: memoryview) -> None:
        """Consecutive chunks from `first` on, of which all but the body's `last` are full, written where they are to
        be: `into` has room for `sealed_size`, and does not overlap."""
        runs.seal_run(self._subkey, self._place, plain, first, last, into)

    def open_run(self, sealed: Octets, first: int, last: int, into: memoryview) -> None:
        """What consecutive chunks from `first` on open to, written where it is to be. Raises `Refused`
        (BAD_CIPHERTEXT); what is in `into` then is nobody's."""
        index = runs.open_run(self._subkey, self._place, sealed, first, last, into)
        if index != runs.ALL_OPENED:
            raise _unopened(index)

    def open(self, chunk: Octets, index: int, last: bool) -> Octets:
        """The plaintext of a chunk. Raises `Refused` (BAD_CIPHERTEXT)."""
        require(len(chunk) >= TAG_BYTES, Fault.BAD_CIPHERTEXT, f"chunk {index} is cut short")
        if index == 0:
            return self.open_first(chunk, last)
        try:
            return self._fast.decrypt(index.to_bytes(12, "big"), chunk, self._data[last])
        except InvalidTag:
            raise _unopened(index) from None

    def open_first(self, chunk: Octets, last: bool) -> bytearray:
        """The same of the first chunk, in memory that may be changed. Raises `Refused` (BAD_CIPHERTEXT)."""
        plain = open_sealed(chunk, self._data[last], _FIRST, self._key)
        if plain is None:
            raise _unopened(0)
        return plain


def _unopened(index: int) -> Refused:
    return Refused(Fault.BAD_CIPHERTEXT, f"chunk {index} does not open under its key and place")
