"""A sparse Merkle tree over 2**256 places: the state root, and proofs that a key has a value or none.

A subtree with one leaf is that leaf, whatever its depth, so a tree of n keys has about n inner nodes and proofs of
about log2(n) hashes. Leaf = H(0x02 ‖ place ‖ value digest), inner node = H(0x03 ‖ left ‖ right), empty = 32 zeros; the
prefixes differ from RFC 9162's, so no node of one tree is a node of the other. The tree of given contents has
exactly one shape. Source: Dahlberg, Pulls, Peeters, "Efficient Sparse Merkle Trees", 2016; Diem's Jellyfish tree.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from l1.ground.codec import Shape
from l1.ground.faults import Fault, require
from l1.ground.hashing import digest
from l1.ground.limits import SPARSE_PROOF_HASHES_MAX

__all__ = ["EMPTY", "GetNode", "SparseProof", "place_of", "prove", "update", "verify"]

V = TypeVar("V")

EMPTY = bytes(32)

GetNode = Callable[[bytes], bytes]
"""From a node's hash to its 65 bytes: prefix ‖ place ‖ value digest, or prefix ‖ left ‖ right."""

_LEAF, _INNER = b"\x02", b"\x03"


class SparseProof(Shape, frozen=True):
    """Sibling hashes from the root down, and the leaf that stands at the end of the path (empty: none does)."""

    siblings: tuple[bytes, ...]
    leaf: bytes


def place_of(key: bytes) -> bytes:
    """Where a key lives: 32 bytes."""
    return digest(key)


def _bit(place: bytes, depth: int) -> int:
    return place[depth >> 3] >> (7 - (depth & 7)) & 1


def update(get: GetNode, root: bytes, changes: Mapping[bytes, bytes | None]) -> tuple[bytes, dict[bytes, bytes]]:
    """The root after `changes` (place → value digest, None to remove), and the new nodes by hash.

    Cost: about len(changes) * log2(n) hashes. Nodes that fell out of use are left to the caller.
    """
    draft = _Draft(get)
    return draft.change(root, changes, 0), draft.fresh


class _Draft:
    """A tree in the making: what was there stays, what is new is kept by its hash."""

    def __init__(self, get: GetNode) -> None:
        self._get = get
        self.fresh: dict[bytes, bytes] = {}

    def change(self, name: bytes, part: Mapping[bytes, bytes | None], depth: int) -> bytes:
        """The subtree's name after the changes that fall into it."""
        if not part:
            return name
        node = b"" if name == EMPTY else self._load(name)
        if not node or node[:1] == _LEAF:
            before = {node[1:33]: node[33:]} if node else {}
            after = {place: value for place, value in {**before, **part}.items() if value is not None}
            return self._build(after, depth)
        near, far = _split(part, depth)
        left, right = self.change(node[1:33], near, depth + 1), self.change(node[33:], far, depth + 1)
        # A lone leaf moves up, so that contents alone decide the shape.
        if left == EMPTY and (right == EMPTY or self._load(right)[:1] == _LEAF):
            return right
        if right == EMPTY and self._load(left)[:1] == _LEAF:
            return left
        return self._keep(_INNER + left + right)

    def _build(self, leaves: Mapping[bytes, bytes], depth: int) -> bytes:
        """The name of the subtree that holds just these leaves."""
        if not leaves:
            return EMPTY
        if len(leaves) == 1:
            ((place, value),) = leaves.items()
            return self._keep(_LEAF + place + value)
        near, far = _split(leaves, depth)
        return self._keep(_INNER + self._build(near, depth + 1) + self._build(far, depth + 1))

    def _keep(self, node: bytes) -> bytes:
        name = digest(node)
        self.fresh[name] = node
        return name

    def _load(self, name: bytes) -> bytes:
        node = self.fresh.get(name)
        return self._get(name) if node is None else node


def _split(part: Mapping[bytes, V], depth: int) -> tuple[dict[bytes, V], dict[bytes, V]]:
    """What goes left and what goes right at this depth."""
    sides: tuple[dict[bytes, V], dict[bytes, V]] = ({}, {})
    for place, value in part.items():
        sides[_bit(place, depth)][place] = value
    return sides


def prove(get: GetNode, root: bytes, place: bytes) -> SparseProof:
    """The proof of what stands at a place, be it a value or nothing."""
    siblings: list[bytes] = []
    name = root
    while name != EMPTY:
        node = get(name)
        if node[:1] == _LEAF:
            return SparseProof(siblings=tuple(siblings), leaf=node[1:])
        turn = _bit(place, len(siblings))
        siblings.append(node[1:33] if turn else node[33:])
        name = node[33:] if turn else node[1:33]
    return SparseProof(siblings=tuple(siblings), leaf=b"")


def verify(root: bytes, place: bytes, value: bytes | None, proof: SparseProof) -> None:
    """Raise `Refused` (BAD_PROOF) unless the tree holds this value digest (None: nothing) at the place."""
    siblings: Sequence[bytes] = proof.siblings
    require(len(siblings) <= SPARSE_PROOF_HASHES_MAX, Fault.BAD_PROOF, "the proof is too long")
    require(all(len(s) == 32 for s in siblings), Fault.BAD_PROOF, "a sibling is not a hash")
    require(len(proof.leaf) in (0, 64), Fault.BAD_PROOF, "the leaf has the wrong length")
    stands, at = proof.leaf[32:], proof.leaf[:32]
    if value is None:
        require(at != place, Fault.BAD_PROOF, "something stands there")
        on_path = not at or all(_bit(at, d) == _bit(place, d) for d in range(len(siblings)))
        require(on_path, Fault.BAD_PROOF, "the leaf shown stands elsewhere")
    else:
        require(at == place and stands == value, Fault.BAD_PROOF, "another value stands there")
    name = digest(_LEAF + proof.leaf) if proof.leaf else EMPTY
    for depth in range(len(siblings) - 1, -1, -1):
        pair = siblings[depth] + name if _bit(place, depth) else name + siblings[depth]
        name = digest(_INNER + pair)
    require(name == root, Fault.BAD_PROOF, "the proof leads to another state root")
