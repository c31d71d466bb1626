"""Minimum necessary: which resources of a record fit what was asked for, and a tree by which each proves itself.

[PIECE-3] Every resource is a leaf, salted, in the ascending order of their hashes, filled up to a power of two: so one
proves itself alone, and its place says nothing about those that were left out. Knows no grant and no policy.
docs/spec/records.md, rules PIECE-*.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from l1.ground.codes import Label, RecordClass
from l1.ground.hashing import tagged_digest
from l1.ground.merkle import Frontier, inclusion_proof, leaf_hash
from l2.records.fhir import Piece, Slice

__all__ = ["PIECE_SALT_BYTES", "PieceTree", "Selection", "piece_leaf", "plant"]

PIECE_SALT_BYTES = 16  # enough that nobody can try out guesses of a resource that was left out

_DIRECTORY = 1 << RecordClass.DIRECTORY


@dataclass(frozen=True, slots=True)
class Selection:
    """[PIECE-4] What of a record is wanted: about whom, of which classes, from which period, up to which label."""

    subject: str
    classes: int
    from_ms: int
    until_ms: int
    label: int = Label.V

    def takes(self, piece: Piece, *, alone: bool) -> bool:
        """Whether a resource fits. `alone`: the record is about nobody else, so what names nobody is about them."""
        outside = piece.outside
        if outside.classes & ~self.classes or outside.label > self.label:
            return False
        if set(outside.subjects) - {self.subject}:
            return False
        if not outside.subjects and not alone and outside.classes != _DIRECTORY:
            return False
        # What has no date is in every period, as for FHIR's Patient/$everything.
        return outside.span is None or (outside.span[0] <= self.until_ms and outside.span[1] >= self.from_ms)


def piece_leaf(salt: bytes, url: str, raw: bytes) -> bytes:
    """The leaf hash of a resource: its salt, the URL that others call it by, its bytes as received."""
    assert len(salt) == PIECE_SALT_BYTES
    return leaf_hash(tagged_digest(b"piece", salt, url.encode(), raw))


class PieceTree:
    """The tree over all resources of one record."""

    def __init__(self, order: Sequence[int], levels: Sequence[Sequence[bytes]], salts: Sequence[bytes]) -> None:
        self._place = {piece: place for place, piece in enumerate(order)}
        self._levels, self._salts = levels, salts
        self.size = len(levels[0])

    @property
    def root(self) -> bytes:
        """What the custodian says of the whole record, 32 bytes."""
        return self._levels[-1][0]

    def proof(self, piece: int) -> tuple[int, bytes, list[bytes]]:
        """Place, salt and audit path (RFC 9162) of a resource, by its number in the record."""
        place = self._place[piece]
        path = inclusion_proof(lambda level, index: self._levels[level][index], place, self.size)
        return place, self._salts[piece], path


def plant(slices: Sequence[Slice], salt_of: Callable[[int], bytes]) -> PieceTree:
    """The tree of a record. `salt_of(n)` is 16 bytes that only its custodian can compute; of n beyond the last
    resource they make the leaves that fill it up."""
    assert slices, "a record without resources has no tree"
    size = 1 << (len(slices) - 1).bit_length()
    salts = [salt_of(number) for number in range(size)]
    leaves = [piece_leaf(salts[number], piece.url, piece.raw) for number, piece in enumerate(slices)]
    leaves += [leaf_hash(tagged_digest(b"no piece", salts[number])) for number in range(len(slices), size)]
    order = sorted(range(size), key=leaves.__getitem__)
    _, levels = Frontier().extend([leaves[number] for number in order])
    return PieceTree(order, levels, salts)
