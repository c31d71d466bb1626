"""A batch: the unit of signing, of durability and of the wire. Pure bytes in and out.

A batch message is [public parts, private parts, signed commitment]; a kind without private part leaves its place
empty. Leaf of entry i = public ‖ SHA-256(salt_i ‖ private), or the public part alone for such a kind. Salts of 256
entries come from one SHAKE-128 call over channel secret, side and block, so they cost no wire bytes and either side
can show one entry's salt without the others'. Every loop here runs at C speed over the whole batch.
"""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256, shake_128
from itertools import islice
from typing import Annotated

import msgspec
from msgspec import Meta

from l1.ground.codec import Shape, decoder, encode
from l1.ground.faults import Fault, Refused, require
from l1.ground.hashing import tagged_digest
from l1.ground.limits import BATCH_ENTRIES_MAX, FRAME_BYTES_MAX
from l1.rules.commitment import Signed
from l2.protocol.entries import TERMS_OF, Entry, Terms
from l2.protocol.limits import SALT_BLOCK, SALT_BYTES

__all__ = [
    "Batch",
    "Parts",
    "Salts",
    "decode_batch",
    "decode_one",
    "decode_parts",
    "encode_parts",
    "leaf_hashes",
    "one_leaf",
    "open_stored",
]

_Part = Annotated[bytes, Meta(max_length=1024)]


class Parts(Shape, frozen=True):
    """The parts of a batch's entries as they stand on the wire, in order."""

    publics: tuple[_Part, ...]
    privates: tuple[_Part, ...]


class Batch(Shape, frozen=True):
    """The batch message."""

    publics: Annotated[tuple[_Part, ...], Meta(min_length=1, max_length=BATCH_ENTRIES_MAX)]
    privates: Annotated[tuple[_Part, ...], Meta(min_length=1, max_length=BATCH_ENTRIES_MAX)]
    commitment: Signed


decode_batch = decoder(Batch, bytes_max=FRAME_BYTES_MAX, what="batch")

_publics = msgspec.msgpack.Decoder(list[Entry])
_privates = msgspec.msgpack.Decoder(list[Terms])
_stored: msgspec.msgpack.Decoder[Batch] = msgspec.msgpack.Decoder(Batch)
_public: msgspec.msgpack.Decoder[Entry] = msgspec.msgpack.Decoder(Entry)
_private: msgspec.msgpack.Decoder[Terms] = msgspec.msgpack.Decoder(Terms)
_encode_each = msgspec.msgpack.Encoder().encode


def _array_header(length: int) -> bytes:
    if length < 16:
        return bytes([0x90 | length])
    return b"\xdc" + length.to_bytes(2, "big")


def decode_parts(publics: Sequence[bytes], privates: Sequence[bytes]) -> tuple[list[Entry], list[Terms]]:
    """The entries, and the terms of those that have some, in order. Raises `Refused`.

    One decode per list, one encode to check that every part is in its one spelling.
    """
    require(len(publics) == len(privates), Fault.MALFORMED, "a batch has as many public as private parts")
    filled = [part for part in privates if part]
    public_bytes = b"".join([_array_header(len(publics)), *publics])
    private_bytes = b"".join([_array_header(len(filled)), *filled])
    try:
        entries = _publics.decode(public_bytes)
        terms = _privates.decode(private_bytes)
    except (msgspec.DecodeError, RecursionError, OverflowError) as error:
        raise Refused(Fault.MALFORMED, f"an entry does not decode ({error})") from None
    # Parts whose joints were moved would still decode; encoding each again pins every joint.
    require(
        tuple(map(_encode_each, entries)) == tuple(publics) and tuple(map(_encode_each, terms)) == tuple(filled),
        Fault.NOT_CANONICAL,
        "an entry is not in canonical form",
    )
    kinds = list(map(TERMS_OF.get, map(type, entries)))
    fits = [kind is None for kind in kinds] == [not part for part in privates]
    require(
        fits and list(filter(None, kinds)) == list(map(type, terms)),
        Fault.MALFORMED,
        "an entry has a private part of another kind, or lacks its own",
    )
    return entries, terms


def open_stored(message: bytes) -> Batch:
    """A batch message that was checked when it came in."""
    return _stored.decode(message)


def decode_one(public: bytes, private: bytes) -> tuple[Entry, Terms | None]:
    """One entry that was checked when its batch came in."""
    return _public.decode(public), _private.decode(private) if private else None


def encode_parts(entries: Sequence[Entry], terms: Sequence[Terms]) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Public and private parts, aligned. `terms` are those of the entries that have some, in order."""
    publics = tuple(map(_encode_each, entries))
    following = map(_encode_each, terms)
    privates = tuple([next(following) if type(entry) in TERMS_OF else b"" for entry in entries])
    return publics, privates


class Salts:
    """The salts of one side's log in one channel, made from the channel secret on demand."""

    def __init__(self, channel_secret: bytes, side: int) -> None:
        self._seed = tagged_digest(b"salts", channel_secret, bytes([side]))
        self._block = lru_cache(maxsize=8)(self._make_block)

    def __repr__(self) -> str:
        return "Salts(…)"

    def _make_block(self, block: int) -> list[bytes]:
        stream = shake_128(self._seed + block.to_bytes(8, "big")).digest(SALT_BLOCK * SALT_BYTES)
        return [stream[at : at + SALT_BYTES] for at in range(0, len(stream), SALT_BYTES)]

    def one(self, index: int) -> bytes:
        return self._block(index // SALT_BLOCK)[index % SALT_BLOCK]

    def span(self, first: int, count: int) -> list[bytes]:
        """The salts of entries first .. first + count."""
        start = first // SALT_BLOCK
        blocks = range(start, (first + count - 1) // SALT_BLOCK + 1)
        salts = [salt for block in blocks for salt in self._block(block)]
        offset = first - start * SALT_BLOCK
        return list(islice(salts, offset, offset + count))


def leaf_hashes(publics: Sequence[bytes], privates: Sequence[bytes], salts: Sequence[bytes]) -> list[bytes]:
    """The RFC 9162 leaf hashes of a batch."""
    return [
        sha256(b"\x00" + public + sha256(salt + private).digest() if private else b"\x00" + public).digest()
        for public, private, salt in zip(publics, privates, salts, strict=True)
    ]


def one_leaf(public: bytes, private_digest: bytes) -> bytes:
    """The leaf hash of one entry from its public part and the salted digest of its private part (empty: none)."""
    return sha256(b"\x00" + public + private_digest).digest()


def encode_batch(publics: tuple[bytes, ...], privates: tuple[bytes, ...], commitment: Signed) -> bytes:
    return encode(Batch(publics=publics, privates=privates, commitment=commitment))
