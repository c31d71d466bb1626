"""The batch codec: one spelling, joints pinned, salts that either side can show one by one."""

import pytest

from l1.ground.faults import Fault, Refused
from l1.ground.hashing import digest
from l1.ground.limits import SALT_BYTES
from l1.ground.merkle import leaf_hash
from l1.rules.log.entries import Entry, Pay, Seen, Terms
from l1.rules.log.leaves import decode_parts, encode_parts, leaf_hashes, one_leaf
from l2.protocol.batch import Salts
from l2.protocol.limits import SALT_BLOCK
from tests.unit.l2.protocol.stories import access, access_terms, consent, consent_terms, request, request_terms
from tests.unit.l2.protocol.world import NOW_MS

ENTRIES: list[Entry] = [
    Seen(time=NOW_MS, size=3, root=digest(b"root")),
    consent(),
    Pay(time=NOW_MS, amount=300, grant=70_000),
    request(),
    access(2),
]
TERMS: list[Terms] = [consent_terms(), request_terms(), access_terms()]


def test_parts_come_back() -> None:
    for count in (1, 5, 20):  # both array headers
        publics, privates = encode_parts(ENTRIES * count, TERMS * count)
        assert decode_parts(publics, privates) == (ENTRIES * count, TERMS * count)
        assert [bool(part) for part in privates] == [False, True, False, True, True] * count


def refused(publics: tuple[bytes, ...], privates: tuple[bytes, ...]) -> Fault:
    with pytest.raises(Refused) as why:
        decode_parts(publics, privates)
    return why.value.fault


def test_moved_joints_are_refused() -> None:
    publics, privates = encode_parts(ENTRIES, TERMS)
    moved = (publics[0] + publics[1][:1], publics[1][1:], *publics[2:])
    assert refused(moved, privates) is Fault.NOT_CANONICAL


def test_another_spelling_is_refused() -> None:
    publics, privates = encode_parts([access(2)], [access_terms()])
    assert publics[0].endswith(b"\x02")
    assert refused((publics[0][:-1] + b"\xcc\x02",), privates) is Fault.NOT_CANONICAL


def test_a_private_part_of_another_kind_is_refused() -> None:
    publics, privates = encode_parts(ENTRIES, TERMS)
    swapped = (privates[0], privates[3], privates[2], privates[1], privates[4])
    assert refused(publics, swapped) is Fault.MALFORMED
    assert refused(publics, (privates[1], b"", *privates[2:])) is Fault.MALFORMED
    assert refused(publics, privates[:-1]) is Fault.MALFORMED
    assert refused((b"\xc1",), (b"",)) is Fault.MALFORMED
    assert refused((publics[0] + b"\x00",), (b"",)) is Fault.MALFORMED


def test_leaves_are_those_of_rfc_9162() -> None:
    publics, privates = encode_parts(ENTRIES, TERMS)
    all_salts = Salts(digest(b"secret"), 0)
    salts = all_salts.span(0, len(ENTRIES))
    leaves = leaf_hashes(publics, privates, salts)
    assert leaves[0] == leaf_hash(publics[0]) == one_leaf(publics[0], b"")
    hidden = digest(all_salts.one(1) + privates[1])
    assert leaves[1] == leaf_hash(publics[1] + hidden) == one_leaf(publics[1], hidden)


def test_salts_of_a_span_are_those_of_its_entries() -> None:
    salts = Salts(digest(b"secret"), 1)
    for first, count in ((0, 1), (0, SALT_BLOCK), (SALT_BLOCK - 1, 2), (700, 600)):
        assert salts.span(first, count) == b"".join(salts.one(at) for at in range(first, first + count))
    assert len({salts.one(at) for at in range(2_000)}) == 2_000
    assert {len(salts.one(at)) for at in range(600)} == {SALT_BYTES}


def test_salts_differ_by_side_and_secret_and_hide() -> None:
    ours = Salts(digest(b"secret"), 0)
    assert ours.one(0) != Salts(digest(b"secret"), 1).one(0)
    assert ours.one(0) != Salts(digest(b"other"), 0).one(0)
    assert ours.one(0).hex() not in repr(ours)
