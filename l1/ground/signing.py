"""ECDSA over secp256k1: nothing is signed bare, and opening a signature returns the content or raises.

What is signed is a tagged, length-prefixed digest of purpose, version, chain, channel and body, so that words said
for one purpose, chain or channel are noise everywhere else. Signatures are 64 bytes, r ‖ s, low-S only; nonces are
those of RFC 6979. The only module that knows coincurve (a test says so).
"""

from enum import Enum
from functools import lru_cache
from typing import Protocol

import coincurve
from coincurve.ecdsa import cdata_to_der, deserialize_compact

from l1.ground.codec import Shape
from l1.ground.faults import Fault, Refused
from l1.ground.hashing import tagged_digest
from l1.ground.limits import PUBLIC_KEY_BYTES, SIGNATURE_BYTES, VERSION

__all__ = [
    "NOWHERE",
    "Context",
    "PrivateKey",
    "Purpose",
    "Signer",
    "check_public_key",
    "compact_low_s",
    "open_signed",
    "sign",
]

_POINTS_KEPT = 4_096  # parsing a key is a sixth of a verification, and a few keys sign nearly everything
_ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141


class Purpose(Enum):
    """What a signature is for. A key's words for one purpose say nothing for another."""

    BLOCK = b"block"
    TRANSACTION = b"transaction"
    KEY = b"key"  # a hospital's new key vouches for its own possession
    OPENING = b"opening"
    COMMITMENT = b"commitment"
    CLOSING = b"closing"  # both sides agree on a pair of final commitments
    RESUME = b"resume"
    HELLO = b"hello"
    ERASURE = b"erasure"
    AFTER_CLOSE = b"after close"  # a hospital's own line: a record was opened whose channel had closed
    PARAMETERS = b"parameters"  # a registrar agrees to what the chain lives by
    HANDOVER = b"handover"  # a hospital gives its watchtower what it needs


class Context(Shape, frozen=True):
    """Where words count: the chain (its genesis hash) and the channel; empty bytes where there is none."""

    chain: bytes
    channel: bytes = b""


NOWHERE = Context(chain=b"")
"""The context of words that are said before there is a chain: only a genesis."""


class Signer(Protocol):
    """A private key that may live elsewhere: in memory, or in an HSM that never shows it."""

    @property
    def public_key(self) -> bytes:
        """33 bytes, compressed."""

    def sign_digest(self, digest: bytes) -> bytes:
        """64 bytes, r ‖ s, low-S, over a 32-byte digest."""


class PrivateKey:
    """A private key in memory. It never shows itself: not in a `repr`, not in an error, not in a pickle."""

    __slots__ = ("_key", "public_key")

    def __init__(self, secret: bytes) -> None:
        """`secret` is 32 bytes below the curve's order and not zero; else `Refused` (BAD_KEY)."""
        if len(secret) != 32 or not 0 < int.from_bytes(secret, "big") < _ORDER:
            raise Refused(Fault.BAD_KEY, "a private key is 32 bytes between 1 and the order of the curve")
        self._key = coincurve.PrivateKey(secret)
        self.public_key: bytes = self._key.public_key.format()

    def sign_digest(self, digest: bytes) -> bytes:
        assert len(digest) == 32
        # Recoverable signatures are the compact form plus a recovery byte, which nobody here needs.
        return self._key.sign_recoverable(digest, hasher=None)[:SIGNATURE_BYTES]

    def __repr__(self) -> str:
        return f"PrivateKey(of {self.public_key[:4].hex()}…)"

    def __reduce__(self) -> str:
        raise TypeError("a private key is not to be pickled")


def compact_low_s(signature: bytes, key: bytes, digest: bytes) -> bytes:
    """r ‖ s as somebody else's hardware made it, with the lower of the two s that say the same; known to be the key's.

    Raises `Refused` (BAD_SIGNATURE) for anything but that key's signature over the digest.
    """
    s = int.from_bytes(signature[32:], "big")
    made = signature[:32] + min(s, abs(_ORDER - s)).to_bytes(32, "big")
    open_digest(key, digest, made)
    return made


def check_public_key(key: bytes) -> bytes:
    """The key, known to be a compressed point of the curve. Raises `Refused` (BAD_KEY)."""
    if len(key) != PUBLIC_KEY_BYTES:
        raise Refused(Fault.BAD_KEY, f"a public key has {PUBLIC_KEY_BYTES} bytes, not {len(key)}")
    try:
        coincurve.PublicKey(key)
    except ValueError:
        raise Refused(Fault.BAD_KEY, "the public key is not a point of secp256k1") from None
    return key


def _digest_to_sign(purpose: Purpose, context: Context, body: bytes) -> bytes:
    return tagged_digest(purpose.value, VERSION.to_bytes(2, "big"), context.chain, context.channel, body)


def sign(signer: Signer, purpose: Purpose, context: Context, body: bytes) -> bytes:
    """The signer's 64-byte signature over the body, for this purpose, here."""
    return signer.sign_digest(_digest_to_sign(purpose, context, body))


def open_signed(key: bytes, purpose: Purpose, context: Context, body: bytes, signature: bytes) -> bytes:
    """The body, known to be the key's own words for this purpose here. Raises `Refused` (BAD_SIGNATURE, BAD_KEY)."""
    open_digest(key, _digest_to_sign(purpose, context, body), signature)
    return body


_point_of = lru_cache(maxsize=_POINTS_KEPT)(coincurve.PublicKey)


def open_digest(key: bytes, digest: bytes, signature: bytes) -> None:
    """Raise unless the signature is the key's over a bare digest. For published vectors; everything else binds."""
    if len(signature) != SIGNATURE_BYTES:
        raise Refused(Fault.BAD_SIGNATURE, f"a signature has {SIGNATURE_BYTES} bytes, not {len(signature)}")
    try:
        point = _point_of(key)
    except ValueError:
        raise Refused(Fault.BAD_KEY, "the public key is not a point of secp256k1") from None
    try:
        # libsecp256k1 itself refuses r or s out of range here, and high s in the verification.
        der = cdata_to_der(deserialize_compact(signature))
        genuine = point.verify(der, digest, hasher=None)
    except ValueError:
        genuine = False
    if not genuine:
        raise Refused(Fault.BAD_SIGNATURE, "the signature is not that key's over these words")
