"""Making a key: fresh randomness, never the seed's child. Nothing is registered here, nothing is kept."""

import secrets
from dataclasses import dataclass

from l1.ground.faults import LocalError
from l1.ground.limits import TIME_MS_MAX
from l1.ground.signing import PrivateKey
from l1.rules.transactions import ROOT, SEALING, TLS
from l2.link import make_certificate
from l2.node.keys.hsm import Hsm
from l2.node.keys.store import StoredKey
from l2.records.keys import exchange_public

__all__ = ["Terms", "make_key"]


@dataclass(frozen=True)
class Terms:
    """How long a new key is to be good, and whether the older ones of its kind end once it is in use."""

    valid_ms: int | None = None
    replaces: bool = True
    hsm_key: str = ""
    """The label of a root key that is made in the HSM."""

    def until_ms(self, now_ms: int) -> int:
        return TIME_MS_MAX if self.valid_ms is None else now_ms + self.valid_ms


def make_key(kind: int, name: str, now_ms: int, terms: Terms, hsm: Hsm | None = None) -> StoredKey:
    """A key of that kind, in memory or in the HSM. `name` stands in a certificate. Raises `LocalError`."""
    if terms.hsm_key and (kind != ROOT or hsm is None):
        raise LocalError("only a root key is made in an HSM, where there is one", "See docs/how-to/hsm.md.")
    if terms.hsm_key and hsm is not None:
        return _stored(kind, hsm.make(terms.hsm_key), b"", now_ms, terms)
    secret, certificate = secrets.token_bytes(32), b""
    if kind == TLS:
        made = make_certificate(secret, name, now_ms)
        public, certificate = made.fingerprint, made.der
    elif kind == SEALING:
        public = exchange_public(secret)
    else:
        public = PrivateKey(secret).public_key
    return _stored(kind, public, secret, now_ms, terms, certificate)


def _stored(kind: int, public: bytes, secret: bytes, now_ms: int, terms: Terms, certificate: bytes = b"") -> StoredKey:
    return StoredKey(
        kind=kind,
        public=public,
        secret=secret,
        made_ms=now_ms,
        until_ms=terms.until_ms(now_ms),
        certificate=certificate,
        label=terms.hsm_key,
        replaces=terms.replaces,
    )
