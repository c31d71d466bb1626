"""An extract: some resources of a record as a FHIR Bundle, each with its proof against the custodian's tree.

[PIECE-5] It is a plain `collection` Bundle, marked SUBSETTED, that any FHIR system reads; the resources in it are the
very bytes of the original. The proofs are extensions: one for the tree, one for each entry, so that an entry proves
itself alone. docs/spec/records.md, rules PIECE-*.
"""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from l1.ground.codec import Shape, decoder, encode
from l1.ground.codes import Label
from l1.ground.faults import Fault, Refused, require
from l1.ground.fields import Digest
from l1.ground.merkle import verify_inclusion
from l2.records.fhir import Slice
from l2.records.limits import PIECES_MAX
from l2.records.pieces import PIECE_SALT_BYTES, PieceTree, piece_leaf

__all__ = ["Extract", "make_extract", "read_extract"]

_TREE_URL, _PIECE_URL = "urn:interward:record-tree", "urn:interward:record-piece"
_CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
_OBSERVATION_VALUE = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"
_PROOF_BYTES_MAX = 1024
_BAD = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)


class _Tree(Shape, frozen=True):
    root: Digest
    size: Annotated[int, Meta(ge=1, le=PIECES_MAX)]


class _Proof(Shape, frozen=True):
    place: Annotated[int, Meta(ge=0, lt=PIECES_MAX)]
    salt: Annotated[bytes, Meta(min_length=PIECE_SALT_BYTES, max_length=PIECE_SALT_BYTES)]
    path: tuple[Digest, ...]


_tree = decoder(_Tree, bytes_max=_PROOF_BYTES_MAX, what="record tree")
_proof = decoder(_Proof, bytes_max=_PROOF_BYTES_MAX, what="proof of a piece")


class Extract(NamedTuple):
    """What an extract says of itself. `fault` is empty when every resource in it leads to the root."""

    root: bytes
    size: int
    pieces: int
    fault: str


def make_extract(slices: Sequence[Slice], chosen: Sequence[int], tree: PieceTree, label: Label) -> bytes:
    """The Bundle of the chosen resources, by their numbers in the record, in the record's own order."""
    assert chosen
    head = {
        "extension": [_extension(_TREE_URL, _Tree(root=tree.root, size=tree.size))],
        "security": [{"system": _CONFIDENTIALITY, "code": label.name}],
        "tag": [{"system": _OBSERVATION_VALUE, "code": "SUBSETTED"}],
    }
    entries = b",".join(_entry(slices[number], tree, number) for number in chosen)
    meta = msgspec.json.encode(head)
    return b'{"resourceType":"Bundle","meta":' + meta + b',"type":"collection","entry":[' + entries + b"]}"


def _entry(piece: Slice, tree: PieceTree, number: int) -> bytes:
    place, salt, path = tree.proof(number)
    proof = _extension(_PIECE_URL, _Proof(place=place, salt=salt, path=tuple(path)))
    url = b'"fullUrl":' + msgspec.json.encode(piece.url) + b"," if piece.url else b""
    # The resource goes in as it was received: it is joined, never encoded.
    return b'{"extension":' + msgspec.json.encode([proof]) + b"," + url + b'"resource":' + piece.raw + b"}"


def _extension(url: str, value: Shape) -> dict[str, str]:
    return {"url": url, "valueBase64Binary": b64encode(encode(value)).decode()}


class _Outer(msgspec.Struct):
    resourceType: str  # noqa: N815 - FHIR's own spelling
    meta: Any = None
    entry: list[msgspec.Raw] | None = None


class _Entry(msgspec.Struct):
    resource: msgspec.Raw = msgspec.Raw(b"")
    fullUrl: Any = None  # noqa: N815
    extension: Any = None


_outer_of = msgspec.json.Decoder(_Outer).decode
_entry_of = msgspec.json.Decoder(_Entry).decode


def read_extract(content: bytes) -> Extract | None:
    """What an extract proves; None for content that is none. Never raises: a bad proof is told, not refused."""
    try:
        outer = _outer_of(content)
    except _BAD:
        return None
    said = _said(outer.meta, _TREE_URL) if outer.resourceType == "Bundle" else None
    if said is None:
        return None
    entries = outer.entry or []
    try:
        tree = _tree(_bytes(said))
    except Refused as refused:
        return Extract(b"", 0, len(entries), str(refused))
    try:
        _verify(entries, tree)
    except Refused as refused:
        return Extract(tree.root, tree.size, len(entries), str(refused))
    return Extract(tree.root, tree.size, len(entries), "")


def _verify(entries: Sequence[msgspec.Raw], tree: _Tree) -> None:
    """Raises `Refused`."""
    places: set[int] = set()
    for raw in entries:
        try:
            entry = _entry_of(raw)
        except _BAD:
            raise Refused(Fault.MALFORMED, "an entry does not decode") from None
        said = _said({"extension": entry.extension}, _PIECE_URL)
        require(said is not None, Fault.BAD_PROOF, "an entry has no proof")
        proof = _proof(_bytes(said))
        require(proof.place not in places, Fault.BAD_PROOF, "two entries have one place")
        places.add(proof.place)
        leaf = piece_leaf(proof.salt, entry.fullUrl if isinstance(entry.fullUrl, str) else "", bytes(entry.resource))
        verify_inclusion(leaf, proof.place, tree.size, proof.path, tree.root)


def _said(holder: object, url: str) -> object:
    extensions = holder.get("extension") if isinstance(holder, dict) else None
    for extension in extensions if isinstance(extensions, list) else []:
        if isinstance(extension, dict) and extension.get("url") == url:
            return extension.get("valueBase64Binary", "")
    return None


def _bytes(said: object) -> bytes:
    try:
        return b64decode(said.encode(), validate=True) if isinstance(said, str) else b""
    except (binascii.Error, UnicodeEncodeError):
        return b""
