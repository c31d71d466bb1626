"""The state tree against a dictionary: contents alone decide the root, and proofs tell the truth."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l1.ground.faults import Refused
from l1.ground.hashing import digest
from l1.ground.sparse import EMPTY, SparseProof, place_of, prove, update, verify

near = st.integers(0, 7).map(lambda low: bytes(31) + bytes([low]))
"""Places that share 253 bits: the deepest trees."""
places = st.one_of(near, st.integers(0, 40).map(lambda n: place_of(bytes([n]))))
values = st.integers(0, 5).map(lambda n: digest(bytes([n])))
contents = st.dictionaries(places, values, max_size=20)
changes = st.dictionaries(places, st.none() | values, max_size=12)


class Tree:
    """A tree with the nodes it was ever told of."""

    def __init__(self) -> None:
        self.nodes: dict[bytes, bytes] = {}
        self.root = EMPTY

    def change(self, part: dict[bytes, bytes | None]) -> None:
        self.root, fresh = update(self.nodes.__getitem__, self.root, part)
        for name, node in fresh.items():
            assert (digest(node), len(node)) == (name, 65)
        self.nodes |= fresh


def tree_of(*steps: dict[bytes, bytes | None]) -> Tree:
    tree = Tree()
    for step in steps:
        tree.change(step)
    return tree


def applied(*steps: dict[bytes, bytes | None]) -> dict[bytes, bytes]:
    model: dict[bytes, bytes | None] = {}
    for step in steps:
        model |= step
    return {place: value for place, value in model.items() if value is not None}


@given(changes, changes, changes)
def test_contents_alone_decide_the_root(
    a: dict[bytes, bytes | None], b: dict[bytes, bytes | None], c: dict[bytes, bytes | None]
) -> None:
    model = applied(a, b, c)
    at_once = tree_of(dict(model))
    assert tree_of(a, b, c).root == at_once.root
    steps: list[dict[bytes, bytes | None]] = [{place: value} for place, value in reversed(model.items())]
    one_by_one = tree_of(*steps)
    assert one_by_one.root == at_once.root
    assert (at_once.root == EMPTY) == (not model)


@given(contents, contents)
def test_different_contents_have_different_roots(a: dict[bytes, bytes], b: dict[bytes, bytes]) -> None:
    assert (tree_of(dict(a)).root == tree_of(dict(b)).root) == (a == b)


@given(changes, changes, places)
def test_every_place_is_proved_full_or_empty(
    a: dict[bytes, bytes | None], b: dict[bytes, bytes | None], place: bytes
) -> None:
    tree, model = tree_of(a, b), applied(a, b)
    for asked in {place, *model}:
        proof = prove(tree.nodes.__getitem__, tree.root, asked)
        verify(tree.root, asked, model.get(asked), proof)


@given(contents, places, values)
def test_a_proof_proves_nothing_else(model: dict[bytes, bytes], place: bytes, value: bytes) -> None:
    tree = tree_of(dict(model))
    proof = prove(tree.nodes.__getitem__, tree.root, place)
    for claim in (None, value):
        if claim != model.get(place):
            with pytest.raises(Refused):
                verify(tree.root, place, claim, proof)
    with pytest.raises(Refused):
        verify(digest(tree.root), place, model.get(place), proof)


@given(contents, places, values, st.data())
def test_no_other_proof_makes_a_false_claim_true(
    model: dict[bytes, bytes], place: bytes, value: bytes, data: st.DataObject
) -> None:
    """Proofs of other places, cut and mixed, never show what is not there."""
    tree = tree_of(dict(model))
    other = prove(tree.nodes.__getitem__, tree.root, data.draw(places))
    cut = data.draw(st.integers(0, len(other.siblings)))
    leaf = data.draw(st.sampled_from([other.leaf, b"", place + value]))
    forged = SparseProof(siblings=other.siblings[:cut], leaf=leaf)
    for claim in (None, value):
        if claim != model.get(place):
            with pytest.raises(Refused):
                verify(tree.root, place, claim, forged)


@given(st.lists(st.binary(max_size=33), max_size=5), st.binary(max_size=65))
def test_nonsense_is_refused_and_never_an_error(siblings: list[bytes], leaf: bytes) -> None:
    with suppress(Refused):
        verify(EMPTY, bytes(32), None, SparseProof(siblings=tuple(siblings), leaf=leaf))
