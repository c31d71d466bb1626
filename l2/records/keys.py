"""Keys of records: what two hospitals share, what one hospital keeps, and how a record's key travels.

Knows X25519, keyed BLAKE2b and XChaCha20-Poly1305; knows neither disk nor line, and makes no randomness: every entropy
is an argument. Sources: RFC 7748, RFC 7693, draft-irtf-cfrg-xchacha-03; docs/spec/records.md, rules KEY-*.
"""

from collections.abc import Callable
from hashlib import blake2b, sha256

from nacl.bindings import crypto_scalarmult, crypto_scalarmult_base
from nacl.exceptions import CryptoError

from l1.ground.faults import Fault, Refused, require
from l1.ground.hashing import tagged_digest, tagged_prefix
from l1.ground.limits import HANDLE_BYTES
from l2.records.aead import KEY_BYTES, NONCE_BYTES, open_sealed, seal

__all__ = [
    "BOX_OVERHEAD",
    "KEY_BYTES",
    "NONCE_BYTES",
    "agree",
    "box",
    "channel_secret",
    "exchange_public",
    "grant_keys",
    "handle",
    "key_digest",
    "lock_of",
    "release_secret",
    "release_secrets",
    "unbox",
    "unwrap",
    "wrap",
]

BOX_OVERHEAD = NONCE_BYTES + 16

_NONCE_OF_GRANT_BYTES = 16
_GRANT_KEY, _GRANT_SALT = (tagged_prefix(tag, size=_NONCE_OF_GRANT_BYTES) for tag in (b"grant key", b"grant salt"))
_BODY_KEY = tagged_prefix(b"body key", size=KEY_BYTES)
_ZERO_NONCE = bytes(NONCE_BYTES)  # only under keys that encrypt once


def exchange_public(private: bytes) -> bytes:
    """The X25519 public key of 32 private bytes."""
    assert len(private) == KEY_BYTES
    return crypto_scalarmult_base(private)


def _shared(private: bytes, public: bytes) -> bytes:
    require(len(public) == KEY_BYTES, Fault.BAD_KEY, f"an X25519 key has {KEY_BYTES} bytes, not {len(public)}")
    try:
        return crypto_scalarmult(private, public)
    except CryptoError:  # a point of small order: the secret would be zero, whoever asks
        raise Refused(Fault.BAD_KEY, "the peer's X25519 key has small order") from None


def _derive(key: bytes, *parts: bytes) -> bytes:
    """32 bytes out of a secret and what it is for: BLAKE2b keyed over a tagged digest of the parts."""
    return blake2b(tagged_digest(*parts), key=key, digest_size=KEY_BYTES).digest()


def channel_secret(own_sealing_private: bytes, peer_sealing_public: bytes, channel: bytes) -> bytes:
    """[LOCK-1] What both hospitals of a channel, and nobody else, can compute from their sealing keys."""
    own_public = exchange_public(own_sealing_private)
    shared = _shared(own_sealing_private, peer_sealing_public)
    return _derive(shared, b"channel secret", channel, *sorted((own_public, peer_sealing_public)))


def handle(secret: bytes, kind: bytes, local_id: str) -> bytes:
    """[LOCK-2] The pairwise pseudonym of a patient or practitioner under a channel secret, 16 bytes."""
    name = len(kind).to_bytes(1, "big") + kind + local_id.encode()
    return blake2b(name, key=secret, digest_size=HANDLE_BYTES).digest()


def grant_keys(record_key: bytes, nonce: bytes) -> tuple[bytes, bytes]:
    """[BODY-8] Key and salt of one grant's body: fresh with the nonce, and gone when the record's own key is."""
    return (
        blake2b(sha256(_GRANT_KEY + nonce).digest(), key=record_key, digest_size=KEY_BYTES).digest(),
        blake2b(sha256(_GRANT_SALT + nonce).digest(), key=record_key, digest_size=KEY_BYTES).digest(),
    )


def release_secret(seed: bytes, chain: bytes, channel: bytes, key: bytes) -> bytes:
    """[LOCK-3] What `release` will show. `key` is the grant's digest of its body's key, unique per grant.

    Seed and grant give it again, so it survives a lost disk; and it is known before the content is read.
    """
    return release_secrets(seed, chain, channel)(key)


def release_secrets(seed: bytes, chain: bytes, channel: bytes) -> Callable[[bytes], bytes]:
    """The same for many grants of one channel: a function of each one's `key`."""
    prefix = tagged_prefix(b"release", chain, channel, size=KEY_BYTES)
    return lambda key: blake2b(sha256(prefix + key).digest(), key=seed, digest_size=KEY_BYTES).digest()


def lock_of(secret: bytes) -> bytes:
    """[LOCK-4] The key-lock in the grant, as Lightning's payment hash: SHA-256 of the secret."""
    return sha256(secret).digest()


def key_digest(key: bytes) -> bytes:
    """[LOCK-5] Names a body's one key in the grant without showing it."""
    return sha256(_BODY_KEY + key).digest()


def agree(private: bytes, public: bytes) -> bytes:
    """What two one-time keys have in common: once for every pull, however many grants it brings. Raises `Refused`
    (BAD_KEY)."""
    return _shared(private, public)


def _wrapping_key(shared: bytes, secret: bytes, place: bytes, root: bytes) -> bytes:
    return _derive(shared, b"wrap", secret, place, root)


def wrap(key: bytes, *, shared: bytes, secret: bytes, place: bytes, root: bytes) -> bytes:
    """[LOCK-6] A body's key for one pull: opened only by the peer's one-time key *and* the released secret. 48 bytes.

    `shared` is what the one-time keys of both `agree` on; `place` is `body.place_of(...)`, `root` the grant's
    ciphertext root: the lock in the place is fresh per grant, so the wrapping key encrypts once.
    """
    return seal(key, place, _ZERO_NONCE, _wrapping_key(shared, secret, place, root))


def unwrap(wrapped: bytes, *, shared: bytes, secret: bytes, place: bytes, root: bytes) -> bytes:
    """The body's key. Raises `Refused` (BAD_CIPHERTEXT)."""
    key = open_sealed(wrapped, place, _ZERO_NONCE, _wrapping_key(shared, secret, place, root))
    if key is None:
        raise Refused(Fault.BAD_CIPHERTEXT, "the wrapped key does not open under this secret")
    return bytes(key)


def box(key: bytes, secret: bytes, label: bytes, nonce: bytes) -> bytes:
    """[REST-2] A short secret at rest under a longer-lived key: nonce ‖ ciphertext. `nonce` is 24 fresh bytes."""
    assert len(nonce) == NONCE_BYTES
    return nonce + seal(secret, label, nonce, key)


def unbox(key: bytes, boxed: bytes, label: bytes) -> bytes:
    """What was boxed under that key and label. Raises `Refused` (BAD_CIPHERTEXT)."""
    require(len(boxed) >= BOX_OVERHEAD, Fault.BAD_CIPHERTEXT, "too short for a sealed box")
    secret = open_sealed(boxed[NONCE_BYTES:], label, boxed[:NONCE_BYTES], key)
    if secret is None:
        raise Refused(Fault.BAD_CIPHERTEXT, "does not open: another key, another place, or damaged")
    return bytes(secret)
