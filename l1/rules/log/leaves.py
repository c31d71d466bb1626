"""How an entry becomes a leaf of its log, and how its parts are read again. Pure bytes in and out.

Leaf of entry i = public ‖ SHA-256(salt_i ‖ private), or the public part alone for a kind without a private part. The
parts of a batch stand together: an array of all public ones, and one of the private ones that there are. Every loop
here runs at C speed over a whole batch. Rules ENTRY-1 and ENTRY-3 of docs/spec/entries.md.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated

import msgspec
from msgspec import Meta

from l1.ground import many
from l1.ground.codec import Shape, decoder
from l1.ground.faults import Fault, Refused, require
from l1.ground.fields import Digest
from l1.ground.limits import BATCH_ENTRIES_MAX, PART_BYTES_MAX, SALT_BYTES
from l1.ground.many import join_parts
from l1.rules.log.entries import TERMS_OF, Entry, Terms, tag_of

__all__ = [
    "Hidden",
    "Opened",
    "Part",
    "align",
    "count_parts",
    "cut_parts",
    "decode_parts",
    "decode_stored",
    "encode_parts",
    "join_parts",
    "leaf_hashes",
    "leaf_of",
    "one_leaf",
    "pick_parts",
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
_encode = msgspec.msgpack.Encoder().encode

_WITH_PRIVATE = sum(1 << tag_of(kind) for kind in TERMS_OF)


def encode_parts(entries: Sequence[Entry], terms: Sequence[Terms]) -> tuple[bytes, bytes]:
    """All public parts, and all private ones. `terms` are those of the entries that have some, in order."""
    return _encode(entries), _encode(terms)


def decode_parts(publics: bytes, privates: bytes) -> tuple[list[Entry], list[Terms]]:
    """The entries, and the terms of those that have some, in order. Raises `Refused`.

    One decode per array, and one encode to check that everything in it is in its one spelling.
    """
    try:
        entries, terms = _publics.decode(publics), _privates.decode(privates)
    except (msgspec.DecodeError, RecursionError, OverflowError) as error:
        raise Refused(Fault.MALFORMED, f"an entry does not decode ({error})") from None
    canonical = _encode(entries) == publics and _encode(terms) == privates
    require(canonical, Fault.NOT_CANONICAL, "an entry is not in canonical form")
    require(
        list(map(type, terms)) == list(filter(None, map(TERMS_OF.get, map(type, entries)))),
        Fault.MALFORMED,
        "an entry has a private part of another kind, or lacks its own",
    )
    return entries, terms


def count_parts(parts: bytes) -> int:
    """How many parts such an array says that it has. Raises `Refused` if it is none, or longer than a batch."""
    head = parts[0] if parts else 0
    count = head & 0x0F if head & 0xF0 == 0x90 else int.from_bytes(parts[1:3], "big") if head == 0xDC else -1
    require(0 <= count <= BATCH_ENTRIES_MAX, Fault.MALFORMED, f"at most {BATCH_ENTRIES_MAX} parts are in a batch")
    return count


def cut_parts(publics: bytes, privates: bytes) -> tuple[list[bytes], list[bytes]]:
    """Parts that were checked, one by one and aligned: an empty private part where there is none."""
    return many.cut_parts(publics, privates, _WITH_PRIVATE)


def pick_parts(publics: bytes, privates: bytes, indices: Sequence[int]) -> tuple[bytes, bytes]:
    """Those of the parts, in rising order, as if they stood alone: some nanoseconds for each that is passed over."""
    return many.pick_parts(publics, privates, _WITH_PRIVATE, indices)


def leaf_hashes(publics: bytes, privates: bytes, salts: bytes) -> list[bytes]:
    """The leaf hash of every entry. `salts` are all salts in one piece."""
    return many.leaf_hashes(publics, privates, salts, _WITH_PRIVATE)


def decode_stored(publics: bytes, privates: bytes) -> list[tuple[Entry, Terms | None]]:
    """Entries that were checked when their batch came in, each with its terms."""
    return align(_publics.decode(publics), _privates.decode(privates))


def align(entries: Sequence[Entry], terms: Sequence[Terms]) -> list[tuple[Entry, Terms | None]]:
    """Each entry with its terms, or None for a kind without. `terms` are in the order of the entries that have some."""
    following = iter(terms)
    return [(entry, next(following) if type(entry) in TERMS_OF else None) for entry in entries]


def one_leaf(public: bytes, private_digest: bytes) -> bytes:
    """The leaf hash of one entry from its public part and the salted digest of its private part (empty: none)."""
    return sha256(b"\x00" + public + private_digest).digest()


_decode_public = decoder(Entry, bytes_max=PART_BYTES_MAX, what="entry")  # type: ignore[arg-type, var-annotated]


def read_parts(public: bytes, private: Opened | Hidden | None) -> tuple[Entry, Terms | None]:
    """One entry that anybody may have made up: canonical, with a private part if and only if its kind has one.

    Terms where they are shown. Raises `Refused`.
    """
    if isinstance(private, Opened):
        entries, terms = decode_parts(*join_parts((public,), (private.private,)))
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
