"""A batch: the unit of signing, of durability and of the wire. Pure bytes in and out.

A batch message is [public parts, private parts, signed commitment]; a kind without private part leaves its place
empty. How parts are decoded and hashed is in `l1.rules.log.leaves`. Salts of 256 entries come from one SHAKE-128 call
over channel secret, side and block, so they cost no wire bytes and either side can show one entry's salt without the
others'.
"""

from functools import lru_cache
from hashlib import shake_128
from typing import Annotated

import msgspec
from msgspec import Meta

from l1.ground.codec import Shape, decoder, encode
from l1.ground.hashing import tagged_digest
from l1.ground.limits import BATCH_ENTRIES_MAX, FRAME_BYTES_MAX, SALT_BYTES
from l1.rules.commitment import Signed
from l1.rules.log.leaves import Part
from l2.protocol.limits import SALT_BLOCK

__all__ = ["Batch", "Parts", "Salts", "decode_batch", "encode_batch", "open_stored"]


class Parts(Shape, frozen=True):
    """The parts of a batch's entries as they stand on the wire, in order."""

    publics: tuple[Part, ...]
    privates: tuple[Part, ...]


class Batch(Shape, frozen=True):
    """The batch message."""

    publics: Annotated[tuple[Part, ...], Meta(min_length=1, max_length=BATCH_ENTRIES_MAX)]
    privates: Annotated[tuple[Part, ...], Meta(min_length=1, max_length=BATCH_ENTRIES_MAX)]
    commitment: Signed


decode_batch = decoder(Batch, bytes_max=FRAME_BYTES_MAX, what="batch")

_stored: msgspec.msgpack.Decoder[Batch] = msgspec.msgpack.Decoder(Batch)


def open_stored(message: bytes) -> Batch:
    """A batch message that was checked when it came in."""
    return _stored.decode(message)


class Salts:
    """The salts of one side's log in one channel, made from the channel secret on demand."""

    def __init__(self, channel_secret: bytes, side: int) -> None:
        self._seed = tagged_digest(b"salts", channel_secret, bytes([side]))
        self._block = lru_cache(maxsize=8)(self._make_block)

    def __repr__(self) -> str:
        return "Salts(…)"

    def _make_block(self, block: int) -> bytes:
        return shake_128(self._seed + block.to_bytes(8, "big")).digest(SALT_BLOCK * SALT_BYTES)

    def one(self, index: int) -> bytes:
        return self.span(index, 1)

    def span(self, first: int, count: int) -> bytes:
        """The salts of entries first .. first + count, in one piece."""
        start = first // SALT_BLOCK
        blocks = range(start, (first + count - 1) // SALT_BLOCK + 1)
        offset = (first - start * SALT_BLOCK) * SALT_BYTES
        return b"".join(map(self._block, blocks))[offset : offset + count * SALT_BYTES]


def encode_batch(publics: tuple[bytes, ...], privates: tuple[bytes, ...], commitment: Signed) -> bytes:
    return encode(Batch(publics=publics, privates=privates, commitment=commitment))
