"""Many hashes at once are the same in C and in Python, for whatever they are asked."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l1.ground import many
from l1.ground.codec import encode
from l1.ground.hashing import digest
from l1.ground.limits import SALT_BYTES

WITH_PRIVATE = 0b1010  # kinds 1 and 3
SALT = bytes(SALT_BYTES)
NUMBERS = st.integers(-(2**63), 2**64 - 1)
SCALARS = st.one_of(NUMBERS, st.binary(max_size=200), st.booleans(), st.none())
PARTS = st.tuples(st.integers(0, 4), st.lists(SCALARS, max_size=13))
ENTRIES = st.lists(st.tuples(PARTS, PARTS, st.binary(min_size=SALT_BYTES, max_size=SALT_BYTES)), max_size=40)
only_in_c = pytest.mark.skipif(not many.IN_C, reason="no C compiler or no libcrypto was at hand at installation")
both = pytest.mark.parametrize("leaf_hashes", [many.leaf_hashes, many.leaf_hashes_in_python])


@given(ENTRIES)
def test_leaves(entries: list[tuple[Any, Any, bytes]]) -> None:
    publics, privates = (
        [[part[0], *part[1]] for part in parts] for parts in list(zip(*entries, strict=True))[:2] or ((), ())
    )
    hidden = [private for public, private in zip(publics, privates, strict=True) if WITH_PRIVATE >> public[0] & 1]
    salts = b"".join(salt for _, _, salt in entries)
    expected = [
        digest(b"\x00" + encode(a) + (digest(salt + encode(b)) if WITH_PRIVATE >> a[0] & 1 else b""))
        for a, b, (_, _, salt) in zip(publics, privates, entries, strict=True)
    ]
    for leaf_hashes in (many.leaf_hashes, many.leaf_hashes_in_python):
        assert leaf_hashes(encode(publics), encode(hidden), salts, WITH_PRIVATE) == expected


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=40))
def test_nodes(row: list[bytes]) -> None:
    expected = [digest(b"\x01" + row[at] + row[at + 1]) for at in range(0, len(row) - 1, 2)]
    assert many.node_hashes_in_python(row) == expected
    assert many.node_hashes(row) == many.node_hashes(tuple(row)) == expected


@given(ENTRIES, st.data())
def test_some_of_the_parts(entries: list[tuple[Any, Any, bytes]], data: st.DataObject) -> None:
    publics = [[part[0], *part[1]] for part, _, _ in entries]
    privates = [[part[0], *part[1]] if WITH_PRIVATE >> of[0] & 1 else None for of, part, _ in entries]
    wanted = sorted(data.draw(st.sets(st.integers(0, len(entries) - 1)))) if entries else []
    together = (encode(publics), encode([part for part in privates if part is not None]))
    picked = [(publics[at], privates[at]) for at in wanted]
    expected = (encode([public for public, _ in picked]), encode([own for _, own in picked if own is not None]))
    for pick_parts in (many.pick_parts, many.pick_parts_in_python):
        assert pick_parts(*together, WITH_PRIVATE, wanted) == expected
        assert pick_parts(*together, WITH_PRIVATE, range(len(entries))) == together
        for wrong in ([-1], [0, 0], [1, 0], [len(entries)], [2**70]):
            with pytest.raises(IndexError):
                pick_parts(*together, WITH_PRIVATE, wrong)
    each, aligned = many.cut_parts(*together, WITH_PRIVATE)
    assert each == [encode(part) for part in publics]
    assert aligned == [b"" if part is None else encode(part) for part in privates]
    assert many.join_parts(each, aligned) == together


ONE, OTHER = encode([[1, 7]]), encode([[2, 7]])
"""Of a kind with a private part, and of one without."""


@both
@pytest.mark.parametrize(
    ("publics", "privates", "salts"),
    [
        (ONE, ONE, 2 * SALT),
        (ONE, ONE, SALT[1:]),
        (ONE, encode([]), SALT),
        (OTHER, ONE, SALT),
        (ONE, encode([[1], [1]]), SALT),
        (encode([]), encode([]), SALT),
        (ONE + b"\x00", ONE, SALT),
        (ONE, ONE + b"\x00", SALT),
        (encode([[]]), encode([]), SALT),
        (encode([7]), encode([]), SALT),
        (encode(7), encode([]), b""),
        (b"", b"", b""),
        (b"\xdc\x00", encode([]), b""),
    ],
)
def test_what_does_not_fit_together_is_refused(leaf_hashes: Any, publics: bytes, privates: bytes, salts: bytes) -> None:
    with pytest.raises(ValueError):
        leaf_hashes(publics, privates, salts, WITH_PRIVATE)


@both
def test_a_cut_anywhere_is_refused(leaf_hashes: Any) -> None:
    publics = encode([[1, 2**63, b"b" * 40, None, -5, 300], [0, 70_000, True]])
    privates = encode([[1, b"p" * 16, -(2**40)]])
    assert len(leaf_hashes(publics, privates, 2 * SALT, WITH_PRIVATE)) == 2
    for cut in range(len(publics)):
        with pytest.raises(ValueError):
            leaf_hashes(publics[:cut], privates, 2 * SALT, WITH_PRIVATE)
    for cut in range(len(privates)):
        with pytest.raises(ValueError):
            leaf_hashes(publics, privates[:cut], 2 * SALT, WITH_PRIVATE)


@only_in_c
@pytest.mark.parametrize("odd", [{"a": 1}, "text", 0.5, [1], b"b" * 300, msgspec.msgpack.Ext(1, b"e")])
def test_in_c_a_part_is_a_short_array_of_scalars(odd: Any) -> None:
    for part in ([[2, odd]], [[odd]], [list(range(16))], [[odd, 2]]):
        with pytest.raises(ValueError):
            many.leaf_hashes(msgspec.msgpack.encode(part), encode([]), SALT, WITH_PRIVATE)


@only_in_c
@pytest.mark.parametrize("wrong", [None, 3, "a"])
def test_what_is_no_bytes_is_refused(wrong: Any) -> None:
    for position in range(3):
        asked: list[Any] = [ONE, ONE, SALT]
        asked[position] = wrong
        with pytest.raises(TypeError):
            many.leaf_hashes(asked[0], asked[1], asked[2], WITH_PRIVATE)
    with pytest.raises(TypeError):
        many.node_hashes([b"a", wrong])


@only_in_c
@pytest.mark.parametrize("nothing", [None, 3])
def test_what_is_no_sequence_is_refused(nothing: Any) -> None:
    with pytest.raises(TypeError):
        many.node_hashes(nothing)
