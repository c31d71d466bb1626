"""Certificates of a hospital: the first one lies in a file that people read, later ones with their keys in the ring."""

import ssl

from l2.link import Certificate, certificate_from_pem
from l2.node.keys.store import KeyStore, StoredKey

__all__ = ["certificate_of", "first_certificate"]


def first_certificate(pem: bytes, keys: KeyStore) -> Certificate:
    """The certificate of the admission. Raises `LocalError` if it is not ours."""
    return certificate_from_pem(pem, keys.tls_seed())


def certificate_of(key: StoredKey) -> Certificate:
    """The certificate of a TLS key in the ring."""
    return certificate_from_pem(ssl.DER_cert_to_PEM_cert(key.certificate).encode(), key.secret)
