"""FHIR Bundles put together out of resources as they were received: joined as bytes, never encoded anew."""

from collections.abc import Sequence

import msgspec

from l2.records.fhir import Piece, Slice

__all__ = ["collection", "transaction"]


def collection(slices: Sequence[Slice]) -> bytes:
    """A Bundle of type `collection`."""
    return _bundle("collection", [_entry(one) for one in slices])


def transaction(pieces: Sequence[Piece]) -> bytes:
    """A Bundle of type `transaction` that a server may be given again and again: what has an id is put there (R4,
    section 3.1.0.7.1, update as create), what has none is posted."""
    return _bundle("transaction", [_entry(piece.slice, _request(piece)) for piece in pieces])


def _request(piece: Piece) -> bytes:
    kind, name = piece.outside.kind, piece.outside.id
    said = {"method": "PUT", "url": f"{kind}/{name}"} if name else {"method": "POST", "url": kind}
    return b',"request":' + msgspec.json.encode(said)


def _entry(one: Slice, more: bytes = b"") -> bytes:
    url = b'"fullUrl":' + msgspec.json.encode(one.url) + b"," if one.url else b""
    return b"{" + url + b'"resource":' + one.raw + more + b"}"


def _bundle(kind: str, entries: Sequence[bytes]) -> bytes:
    return b'{"resourceType":"Bundle","type":"%s","entry":[' % kind.encode() + b",".join(entries) + b"]}"
