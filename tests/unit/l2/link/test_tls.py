"""Certificates: made from a seed, restored from it, and never showing their key."""

import tempfile
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from l1.ground.faults import Fault, LocalError, Refused
from l2.link.tls import Credentials, certificate_from_pem, fingerprint, make_certificate, shown_certificate

NOW_MS = 1_790_000_000_123
SEED = b"s" * 32


def test_a_seed_restores_its_certificate_to_the_last_byte() -> None:
    made = make_certificate(SEED, "Mercy General", NOW_MS)
    assert make_certificate(SEED, "Mercy General", NOW_MS) == made
    assert certificate_from_pem(made.to_pem(), SEED) == made
    assert make_certificate(b"t" * 32, "Mercy General", NOW_MS).fingerprint != made.fingerprint


def test_it_is_an_ordinary_certificate() -> None:
    certificate = x509.load_der_x509_certificate(make_certificate(SEED, "Mercy General", NOW_MS).der)
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    assert certificate.subject == certificate.issuer
    assert certificate.not_valid_after_utc.year - certificate.not_valid_before_utc.year == 10
    certificate.verify_directly_issued_by(certificate)


def test_a_certificate_of_another_key_is_not_taken() -> None:
    made = make_certificate(SEED, "Mercy General", NOW_MS)
    with pytest.raises(LocalError, match="does not belong"):
        certificate_from_pem(made.to_pem(), b"t" * 32)
    with pytest.raises(LocalError, match="not a PEM"):
        certificate_from_pem(b"-----BEGIN", SEED)


def test_the_key_does_not_show_and_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    certificate = make_certificate(SEED, "Mercy General", NOW_MS)
    credentials = Credentials(certificate)
    assert "PRIVATE" not in repr(certificate) + repr(credentials)
    assert list(tmp_path.iterdir()) == []


def test_only_a_certificate_can_be_trusted() -> None:
    credentials = Credentials(make_certificate(SEED, "Mercy General", NOW_MS))
    other = make_certificate(b"t" * 32, "St. Elsewhere", NOW_MS)
    credentials.trust(other.der)
    credentials.trust(other.der)
    with pytest.raises(Refused) as refused:
        credentials.trust(b"not a certificate")
    assert refused.value.fault is Fault.MALFORMED


@pytest.mark.parametrize("der", [None, b"another certificate"])
def test_what_tls_proved_has_to_be_what_was_claimed(der: bytes | None) -> None:
    shown_certificate(b"der", fingerprint(b"der"))
    with pytest.raises(Refused):
        shown_certificate(der, fingerprint(b"der"))
