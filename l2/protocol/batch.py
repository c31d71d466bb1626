"""A batch: the unit of signing, of durability and of the wire. Pure bytes in and out.

A batch message is [public parts, private parts, signed commitment]: all parts of a sort in one byte string. How they
are decoded and hashed is in `l1.rules.log.leaves`. Salts of 256 entries come from one SHAKE-128 call over channel
secret, side and block, so they cost no wire bytes and either side can show one entry's salt without the others'.
"""

from functools import lru_cache
from hashlib import shake_128

import msgspec

from l1.ground.codec import Shape, decoder, encode
from l1.ground.faults import Fault, require
from l1.ground.hashing import tagged_digest
from l1.ground.limits import FRAME_BYTES_MAX, SALT_BYTES
from l1.rules.commitment import Signed
from l1.rules.log.leaves import count_parts
from l2.protocol.limits import SALT_BLOCK

__all__ = ["Batch", "Salts", "decode_batch", "encode_batch", "open_stored"]


class Batch(Shape, frozen=True):
    """The batch message; its parts are as `encode_parts` made them, and not looked into."""

    publics: bytes
    privates: bytes
    commitment: Signed

    @property
    def size(self) -> int:
        """How many entries it says that it has. Raises `Refused` for what no batch can have."""
        return count_parts(self.publics)


_decode = decoder(Batch, bytes_max=FRAME_BYTES_MAX, what="batch")
_stored: msgspec.msgpack.Decoder[Batch] = msgspec.msgpack.Decoder(Batch)


def decode_batch(message: bytes) -> Batch:
    """A batch message of the peer, whose parts `decode_parts` checks. Raises `Refused`."""
    batch: Batch = _decode(message)
    require(batch.size > 0, Fault.MALFORMED, "a batch has entries")
    return batch


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


def encode_batch(publics: bytes, privates: bytes, commitment: Signed) -> bytes:
    return encode(Batch(publics=publics, privates=privates, commitment=commitment))
