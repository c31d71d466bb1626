"""The batch codec: one spelling, salts that either side can show one by one."""

import pytest

from l1.ground.faults import Fault, Refused
from l1.ground.hashing import digest
from l1.ground.limits import SALT_BYTES
from l1.ground.merkle import leaf_hash
from l1.rules.commitment import Signed
from l1.rules.log.entries import Entry, Pay, Seen, Terms
from l1.rules.log.leaves import (
    count_parts,
    cut_parts,
    decode_parts,
    decode_stored,
    encode_parts,
    join_parts,
    leaf_hashes,
    one_leaf,
)
from l2.protocol.batch import Batch, Salts, decode_batch, encode_batch, open_stored
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
SIGNED = Signed(body=b"words", key=1, signature=bytes(64))
TERMS: list[Terms] = [consent_terms(), request_terms(), access_terms()]


def test_parts_come_back() -> None:
    for count in (1, 5, 20):  # both array headers
        parts = encode_parts(ENTRIES * count, TERMS * count)
        assert decode_parts(*parts) == (ENTRIES * count, TERMS * count)
        assert count_parts(parts[0]) == 5 * count
        publics, privates = cut_parts(*parts)
        assert [bool(part) for part in privates] == [False, True, False, True, True] * count
        assert decode_stored(*parts) == aligned(count)
        assert join_parts(publics, privates) == parts


def aligned(count: int) -> list[tuple[Entry, Terms | None]]:
    return list(zip(ENTRIES, (None, TERMS[0], None, *TERMS[1:]), strict=True)) * count


def refused(publics: list[bytes], privates: list[bytes]) -> Fault:
    with pytest.raises(Refused) as why:
        decode_parts(*join_parts(publics, privates))
    return why.value.fault


def cut(entries: list[Entry], terms: list[Terms]) -> tuple[list[bytes], list[bytes]]:
    return cut_parts(*encode_parts(entries, terms))


def test_another_spelling_is_refused() -> None:
    publics, privates = cut([access(2)], [access_terms()])
    assert publics[0].endswith(b"\x02")
    assert refused([publics[0][:-1] + b"\xcc\x02"], privates) is Fault.NOT_CANONICAL
    assert refused([b"\xdc\x00\x03" + publics[0][1:]], privates) is Fault.NOT_CANONICAL
    with pytest.raises(Refused) as why:  # a longer header of the whole array
        decode_parts(b"\xdc\x00\x01" + publics[0], join_parts(publics, privates)[1])
    assert why.value.fault is Fault.NOT_CANONICAL


def test_a_private_part_of_another_kind_is_refused() -> None:
    publics, privates = cut(ENTRIES, TERMS)
    assert refused(publics, [b"", privates[3], b"", privates[1], privates[4]]) is Fault.MALFORMED
    assert refused(publics, privates[:-1]) is Fault.MALFORMED
    assert refused(publics, [privates[1], *privates]) is Fault.MALFORMED
    assert refused([b"\xc1"], [b""]) is Fault.MALFORMED
    assert refused([publics[0] + b"\x00"], [b""]) is Fault.MALFORMED


@pytest.mark.parametrize(
    "publics", [b"\x90", b"\xc0", b"\x81\x01\x02", b"\xdd\x00\x00\x00\x01\x90", b"\xdc\x10\x01" + 4_097 * b"\x90"]
)
def test_no_batch_has_no_entries_or_too_many(publics: bytes) -> None:
    with pytest.raises(Refused) as why:
        decode_batch(encode_batch(publics, b"\x90", SIGNED))
    assert why.value.fault is Fault.MALFORMED


def test_a_batch_comes_back_and_shows_nothing() -> None:
    parts = encode_parts(ENTRIES, TERMS)
    batch = decode_batch(encode_batch(*parts, SIGNED))
    assert batch == open_stored(encode_batch(*parts, SIGNED)) == Batch(*parts, SIGNED)
    assert batch.size == 5
    assert consent_terms().subject.hex() not in repr(batch)


def test_leaves_are_those_of_rfc_9162() -> None:
    parts = encode_parts(ENTRIES, TERMS)
    publics, privates = cut_parts(*parts)
    all_salts = Salts(digest(b"secret"), 0)
    leaves = leaf_hashes(*parts, all_salts.span(0, len(ENTRIES)))
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
