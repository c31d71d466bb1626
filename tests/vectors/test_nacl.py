"""Wycheproof's vectors for what records and key files are sealed with: X25519, XChaCha20-Poly1305, Ed25519.

They hold the library that the product stands on, called as the product calls it.
"""

from typing import Any

import pytest
from nacl.bindings import crypto_scalarmult
from nacl.exceptions import CryptoError
from nacl.exceptions import ValueError as NaclValueError
from nacl.signing import VerifyKey

from l2.records import aead
from tests.vectors import load, named

Case = dict[str, Any]


def cases_of(name: str) -> list[tuple[Case, Case]]:
    """Group and case, for every case."""
    vectors = load(name)
    pairs = [(group, case) for group in vectors["testGroups"] for case in group["tests"]]
    assert len(pairs) == vectors["numberOfTests"]
    return pairs


def unhex(case: Case, *names: str) -> list[bytes]:
    return [bytes.fromhex(case[name]) for name in names]


def test_xchacha20_poly1305() -> None:
    for _, case in cases_of("wycheproof_xchacha20_poly1305_test.json"):
        with named(case["tcId"]):
            check_xchacha20_poly1305(case)


def check_xchacha20_poly1305(case: Case) -> None:
    key, nonce, data, message, box, tag = unhex(case, "key", "iv", "aad", "msg", "ct", "tag")
    if case["result"] == "valid":
        assert aead.seal(message, data, nonce, key) == box + tag
        assert bytes(aead.open_sealed(box + tag, data, nonce, key) or b"") == message
    elif len(nonce) != aead.NONCE_BYTES:
        with pytest.raises(AssertionError):
            aead.open_sealed(box + tag, data, nonce, key)
    else:
        assert aead.open_sealed(box + tag, data, nonce, key) is None


def test_x25519() -> None:
    for _, case in cases_of("wycheproof_x25519_test.json"):
        with named(case["tcId"]):
            check_x25519(case)


def check_x25519(case: Case) -> None:
    private, public, shared = unhex(case, "private", "public", "shared")
    if shared == bytes(32):
        with pytest.raises(CryptoError):
            crypto_scalarmult(private, public)
    else:
        assert crypto_scalarmult(private, public) == shared


def test_ed25519() -> None:
    for group, case in cases_of("wycheproof_ed25519_test.json"):
        with named(case["tcId"]):
            check_ed25519(group, case)


def check_ed25519(group: Case, case: Case) -> None:
    message, signature = unhex(case, "msg", "sig")
    key = VerifyKey(bytes.fromhex(group["publicKey"]["pk"]))
    try:
        key.verify(message, signature)
        genuine = True
    except (CryptoError, NaclValueError):
        genuine = False
    assert genuine == (case["result"] == "valid")
