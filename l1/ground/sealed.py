"""Secrets under a password: Argon2id, then XChaCha20-Poly1305. Entropy is an argument; files are the callers' affair.

The cost stands in the sealed bytes, bounded on reading, so that it can grow with the years.
Source: RFC 9106 (Argon2), draft-irtf-cfrg-xchacha-03.
"""

from nacl import pwhash
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt as _open
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_encrypt as _seal
from nacl.exceptions import CryptoError

from l1.ground.codec import Shape, decoder, encode
from l1.ground.faults import Fault, Refused, require

__all__ = ["ENTROPY_BYTES", "INTERACTIVE", "MODERATE", "Cost", "open_sealed", "seal"]

ENTROPY_BYTES = 16 + 24  # Argon2 salt, cipher nonce
MEMORY_BYTES_MAX = 1024**3
OPERATIONS_MAX = 16
SEALED_BYTES_MAX = 1024 * 1024

_LABEL = b"interward sealed 1"


class Cost(Shape, frozen=True):
    """Argon2id's passes and memory in bytes."""

    operations: int
    memory: int


MODERATE = Cost(pwhash.argon2id.OPSLIMIT_MODERATE, pwhash.argon2id.MEMLIMIT_MODERATE)
INTERACTIVE = Cost(pwhash.argon2id.OPSLIMIT_INTERACTIVE, pwhash.argon2id.MEMLIMIT_INTERACTIVE)


class _Sealed(Shape, frozen=True):
    label: bytes
    cost: Cost
    salt: bytes
    nonce: bytes
    box: bytes


_decode = decoder(_Sealed, bytes_max=SEALED_BYTES_MAX, what="key file")


def _key(password: str, salt: bytes, cost: Cost) -> bytes:
    return pwhash.argon2id.kdf(32, password.encode(), salt, opslimit=cost.operations, memlimit=cost.memory)


def seal(secret: bytes, password: str, entropy: bytes, cost: Cost = MODERATE) -> bytes:
    """The secret's sealed bytes. `entropy` is 40 fresh random bytes."""
    assert len(entropy) == ENTROPY_BYTES
    salt, nonce = entropy[:16], entropy[16:]
    head = _LABEL + encode(cost) + salt
    box = _seal(secret, head, nonce, _key(password, salt, cost))
    return encode(_Sealed(label=_LABEL, cost=cost, salt=salt, nonce=nonce, box=box))


def open_sealed(sealed: bytes, password: str) -> bytes:
    """The secret. Raises `Refused`: MALFORMED for a file that is none, BAD_CIPHERTEXT for a wrong password."""
    parts = _decode(sealed)
    require(parts.label == _LABEL, Fault.WRONG_VERSION, "this is not a sealed file that this program can read")
    affordable = (
        0 < parts.cost.operations <= OPERATIONS_MAX
        and 8192 <= parts.cost.memory <= MEMORY_BYTES_MAX
        and len(parts.salt) == 16
        and len(parts.nonce) == 24
    )
    require(affordable, Fault.MALFORMED, "the sealed file asks for impossible parameters")
    head = _LABEL + encode(parts.cost) + parts.salt
    try:
        return _open(parts.box, head, parts.nonce, _key(password, parts.salt, parts.cost))
    except CryptoError:
        raise Refused(Fault.BAD_CIPHERTEXT, "wrong password, or the file is damaged") from None
