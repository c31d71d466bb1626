"""What the decoder refuses, each with its fault; and that shapes hide what they carry."""

import pytest

from l1.ground.codec import Shape, decoder, encode, hide
from l1.ground.faults import Fault, Refused
from l1.ground.fields import Credits, Digest, Name
from l1.ground.limits import CREDITS_MAX


class Row(Shape, frozen=True):
    name: Name
    digest: Digest
    credits: Credits


GOOD = Row(name="Mercy", digest=bytes(32), credits=7)
decode = decoder(Row, bytes_max=100, what="row")


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", Fault.MALFORMED),
        (b"\xc1", Fault.MALFORMED),
        (encode(["Mercy", bytes(32)]), Fault.MALFORMED),
        (encode(["Mercy", bytes(31), 7]), Fault.MALFORMED),
        (encode(["Mercy", bytes(33), 7]), Fault.MALFORMED),
        (encode(["", bytes(32), 7]), Fault.MALFORMED),
        (encode(["M" * 65, bytes(32), 7]), Fault.TOO_LARGE),
        (encode(["Mercy", bytes(32), -1]), Fault.MALFORMED),
        (encode(["Mercy", bytes(32), CREDITS_MAX + 1]), Fault.MALFORMED),
        (encode(["Mercy", bytes(32), "7"]), Fault.MALFORMED),
        (encode(["Mercy", bytes(32), True]), Fault.MALFORMED),
        (encode(["Mercy", bytes(32), None]), Fault.MALFORMED),
        (encode(["Mercy", bytes(32), 7.0]), Fault.MALFORMED),
        (encode({"name": "Mercy"}), Fault.MALFORMED),
        (encode(["Mercy", bytes(32), 7, 8]), Fault.NOT_CANONICAL),
        (encode(GOOD)[:-1] + b"\xcc\x07", Fault.NOT_CANONICAL),
        (b"\xdc\x00\x03" + encode(GOOD)[1:], Fault.NOT_CANONICAL),
        (encode(GOOD) + b"\x00", Fault.MALFORMED),
        (b"\x93\xa1\xff" + encode(GOOD)[7:], Fault.MALFORMED),
        (b"\x91" * 99, Fault.MALFORMED),
        (bytes(101), Fault.TOO_LARGE),
    ],
)
def test_each_wrong_spelling_has_its_fault(data: bytes, fault: Fault) -> None:
    with pytest.raises(Refused) as refused:
        decode(data)
    assert refused.value.fault is fault
    assert "row" in refused.value.detail


def test_the_right_spelling_is_taken() -> None:
    assert decode(encode(GOOD)) == GOOD


def test_a_tower_of_arrays_is_refused_and_not_a_crash() -> None:
    deep = decoder(Row, bytes_max=200_000, what="row")
    with pytest.raises(Refused):
        deep(b"\x91" * 200_000)


def test_a_repr_shows_four_bytes() -> None:
    row = Row(name="Mercy", digest=bytes(range(32)), credits=7)
    assert repr(row) == "Row(name='Mercy', digest=00010203…32, credits=7)"
    assert hide([b"secret" * 4] * 9) == "[73656372…24, 73656372…24, 73656372…24, 73656372…24, …]"
    assert hide(b"") == "∅"
