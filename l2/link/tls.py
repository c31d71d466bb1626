"""Certificates and TLS 1.3 contexts: self-signed, pinned by fingerprint, no authority, no host names.

Knows how a hospital shows its certificate and how it learns the peer's; does not know whom a fingerprint belongs to:
that is the registry's to say. The server asks for the client's certificate by TLS 1.3 post-handshake authentication,
since by then the client has named it (docs/decisions/tls-client-authentication.md).
Source: docs/spec/line.md, rules LINE-5 and 6; RFC 8446, section 4.6.2; RFC 5280; RFC 6979.
"""

import os
import secrets
import ssl
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from l1.ground.faults import Fault, LocalError, Refused, require
from l1.ground.hashing import tagged_digest

__all__ = [
    "CERTIFICATE_BYTES_MAX",
    "Certificate",
    "Credentials",
    "certificate_from_pem",
    "fingerprint",
    "make_certificate",
]

CERTIFICATE_BYTES_MAX = 4096  # an RSA-4096 certificate of a hospital's own has about 2,000
VALID_YEARS = 10  # the registry decides what counts; this only has to outlast it
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass(frozen=True)
class Certificate:
    """A certificate in DER and its private key in PEM (PKCS #8, in memory only; never shown)."""

    der: bytes
    key_pem: bytes = field(repr=False)

    @property
    def fingerprint(self) -> bytes:
        return fingerprint(self.der)

    def to_pem(self) -> bytes:
        """The public half, for a file that people read."""
        return ssl.DER_cert_to_PEM_cert(self.der).encode()


def fingerprint(der: bytes) -> bytes:
    """What L1 registers: SHA-256 of the certificate in DER."""
    return sha256(der).digest()


def _private_key(seed: bytes) -> ec.EllipticCurvePrivateKey:
    wide = tagged_digest(b"tls key", seed, b"0") + tagged_digest(b"tls key", seed, b"1")
    return ec.derive_private_key(int.from_bytes(wide, "big") % (_ORDER - 1) + 1, ec.SECP256R1())


def make_certificate(seed: bytes, name: str, now_ms: int) -> Certificate:
    """A self-signed EC P-256 certificate for `name`. The same arguments give the same bytes, so a seed restores it."""
    key = _private_key(seed)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begins = datetime.fromtimestamp(now_ms // 1000, UTC) - timedelta(days=1)
    serial = int.from_bytes(tagged_digest(b"tls serial", seed)[:16], "big") >> 1
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=365 * VALID_YEARS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .sign(key, hashes.SHA256(), ecdsa_deterministic=True)
    )
    return Certificate(der=certificate.public_bytes(serialization.Encoding.DER), key_pem=_key_pem(key))


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def certificate_from_pem(pem: bytes, seed: bytes) -> Certificate:
    """The certificate a node keeps in a file, joined with its key from the seed. Raises `LocalError` if they differ."""
    key = _private_key(seed)
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError:
        raise LocalError("the certificate file is not a PEM certificate", "Restore it from a backup") from None
    if certificate.public_key() != key.public_key():
        raise LocalError("the certificate does not belong to this hospital's key", "Restore it from a backup")
    return Certificate(der=certificate.public_bytes(serialization.Encoding.DER), key_pem=_key_pem(key))


class Credentials:
    """A hospital's side of TLS: its certificate, and the two contexts that speak with it."""

    def __init__(self, certificate: Certificate) -> None:
        self.certificate = certificate
        self.server = _context(ssl.PROTOCOL_TLS_SERVER, certificate)
        self.client = _context(ssl.PROTOCOL_TLS_CLIENT, certificate)
        # Only certificates whose fingerprint the registry names are ever trusted here.
        self.server.verify_mode = ssl.CERT_REQUIRED
        self.server.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        self.server.num_tickets = 0  # every line proves both keys anew
        self._trusted: set[bytes] = set()

    def trust(self, der: bytes) -> None:
        """Let clients authenticate with this certificate. The caller has found its fingerprint in the registry."""
        if fingerprint(der) in self._trusted:
            return
        try:
            self.server.load_verify_locations(cadata=der)
        except (ssl.SSLError, ValueError):
            raise Refused(Fault.MALFORMED, "the certificate is not one in DER") from None
        self._trusted.add(fingerprint(der))

    def __repr__(self) -> str:
        return f"Credentials({self.certificate.fingerprint[:4].hex()}…)"


def _context(protocol: int, certificate: Certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # a client compares the fingerprint itself, before it says a word
    context.post_handshake_auth = True
    _load(context, certificate)
    return context


def _load(context: ssl.SSLContext, certificate: Certificate) -> None:
    """The standard library loads keys from files only: it gets one, sealed under a password that never leaves here."""
    password = secrets.token_bytes(32).hex()
    key = serialization.load_pem_private_key(certificate.key_pem, None)
    sealed = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password.encode()),
    )
    with tempfile.NamedTemporaryFile(prefix="interward-", suffix=".pem", delete=False) as file:
        file.write(certificate.to_pem() + sealed)
    try:
        context.load_cert_chain(file.name, password=password)
    finally:
        os.unlink(file.name)


def shown_certificate(der: bytes | None, expected: bytes) -> None:
    """Raise unless the certificate that TLS proved is the one with this fingerprint."""
    require(der is not None and fingerprint(der) == expected, Fault.UNKNOWN_PEER, "TLS shows another certificate")
