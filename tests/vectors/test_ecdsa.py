"""Wycheproof's ECDSA vectors over secp256k1 with SHA-256, through our 64-byte low-S form.

The bitcoin file gives signatures in DER: the strict reading here is the one that docs/decisions/der-to-compact.md
describes, and what it cannot read has no 64-byte form. The p1363 file does not know low-S: its valid signatures with
a high s are refused here, and stand in a list so that the difference is no accident.
"""

from hashlib import sha256
from typing import Any

import coincurve
import pytest

from l1.ground.faults import Fault, Refused
from l1.ground.signing import open_digest
from tests.vectors import load, named

Case = dict[str, Any]
BITCOIN = load("wycheproof_ecdsa_secp256k1_sha256_bitcoin_test.json")
P1363 = load("wycheproof_ecdsa_secp256k1_sha256_p1363_test.json")
ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141


# fmt: off
HIGH_S_VALID = [
    1, 62, 63, 64, 66, 67, 68, 70, 72, 74, 75, 76, 78, 81, 83, 85, 87, 88, 89, 90, 95, 96, 97, 100, 102, 112, 113,
    115, 117, 134, 135, 136, 167, 168, 171, 172, 173, 174, 176, 177, 181, 187, 188, 192, 196, 198, 200, 202, 206,
    207, 212, 213, 221, 222, 226, 227, 228, 229, 231, 232, 233, 234, 235, 237, 238, 239, 240, 241, 242, 243, 247,
    252,
]
# fmt: on
"""Cases of the p1363 file that are valid ECDSA and that we refuse, since their s is above half the order."""


class NotDerError(Exception):
    pass


def strict_der(data: bytes) -> tuple[int, int]:
    """r and s of `SEQUENCE { INTEGER r, INTEGER s }` in its only DER spelling (BIP 66). Raises `NotDerError`."""
    if len(data) < 2 or data[0] != 0x30 or data[1] != len(data) - 2 or data[1] > 127:
        raise NotDerError("not one sequence with a short definite length")
    r, rest = _integer(data[2:])
    s, rest = _integer(rest)
    if rest:
        raise NotDerError("bytes after s")
    return r, s


def _integer(data: bytes) -> tuple[int, bytes]:
    if len(data) < 3 or data[0] != 0x02 or not 0 < data[1] <= len(data) - 2:
        raise NotDerError("not an integer")
    body, rest = data[2 : 2 + data[1]], data[2 + data[1] :]
    if body[0] & 0x80 or (len(body) > 1 and body[0] == 0 and not body[1] & 0x80):
        raise NotDerError("negative, or padded")
    return int.from_bytes(body, "big"), rest


def compact(der: bytes) -> bytes:
    """The 64-byte form, r ‖ s."""
    r, s = strict_der(der)
    if max(r, s) >= 2**256:
        raise NotDerError("more than 32 bytes")
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def cases_of(vectors: Any) -> list[tuple[bytes, Case]]:
    """Every case with its compressed public key."""
    pairs = []
    for group in vectors["testGroups"]:
        key = coincurve.PublicKey(bytes.fromhex(group["publicKey"]["uncompressed"])).format()
        pairs += [(key, case) for case in group["tests"]]
    assert len(pairs) == vectors["numberOfTests"]
    return pairs


def is_accepted(key: bytes, case: Case, signature: bytes) -> bool:
    try:
        open_digest(key, sha256(bytes.fromhex(case["msg"])).digest(), signature)
    except Refused as refused:
        if refused.fault is not Fault.BAD_SIGNATURE:
            raise
        return False
    return True


def name(case: Case) -> str:
    return f"{case['tcId']}-{case['comment']}"


def test_bitcoin() -> None:
    for key, case in cases_of(BITCOIN):
        with named(name(case)):
            check_bitcoin(key, case)


def check_bitcoin(key: bytes, case: Case) -> None:
    try:
        signature = compact(bytes.fromhex(case["sig"]))
    except NotDerError:
        assert case["result"] == "invalid"
        return
    assert is_accepted(key, case, signature) == (case["result"] == "valid")


def has_high_s(case: Case) -> bool:
    signature = bytes.fromhex(case["sig"])
    return len(signature) == 64 and int.from_bytes(signature[32:], "big") > ORDER // 2


def test_p1363() -> None:
    for key, case in cases_of(P1363):
        with named(name(case)):
            expected = case["result"] == "valid" and not has_high_s(case)
            assert is_accepted(key, case, bytes.fromhex(case["sig"])) == expected


def test_the_valid_cases_that_low_s_refuses() -> None:
    refused = [case["tcId"] for _, case in cases_of(P1363) if case["result"] == "valid" and has_high_s(case)]
    assert refused == HIGH_S_VALID


@pytest.mark.parametrize("length", [0, 63, 65, 128])
def test_other_lengths_are_no_signature(length: int) -> None:
    key, _ = cases_of(P1363)[0]
    with pytest.raises(Refused):
        open_digest(key, bytes(32), bytes(length))
