"""The Merkle proof vectors of transparency-dev: every case is accepted or refused as published.

The file holds three kinds beside inclusion: consistency of two trees, inclusion in a subtree, and consistency of a
subtree with its tree (draft-ietf-plants-merkle-tree-certs), of which RFC 9162's two are the cases that start at 0.
"""

from base64 import b64decode
from typing import Any

import pytest

from l1.ground.faults import Fault, Refused
from l1.ground.merkle import check_subtree, verify_consistency, verify_inclusion, verify_subtree
from tests.vectors import load, named

Case = dict[str, Any]
VECTORS = load("rfc9162_merkle.json")
CASES: list[Case] = [*VECTORS["inclusion"], *VECTORS["consistency"]]


def proof_of(case: Case) -> list[bytes]:
    return [b64decode(part) for part in case["proof"] or []]


def verify(case: Case) -> None:
    """Raise `Refused` unless the case's proof stands."""
    proof = proof_of(case)
    match case:
        case {"leafIdx": index, "treeSize": size, "leafHash": leaf, "root": root}:
            verify_inclusion(b64decode(leaf), index, size, proof, b64decode(root))
        case {"leafIdx": index, "start": start, "end": end, "leafHash": leaf, "root": root}:
            check_subtree(start, end)
            verify_inclusion(b64decode(leaf), index - start, end - start, proof, b64decode(root))
        case {"start": start, "end": end, "size": size, "root1": first, "root2": second}:
            verify_subtree(start, end, size, (b64decode(first), b64decode(second)), proof)
        case {"size1": smaller, "size2": larger, "root1": first, "root2": second}:
            verify_consistency(smaller, larger, b64decode(first), b64decode(second), proof)
        case _:
            raise AssertionError(f"a kind of case that this test does not know: {case}")


def test_nothing_of_the_file_is_left_out() -> None:
    assert len(VECTORS["inclusion"]) >= 98
    assert len(VECTORS["consistency"]) >= 420


def test_every_case() -> None:
    for case in CASES:
        with named(case["name"]):
            check(case)


def check(case: Case) -> None:
    if not case["wantErr"]:
        verify(case)
        return
    with pytest.raises(Refused) as refused:
        verify(case)
    assert refused.value.fault is Fault.BAD_PROOF
