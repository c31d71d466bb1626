"""RFC 9162 Merkle trees: the head of an append-only log, inclusion and consistency proofs, verification.

A log is known here by the hashes of its complete subtrees: `node(level, index)` covers the 2**level leaves from
index * 2**level on. `Frontier` keeps only the complete subtrees on the right edge (at most 48 hashes), so appending
never needs the log; proofs ask the caller for the nodes they need. Source: RFC 9162, sections 2.1.1 to 2.1.4.
"""

from collections.abc import Callable, Sequence

from l1.ground.codec import Shape
from l1.ground.faults import Fault, Refused, require
from l1.ground.hashing import digest
from l1.ground.limits import HASH_BYTES
from l1.ground.many import node_hashes

__all__ = [
    "EMPTY_ROOT",
    "Frontier",
    "Node",
    "check_subtree",
    "consistency_proof",
    "inclusion_proof",
    "leaf_hash",
    "node_hash",
    "root_of",
    "verify_consistency",
    "verify_inclusion",
    "verify_subtree",
]

EMPTY_ROOT = digest(b"")

Node = Callable[[int, int], bytes]
"""`node(level, index)`: the hash of a complete subtree of 2**level leaves."""


def leaf_hash(leaf: bytes) -> bytes:
    return digest(b"\x00" + leaf)


def node_hash(left: bytes, right: bytes) -> bytes:
    return digest(b"\x01" + left + right)


class Frontier(Shape, frozen=True):
    """The right edge of a log: its size and the roots of its complete subtrees, largest first."""

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def root(self) -> bytes:
        """The tree head hash (RFC 9162, section 2.1.1)."""
        if not self.peaks:
            return EMPTY_ROOT
        root, *rest = reversed(self.peaks)
        for peak in rest:
            root = node_hash(peak, root)
        return root

    def extend(self, leaves: Sequence[bytes]) -> tuple["Frontier", list[list[bytes]]]:
        """The frontier after `leaves` (leaf hashes), and the complete nodes that came to be, per level.

        The nodes of level k start at index `self.size >> k`; level 0 is `leaves` itself.
        """
        size, row = self.size, list(leaves)
        peaks, behind = list(self.peaks), list[bytes]()  # complete subtrees left of `row`, and right of what it makes
        made: list[list[bytes]] = []
        while row:
            made.append(row)
            if size & 1:
                row = [peaks.pop(), *row]
            if len(row) & 1:
                behind.append(row[-1])
            row, size = node_hashes(row), size >> 1
        peaks += reversed(behind)
        return Frontier(size=self.size + len(leaves), peaks=tuple(peaks)), made


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes."""
    return Frontier().extend(leaves)[0].root()


def _range_root(node: Node, start: int, end: int) -> bytes:
    """The root of leaves start..end, where start is aligned to the smallest power of two that covers the range."""
    size = end - start
    if size & (size - 1) == 0:
        level = size.bit_length() - 1
        return node(level, start >> level)
    split = 1 << ((size - 1).bit_length() - 1)
    return node_hash(_range_root(node, start, start + split), _range_root(node, start + split, end))


def inclusion_proof(node: Node, index: int, size: int) -> list[bytes]:
    """The audit path of leaf `index` in the tree of `size` leaves, lowest first (RFC 9162, section 2.1.3.1)."""
    assert 0 <= index < size
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        split = start + (1 << ((end - start - 1).bit_length() - 1))
        if index < split:
            path.append(_range_root(node, split, end))
            end = split
        else:
            path.append(_range_root(node, start, split))
            start = split
    path.reverse()
    return path


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Raise `Refused` unless the leaf hash stands at `index` in the tree (RFC 9162, section 2.1.3.2)."""
    require(0 <= index < size, Fault.BAD_PROOF, "the index lies outside the tree")
    _check_hashes(leaf, root, *proof)
    fn, sn, r = index, size - 1, leaf
    for p in proof:
        require(sn, Fault.BAD_PROOF, "the proof is too long")
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    require(sn == 0, Fault.BAD_PROOF, "the proof is too short")
    require(r == root, Fault.BAD_PROOF, "the proof leads to another root")


def consistency_proof(node: Node, first: int, second: int) -> list[bytes]:
    """The proof that the tree of `second` leaves begins with that of `first` (RFC 9162, section 2.1.4.1)."""
    assert 0 <= first <= second
    if first in (0, second):
        return []

    def subproof(start: int, end: int, *, whole: bool) -> list[bytes]:
        if first == end:
            return [] if whole else [_range_root(node, start, end)]
        split = start + (1 << ((end - start - 1).bit_length() - 1))
        if first <= split:
            return [*subproof(start, split, whole=whole), _range_root(node, split, end)]
        return [*subproof(split, end, whole=False), _range_root(node, start, split)]

    return subproof(0, second, whole=True)


def verify_consistency(first: int, second: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]) -> None:
    """Raise `Refused` unless the second tree extends the first (RFC 9162, section 2.1.4.2).

    An empty first tree is refused unless both are empty: everything extends it, so there is nothing to prove.
    """
    if second == 0:
        empty = first == 0 and first_root == second_root == EMPTY_ROOT and not proof
        require(empty, Fault.BAD_PROOF, "only the empty tree comes before the empty tree")
        return
    require(first > 0, Fault.BAD_PROOF, "nothing can be proved of the empty tree")
    verify_subtree(0, first, second, (first_root, second_root), proof)


def verify_subtree(start: int, end: int, size: int, roots: tuple[bytes, bytes], proof: Sequence[bytes]) -> None:
    """Raise `Refused` unless the tree of `size` leaves has `roots[1]`, and its leaves start..end have `roots[0]`.

    A consistency proof is one for a subtree that starts at 0. Source: draft-ietf-plants-merkle-tree-certs, section 4.4.
    """
    subtree, root = roots
    check_subtree(start, end)
    require(end <= size, Fault.BAD_PROOF, "the subtree ends beyond the tree")
    _check_hashes(*proof)
    if start == end:
        require(subtree == EMPTY_ROOT and not proof, Fault.BAD_PROOF, "the empty subtree has another root")
        return
    fn, sn, tn = start, end - 1, size - 1
    while fn != sn and (sn == tn or sn & 1):
        fn, sn, tn = fn >> 1, sn >> 1, tn >> 1
    path = list(proof) if fn != sn else [subtree, *proof]
    require(path, Fault.BAD_PROOF, "the proof is empty")
    fr = sr = path[0]
    for c in path[1:]:
        require(tn, Fault.BAD_PROOF, "the proof is too long")
        if sn & 1 or sn == tn:
            fr = node_hash(c, fr) if fn < sn else fr
            sr = node_hash(c, sr)
            while sn and not sn & 1:
                fn, sn, tn = fn >> 1, sn >> 1, tn >> 1
        else:
            sr = node_hash(sr, c)
        fn, sn, tn = fn >> 1, sn >> 1, tn >> 1
    if tn or fr != subtree or sr != root:
        raise Refused(Fault.BAD_PROOF, "the proof does not join the two roots")


def check_subtree(start: int, end: int) -> None:
    """Raise `Refused` unless leaves start..end can be a subtree: its start is a multiple of the size it grows to."""
    require(0 <= start <= end, Fault.BAD_PROOF, "a subtree cannot end before it starts")
    whole = 1 << (end - start - 1).bit_length() if end > start else 1
    require(start % whole == 0, Fault.BAD_PROOF, "no subtree starts there")


def _check_hashes(*hashes: bytes) -> None:
    require(all(len(h) == HASH_BYTES for h in hashes), Fault.BAD_PROOF, "something in the proof is not a hash")
