"""Items that came together stand in one row: found one by one, cut out one by one, and found again after a start."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import lmdb
import pytest

from l1.ground.codec import decoder
from l2.node.bodies.crowds import Crowds
from l2.node.bodies.index import Index

KEK = bytes(32)
NAME = "crowds in"

decode = decoder(tuple[tuple[bytes, int], ...], bytes_max=1_000_000, what="numbers")


def crowds_of(index: Index) -> Crowds[int]:
    return Crowds(index.table(NAME), decode, secrets.token_bytes)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Index(tmp_path / "records.mdb", KEK, secrets.token_bytes) as index:
        yield index


def add(index: Index, crowds: Crowds[int], items: dict[bytes, int]) -> None:
    with crowds.adding(items) as rows:
        index.write(rows)


def remove(index: Index, crowds: Crowds[int], *keys: bytes) -> None:
    with crowds.removing(keys) as rows:
        index.write(rows)


def test_a_crowd_is_one_row_that_its_last_item_takes_with_it(index: Index) -> None:
    crowds = crowds_of(index)
    add(index, crowds, {b"one": 1, b"two": 2})
    add(index, crowds, {b"three": 3})
    add(index, crowds, {})
    assert index.table(NAME).count() == 2
    remove(index, crowds, b"one", b"three", b"unknown")
    assert (crowds.get(b"one"), crowds.get(b"two"), crowds.get(b"three")) == (None, 2, None)
    assert (b"one" in crowds, b"two" in crowds) == (False, True)
    assert index.table(NAME).count() == 1
    remove(index, crowds, b"two")
    assert index.table(NAME).count() == 0
    assert list(crowds.items()) == []


def test_what_waits_is_found_again_after_a_start(index: Index) -> None:
    before = crowds_of(index)
    for number in range(20):  # more rows than are kept in memory
        add(index, before, {bytes([number, half]): number for half in (0, 1)})
    assert [before.get(bytes([number, 1])) for number in range(20)] == list(range(20))
    remove(index, before, *(bytes([number, 0]) for number in range(19)))
    after = crowds_of(index)
    assert [after.get(bytes([number, 1])) for number in range(20)] == list(range(20))
    assert [number for number in range(20) if bytes([number, 0]) in after] == [19]
    assert dict(after.items()) == dict(before.items())


def test_what_was_not_written_does_not_count(index: Index) -> None:
    crowds = crowds_of(index)
    add(index, crowds, {b"one": 1, b"two": 2})
    with pytest.raises(lmdb.Error), crowds.adding({b"three": 3}):
        raise lmdb.Error("the disk is full")
    with pytest.raises(lmdb.Error), crowds.removing([b"one"]):
        raise lmdb.Error("the disk is full")
    assert (crowds.get(b"one"), crowds.get(b"three")) == (1, None)
    remove(index, crowds, b"two")
    assert list(crowds.items()) == [(b"one", 1)]
