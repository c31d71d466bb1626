"""Faults: a number once given keeps its meaning."""

from l1.ground.codes import mask, unmask
from l1.ground.faults import Fault, LocalError, Refused
from l1.ground.hashing import tagged_digest


def test_numbers_are_unique_and_in_their_ranges() -> None:
    assert len({int(fault) for fault in Fault}) == len(Fault.__members__)
    assert all(0 < fault < 300 for fault in Fault)


def test_a_refusal_reads_as_a_sentence() -> None:
    refused = Refused(Fault.BAD_NONCE, "nonce 3 where 4 was due")
    assert str(refused) == "bad nonce: nonce 3 where 4 was due"


def test_a_local_error_names_cause_and_remedy() -> None:
    assert str(LocalError("the folder is in use", "Stop the other process")) == (
        "the folder is in use. Stop the other process"
    )
    assert str(LocalError("the folder is in use")) == "the folder is in use"


def test_no_two_lists_of_parts_hash_alike() -> None:
    parts = [
        (b"t", b"ab", b"c"),
        (b"t", b"a", b"bc"),
        (b"t", b"abc"),
        (b"tabc",),
        (b"t", b"ab", b"c", b""),
        (b"ta", b"bc"),
    ]
    assert len({tagged_digest(*part) for part in parts}) == len(parts)


def test_masks_are_sets() -> None:
    for codes in ([], [0], [3, 0, 8], list(range(18))):
        assert unmask(mask(codes)) == sorted(codes)
