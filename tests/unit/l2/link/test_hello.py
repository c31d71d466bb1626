"""Hellos and proofs: what is bound, and that a change of any of it is noticed."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l1.ground.codec import encode
from l1.ground.faults import Fault, Refused
from l1.ground.hashing import digest
from l1.ground.signing import Context, PrivateKey, Purpose, sign
from l1.rules.blocks import SignedHeader
from l1.rules.state import Hospital, Key
from l2.link.hello import (
    Handshake,
    Hello,
    Refusal,
    check_counts,
    check_proof,
    check_registered,
    decode_hello,
    decode_proof,
    make_proof,
)

CHAIN, ALICE, BOB = b"c" * 32, b"a" * 20, b"b" * 20
SIGNER = PrivateKey(b"k" * 32)
SHAKE = Handshake(CHAIN, (b"hello of alice", b"hello of bob"), (b"1" * 32, b"2" * 32))
CHANNEL_ROW, TLS_ROW = 1, 2


def hello(**changes: object) -> bytes:
    fields: dict[str, object] = {
        "version": 1,
        "chain": CHAIN,
        "hospital": ALICE,
        "peer": BOB,
        "role": 0,
        "nonce": bytes(32),
        "certificate": b"der",
        "key": 1,
        "header": SignedHeader(body=b"", signature=bytes(64)),
    }
    return encode(list((fields | changes).values()))


def hospital(**changes: Any) -> Hospital:
    """Alice's entry, with the same changes to her channel key and her certificate."""
    fields: dict[str, Any] = {
        "valid_from_ms": 10,
        "valid_until_ms": 20,
        "revoked_at_ms": None,
        "compromised_since_ms": None,
    }
    rows = [(0, b"r" * 33), (1, SIGNER.public_key), (2, digest(b"der"))]
    keys = tuple(Key(**{"number": n, "kind": n, "key": key, **fields, **changes}) for n, (_, key) in enumerate(rows))
    return Hospital(id=ALICE, name="Alice", endpoint="a:1", keys=keys)


def opened(payload: bytes) -> Hello:
    return decode_hello(payload, chain=CHAIN, me=BOB)


@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        (hello(version=2), Fault.WRONG_VERSION),
        (hello(chain=b"d" * 32), Fault.WRONG_CHAIN),
        (hello(peer=b"e" * 20), Fault.UNKNOWN_PEER),
        (hello(hospital=BOB), Fault.UNKNOWN_PEER),
        (hello(role=2), Fault.MALFORMED),
        (hello(nonce=b"short"), Fault.MALFORMED),
        (hello(certificate=b""), Fault.MALFORMED),
        (hello(certificate=bytes(4097)), Fault.MALFORMED),
        (hello()[:-1], Fault.MALFORMED),
        (hello() + b"\x00", Fault.MALFORMED),
        (bytes(9000), Fault.TOO_LARGE),
    ],
)
def test_a_hello_that_is_not_for_us(payload: bytes, fault: Fault) -> None:
    with pytest.raises(Refused) as refused:
        opened(payload)
    assert refused.value.fault is fault


def test_the_registry_gives_the_key_that_has_to_sign() -> None:
    assert check_registered(opened(hello()), hospital(), 10) == SIGNER.public_key


@pytest.mark.parametrize("clock_ms", [9, 20])
def test_keys_count_from_their_first_to_before_their_last_moment(clock_ms: int) -> None:
    with pytest.raises(Refused) as refused:
        check_registered(opened(hello()), hospital(), clock_ms)
    assert refused.value.fault is Fault.UNKNOWN_PEER


@pytest.mark.parametrize(
    ("payload", "row"),
    [
        (hello(), None),
        (hello(hospital=b"x" * 20), hospital()),
        (hello(key=0), hospital()),
        (hello(key=2), hospital()),
        (hello(key=9), hospital()),
        (hello(certificate=b"another"), hospital()),
        (hello(), hospital(revoked_at_ms=1)),
    ],
)
def test_what_the_registry_does_not_vouch_for(payload: bytes, row: Hospital | None) -> None:
    with pytest.raises(Refused) as refused:
        check_registered(opened(payload), row, 15)
    assert refused.value.fault is Fault.UNKNOWN_PEER


def test_rotation_overlaps() -> None:
    """While an old and a new certificate are both registered, either counts."""
    row = hospital()
    newer = Key(
        number=3,
        kind=TLS_ROW,
        key=digest(b"new der"),
        valid_from_ms=12,
        valid_until_ms=40,
        revoked_at_ms=None,
        compromised_since_ms=None,
    )
    both = Hospital(id=row.id, name=row.name, endpoint=row.endpoint, keys=(*row.keys, newer))
    for certificate in (b"der", b"new der"):
        check_counts(both, CHANNEL_ROW, digest(certificate), 15)


def test_a_proof_opens_for_what_it_says() -> None:
    for speaker in (0, 1):
        check_proof(make_proof(SIGNER, speaker, SHAKE), SIGNER.public_key, speaker, SHAKE)


@pytest.mark.parametrize(
    "other",
    [
        replace(SHAKE, chain=b"d" * 32),
        replace(SHAKE, hellos=(b"hello of alice!", b"hello of bob")),
        replace(SHAKE, hellos=(b"hello of alice", b"hello of mallory")),
        replace(SHAKE, hellos=SHAKE.hellos[::-1]),
        replace(SHAKE, fingerprints=(b"3" * 32, b"2" * 32)),
        replace(SHAKE, fingerprints=(b"1" * 32, b"3" * 32)),
    ],
)
def test_a_proof_binds_chain_hellos_and_certificates(other: Handshake) -> None:
    with pytest.raises(Refused) as refused:
        check_proof(make_proof(SIGNER, 0, SHAKE), SIGNER.public_key, 0, other)
    assert refused.value.fault is Fault.BAD_SIGNATURE


def test_a_proof_is_not_to_be_reflected() -> None:
    with pytest.raises(Refused):
        check_proof(make_proof(SIGNER, 0, SHAKE), SIGNER.public_key, 1, SHAKE)


def test_a_signature_for_another_purpose_is_no_proof() -> None:
    elsewhere = sign(SIGNER, Purpose.COMMITMENT, Context(chain=CHAIN), SHAKE.transcript(0))
    with pytest.raises(Refused):
        check_proof(encode([elsewhere]), SIGNER.public_key, 0, SHAKE)


@given(payload=st.binary(max_size=200))
def test_any_bytes_are_a_value_or_refused(payload: bytes) -> None:
    for decode in (opened, decode_proof):
        with suppress(Refused):
            decode(payload)


def test_a_refusal_says_no_more_than_fits() -> None:
    refusal = Refusal.of(Refused(Fault.EQUIVOCATION, "x" * 1000))
    assert (refusal.fault, len(refusal.detail)) == (202, 300)
