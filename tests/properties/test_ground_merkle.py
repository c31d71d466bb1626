"""RFC 9162 trees against the RFC's own recursive definitions, written out naively."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l1.ground.faults import Refused
from l1.ground.hashing import digest
from l1.ground.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

SIZE_MAX = 70
LEAVES = [leaf_hash(bytes([number])) for number in range(SIZE_MAX)]
sizes = st.integers(1, SIZE_MAX)


def split(size: int) -> int:
    """The largest power of two smaller than size."""
    return 1 << (size - 1).bit_length() - 1


def naive_root(leaves: list[bytes]) -> bytes:
    """MTH of section 2.1.1, over leaf hashes."""
    if len(leaves) < 2:
        return leaves[0] if leaves else digest(b"")
    k = split(len(leaves))
    return node_hash(naive_root(leaves[:k]), naive_root(leaves[k:]))


def naive_path(index: int, leaves: list[bytes]) -> list[bytes]:
    """PATH of section 2.1.3.1."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if index < k:
        return [*naive_path(index, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(index - k, leaves[k:]), naive_root(leaves[:k])]


def naive_proof(first: int, leaves: list[bytes], *, whole: bool = True) -> list[bytes]:
    """SUBPROOF of section 2.1.4.1."""
    if first == len(leaves):
        return [] if whole else [naive_root(leaves)]
    k = split(len(leaves))
    if first <= k:
        return [*naive_proof(first, leaves[:k], whole=whole), naive_root(leaves[k:])]
    return [*naive_proof(first - k, leaves[k:], whole=False), naive_root(leaves[:k])]


def node(level: int, index: int) -> bytes:
    """A complete subtree of the test's log; asking for one that is not complete is a fault of the code."""
    assert (index + 1) << level <= SIZE_MAX
    return naive_root(LEAVES[index << level : (index + 1) << level])


@given(st.lists(st.integers(0, 20), max_size=6))
def test_a_frontier_grows_by_any_steps_to_the_same_root(steps: list[int]) -> None:
    frontier, total = Frontier(), 0
    for step in steps:
        leaves = [LEAVES[number % SIZE_MAX] for number in range(total, total + step)]
        frontier, made = frontier.extend(leaves)
        for level, row in enumerate(made):
            start = total >> level
            assert [tree_node(level, start + place) for place in range(len(row))] == row
        total += step
    assert frontier.size == total
    assert frontier.root() == naive_root([LEAVES[number % SIZE_MAX] for number in range(total)])


def tree_node(level: int, index: int) -> bytes:
    """Like `node`, over the log that repeats the leaves."""
    return naive_root([LEAVES[number % SIZE_MAX] for number in range(index << level, (index + 1) << level)])


def test_roots_of_every_size() -> None:
    assert root_of([]) == EMPTY_ROOT
    for size in range(SIZE_MAX):
        assert root_of(LEAVES[:size]) == naive_root(LEAVES[:size])


@given(sizes, st.data())
def test_inclusion_is_proved_as_the_rfc_says(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(node, index, size)
    assert proof == naive_path(index, LEAVES[:size])
    verify_inclusion(LEAVES[index], index, size, proof, naive_root(LEAVES[:size]))


@given(sizes, st.data())
def test_a_proof_of_inclusion_proves_nothing_else(size: int, data: st.DataObject) -> None:
    index, other = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size + 1))
    root = naive_root(LEAVES[:size])
    proof = naive_path(index, LEAVES[:size])
    wrong = [[*proof, root], [bytes(32), *proof], proof[:-1], proof[1:]]
    for bad in wrong:
        if bad != proof:
            with pytest.raises(Refused):
                verify_inclusion(LEAVES[index], index, size, bad, root)
    if other != index:
        with pytest.raises(Refused):
            verify_inclusion(LEAVES[index], other, size, proof, root)
    with pytest.raises(Refused):
        verify_inclusion(leaf_hash(b"another"), index, size, proof, root)


@given(sizes, st.data())
def test_consistency_is_proved_as_the_rfc_says(second: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(1, second))
    proof = consistency_proof(node, first, second)
    assert proof == naive_proof(first, LEAVES[:second])
    verify_consistency(first, second, naive_root(LEAVES[:first]), naive_root(LEAVES[:second]), proof)


@given(sizes, st.data())
def test_no_proof_joins_a_log_with_a_rewritten_one(second: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(1, second))
    place = data.draw(st.integers(0, first - 1))
    rewritten = [*LEAVES[:place], leaf_hash(b"another"), *LEAVES[place + 1 : second]]
    for proof in (naive_proof(first, LEAVES[:second]), naive_proof(first, rewritten)):
        with pytest.raises(Refused):
            verify_consistency(first, second, naive_root(LEAVES[:first]), naive_root(rewritten), proof)


@given(st.integers(-1, 5), st.integers(-1, 5), st.lists(st.binary(max_size=33), max_size=4))
def test_nonsense_is_refused_and_never_an_error(first: int, second: int, proof: list[bytes]) -> None:
    with suppress(Refused):
        verify_consistency(first, second, EMPTY_ROOT, EMPTY_ROOT, proof)
    with suppress(Refused):
        verify_inclusion(EMPTY_ROOT, first, second, proof, EMPTY_ROOT)
