"""Sealed secrets open with their password, and say why when they do not."""

import pytest

from l1.ground.codec import encode
from l1.ground.faults import Fault, Refused
from l1.ground.sealed import ENTROPY_BYTES, Cost, open_sealed, seal

CHEAP = Cost(1, 8192)
ENTROPY = bytes(range(ENTROPY_BYTES))
SECRET = b"the seed of a hospital's keys..."
SEALED = seal(SECRET, "correct horse", ENTROPY, CHEAP)


def test_the_password_opens() -> None:
    assert open_sealed(SEALED, "correct horse") == SECRET
    assert SECRET not in SEALED


@pytest.mark.parametrize("password", ["", "correct horse ", "Correct horse", "x" * 1000])
def test_another_password_does_not(password: str) -> None:
    with pytest.raises(Refused, match="wrong password") as refused:
        open_sealed(SEALED, password)
    assert refused.value.fault is Fault.BAD_CIPHERTEXT


def test_salt_and_nonce_make_every_sealing_another() -> None:
    assert seal(SECRET, "correct horse", bytes(ENTROPY_BYTES), CHEAP) != SEALED


@pytest.mark.parametrize("place", range(len(SEALED)))
def test_a_damaged_file_is_refused(place: int) -> None:
    bad = bytearray(SEALED)
    bad[place] ^= 1
    with pytest.raises(Refused):
        open_sealed(bytes(bad), "correct horse")


@pytest.mark.parametrize("size", [0, 1, len(SEALED) // 2, len(SEALED) - 1])
def test_half_a_file_is_refused(size: int) -> None:
    with pytest.raises(Refused) as refused:
        open_sealed(SEALED[:size], "correct horse")
    assert refused.value.fault is Fault.MALFORMED


@pytest.mark.parametrize(
    ("cost", "salt", "nonce"),
    [
        ([0, 8192], 16, 24),
        ([17, 8192], 16, 24),
        ([1, 8191], 16, 24),
        ([1, 2**40], 16, 24),
        ([1, 8192], 15, 24),
        ([1, 8192], 16, 23),
    ],
)
def test_a_file_cannot_ask_for_a_gigabyte_or_an_hour(cost: list[int], salt: int, nonce: int) -> None:
    file = encode([b"interward sealed 1", cost, bytes(salt), bytes(nonce), bytes(40)])
    with pytest.raises(Refused) as refused:
        open_sealed(file, "correct horse")
    assert refused.value.fault is Fault.MALFORMED


def test_a_newer_format_is_named() -> None:
    file = encode([b"interward sealed 2", [1, 8192], bytes(16), bytes(24), bytes(40)])
    with pytest.raises(Refused) as refused:
        open_sealed(file, "correct horse")
    assert refused.value.fault is Fault.WRONG_VERSION
