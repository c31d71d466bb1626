"""Many hashes at once are the same in C and in Python, for whatever they are asked."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l1.ground import many
from l1.ground.hashing import digest
from l1.ground.limits import SALT_BYTES

SALTS = st.binary(min_size=SALT_BYTES, max_size=SALT_BYTES)
PARTS = st.lists(st.tuples(st.binary(max_size=130), st.binary(max_size=130), SALTS), max_size=40)
only_in_c = pytest.mark.skipif(not many.IN_C, reason="no C compiler or no libcrypto was at hand at installation")


@given(PARTS)
def test_leaves(parts: list[tuple[bytes, bytes, bytes]]) -> None:
    publics, privates = (tuple(part[at] for part in parts) for at in range(2))
    salts = b"".join(salt for _, _, salt in parts)
    expected = [digest(b"\x00" + a + (digest(salt + b) if b else b"")) for a, b, salt in parts]
    assert many.leaf_hashes_in_python(publics, privates, salts) == expected
    assert many.leaf_hashes(publics, list(privates), salts) == expected


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=40))
def test_nodes(row: list[bytes]) -> None:
    expected = [digest(b"\x01" + row[at] + row[at + 1]) for at in range(0, len(row) - 1, 2)]
    assert many.node_hashes_in_python(row) == expected
    assert many.node_hashes(row) == many.node_hashes(tuple(row)) == expected


SALT = bytes(SALT_BYTES)


@pytest.mark.parametrize(
    "parts",
    [
        ([b"a", b"b"], [b"", b""], SALT),
        ([b"a", b"b"], [b""], 2 * SALT),
        ([b"a"], [b"", b""], SALT),
        ([b"a"], [b""], SALT[1:]),
        ([], [], SALT),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(parts: tuple[list[bytes], list[bytes], bytes]) -> None:
    for leaf_hashes in (many.leaf_hashes, many.leaf_hashes_in_python):
        with pytest.raises(ValueError):
            leaf_hashes(*parts)


@only_in_c
@pytest.mark.parametrize("wrong", [None, 3, "a"])
def test_what_is_no_bytes_is_refused(wrong: Any) -> None:
    for position in range(2):
        parts: list[Any] = [[b"a"], [b"b"], SALT]
        parts[position] = [wrong]
        with pytest.raises(TypeError):
            many.leaf_hashes(*parts)
    with pytest.raises(TypeError):
        many.leaf_hashes([b"a"], [b"b"], wrong)
    with pytest.raises(TypeError):
        many.node_hashes([b"a", wrong])


@only_in_c
@pytest.mark.parametrize("nothing", [None, 3])
def test_what_is_no_sequence_is_refused(nothing: Any) -> None:
    with pytest.raises(TypeError):
        many.node_hashes(nothing)
    with pytest.raises(TypeError):
        many.leaf_hashes(nothing, [], b"")
