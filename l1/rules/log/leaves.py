"""How an entry becomes a leaf of its log, and how its parts are read again. Pure bytes in and out.

Leaf of entry i = public ‖ SHA-256(salt_i ‖ private), or the public part alone for a kind without a private part. Every
loop here runs at C speed over a whole batch. Rules ENTRY-1 and ENTRY-3 of docs/spec/entries.md.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated

import msgspec
from msgspec import Meta

from l1.ground.codec import Shape, decoder
from l1.ground.faults import Fault, Refused, require
from l1.ground.fields import Digest
from l1.ground.limits import PART_BYTES_MAX, SALT_BYTES
from l1.ground.many import leaf_hashes
from l1.rules.log.entries import TERMS_OF, Entry, Terms

__all__ = [
    "Hidden",
    "Opened",
    "Part",
    "decode_one",
    "decode_parts",
    "encode_parts",
    "leaf_hashes",
    "leaf_of",
    "one_leaf",
    "read_parts",
]

Part = Annotated[bytes, Meta(max_length=PART_BYTES_MAX)]


class Opened(Shape, frozen=True, tag=1):
    """A private part that is shown, and the salt that opens it."""

    salt: Annotated[bytes, Meta(min_length=SALT_BYTES, max_length=SALT_BYTES)]
    private: Part


class Hidden(Shape, frozen=True, tag=2):
    """The salted digest of a private part that is not shown."""

    digest: Digest


_publics = msgspec.msgpack.Decoder(list[Entry])
_privates = msgspec.msgpack.Decoder(list[Terms])
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
    filled = tuple(filter(None, privates))
    public_bytes = b"".join([_array_header(len(publics)), *publics])
    private_bytes = b"".join([_array_header(len(filled)), *filled])
    try:
        entries = _publics.decode(public_bytes)
        terms = _privates.decode(private_bytes)
    except (msgspec.DecodeError, RecursionError, OverflowError) as error:
        raise Refused(Fault.MALFORMED, f"an entry does not decode ({error})") from None
    # Parts whose joints were moved would still decode; encoding each again pins every joint.
    require(
        tuple(map(_encode_each, entries)) == tuple(publics) and tuple(map(_encode_each, terms)) == filled,
        Fault.NOT_CANONICAL,
        "an entry is not in canonical form",
    )
    following = iter(map(type, terms))
    require(
        [next(following) if private else None for private in privates] == list(map(TERMS_OF.get, map(type, entries))),
        Fault.MALFORMED,
        "an entry has a private part of another kind, or lacks its own",
    )
    return entries, terms


def decode_one(public: bytes, private: bytes) -> tuple[Entry, Terms | None]:
    """One entry that was checked when its batch came in."""
    return _public.decode(public), _private.decode(private) if private else None


def encode_parts(entries: Sequence[Entry], terms: Sequence[Terms]) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Public and private parts, aligned. `terms` are those of the entries that have some, in order."""
    publics = tuple(map(_encode_each, entries))
    following = map(_encode_each, terms)
    privates = tuple([next(following) if type(entry) in TERMS_OF else b"" for entry in entries])
    return publics, privates


def one_leaf(public: bytes, private_digest: bytes) -> bytes:
    """The leaf hash of one entry from its public part and the salted digest of its private part (empty: none)."""
    return sha256(b"\x00" + public + private_digest).digest()


_decode_public = decoder(Entry, bytes_max=PART_BYTES_MAX, what="entry")  # type: ignore[arg-type, var-annotated]


def read_parts(public: bytes, private: Opened | Hidden | None) -> tuple[Entry, Terms | None]:
    """One entry that anybody may have made up: canonical, with a private part if and only if its kind has one.

    Terms where they are shown. Raises `Refused`.
    """
    if isinstance(private, Opened):
        entries, terms = decode_parts((public,), (private.private,))
        require(terms, Fault.MALFORMED, "a private part that is empty")
        return entries[0], terms[0]
    entry: Entry = _decode_public(public)
    hidden = private is not None
    require(hidden == (type(entry) in TERMS_OF), Fault.MALFORMED, "the private part does not fit the entry's kind")
    return entry, None


def leaf_of(public: bytes, private: Opened | Hidden | None) -> bytes:
    """The leaf hash of an entry whose private part is shown, hidden, or not there."""
    match private:
        case None:
            return one_leaf(public, b"")
        case Opened(salt=salt, private=shown):
            return one_leaf(public, sha256(salt + shown).digest())
        case Hidden(digest=hidden):
            return one_leaf(public, hidden)
