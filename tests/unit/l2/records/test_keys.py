"""Keys of records: who can compute what, and that nothing opens elsewhere."""

import pytest

from l1.ground.faults import Fault, Refused
from l2.records import keys

PLACE, ROOT, SECRET, BODY_KEY = bytes([1]) * 32, bytes([2]) * 32, bytes([3]) * 32, bytes([4]) * 32
ALICE, BOB = bytes(range(32)), bytes(range(32, 64))
CHANNEL = bytes([7]) * 32


def refused(fault: Fault) -> "pytest.RaisesExc[Refused]":
    return pytest.raises(Refused, check=lambda error: error.fault is fault)


def wrapped() -> bytes:
    shared = keys.agree(ALICE, keys.exchange_public(BOB))
    return keys.wrap(BODY_KEY, shared=shared, secret=SECRET, place=PLACE, root=ROOT)


def test_both_hospitals_compute_the_same_channel_secret_and_each_channel_has_its_own() -> None:
    of_alice = keys.channel_secret(ALICE, keys.exchange_public(BOB), CHANNEL)
    assert of_alice == keys.channel_secret(BOB, keys.exchange_public(ALICE), CHANNEL)
    assert of_alice != keys.channel_secret(ALICE, keys.exchange_public(BOB), bytes(32))


def test_handles_differ_by_channel_kind_and_person() -> None:
    secret = keys.channel_secret(ALICE, keys.exchange_public(BOB), CHANNEL)
    handles = {
        keys.handle(secret, b"patient", "1"),
        keys.handle(secret, b"patient", "2"),
        keys.handle(secret, b"practitioner", "1"),
        keys.handle(bytes(32), b"patient", "1"),
    }
    assert len(handles) == 4
    assert {len(h) for h in handles} == {16}


def test_the_release_secret_can_be_computed_again_and_opens_its_lock() -> None:
    secret = keys.release_secret(ALICE, bytes(32), CHANNEL, PLACE)
    assert secret == keys.release_secret(ALICE, bytes(32), CHANNEL, PLACE)
    assert secret != keys.release_secret(ALICE, bytes(32), CHANNEL, ROOT)
    assert len(keys.lock_of(secret)) == 32


def test_a_wrapped_key_opens_with_one_time_key_and_secret() -> None:
    shared = keys.agree(BOB, keys.exchange_public(ALICE))
    assert len(wrapped()) == 48
    assert keys.unwrap(wrapped(), shared=shared, secret=SECRET, place=PLACE, root=ROOT) == BODY_KEY


@pytest.mark.parametrize("wrong", ["shared", "secret", "place", "root"])
def test_a_wrapped_key_opens_with_nothing_else(wrong: str) -> None:
    shared = keys.agree(BOB, keys.exchange_public(ALICE))
    right = {"shared": shared, "secret": SECRET, "place": PLACE, "root": ROOT}
    with refused(Fault.BAD_CIPHERTEXT):
        keys.unwrap(wrapped(), **(right | {wrong: bytes([9]) * 32}))


def test_a_grants_keys_follow_from_the_records_own_and_differ_from_grant_to_grant() -> None:
    one, two = keys.grant_keys(BODY_KEY, b"1" * 16), keys.grant_keys(BODY_KEY, b"2" * 16)
    assert one == keys.grant_keys(BODY_KEY, b"1" * 16)
    assert len({*one, *two, *keys.grant_keys(SECRET, b"1" * 16), BODY_KEY}) == 7


def test_keys_of_small_order_and_wrong_length_are_refused() -> None:
    for bad in (bytes(32), b"\x01" + bytes(31), bytes(31)):
        with refused(Fault.BAD_KEY):
            keys.channel_secret(ALICE, bad, CHANNEL)


def test_a_box_opens_under_its_key_and_label_only() -> None:
    boxed = keys.box(ALICE, BODY_KEY, b"label", bytes(24))
    assert keys.unbox(ALICE, boxed, b"label") == BODY_KEY
    for key, label, data in [(BOB, b"label", boxed), (ALICE, b"other", boxed), (ALICE, b"label", boxed[:39])]:
        with refused(Fault.BAD_CIPHERTEXT):
            keys.unbox(key, data, label)
