"""gzip inputs: opened within bounds, every member, damaged ones refused."""

import gzip

import pytest

from l1.ground.faults import Fault, Refused
from l2.records import unpack_gzip


def refused(fault: Fault) -> "pytest.RaisesExc[Refused]":
    return pytest.raises(Refused, check=lambda error: error.fault is fault)


def test_opens_what_is_packed_and_leaves_the_rest() -> None:
    assert unpack_gzip(gzip.compress(b"abc")) == b"abc"
    assert unpack_gzip(gzip.compress(b"abc") + gzip.compress(b"def")) == b"abcdef"
    assert unpack_gzip(b"plain") == b"plain"
    assert unpack_gzip(b"") == b""


@pytest.mark.parametrize("damage", [slice(0, -1), slice(0, 12)])
def test_a_damaged_file_is_refused(damage: slice) -> None:
    with refused(Fault.MALFORMED):
        unpack_gzip(gzip.compress(b"abc" * 100)[damage])


def test_a_flipped_bit_and_trailing_bytes_are_refused() -> None:
    packed = bytearray(gzip.compress(b"abc" * 100))
    packed[-5] ^= 1
    for bad in (bytes(packed), gzip.compress(b"abc") + b"tail"):
        with refused(Fault.MALFORMED):
            unpack_gzip(bad)


def test_a_bomb_stops_at_the_limit() -> None:
    with refused(Fault.TOO_LARGE):
        unpack_gzip(gzip.compress(bytes(10_000)), bytes_max=9_999)
    assert len(unpack_gzip(gzip.compress(bytes(10_000)), bytes_max=10_000)) == 10_000
