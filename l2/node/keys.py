"""A hospital's keys, all made from one seed: what has to be kept safe, and what a backup has to hold, is one secret.

Knows which key is for what; does not know where the seed lies (`l2.node.folder`) nor which keys L1 has registered.
"""

from l1.ground.hashing import tagged_digest
from l1.ground.signing import PrivateKey
from l2.records.keys import exchange_public

__all__ = ["KeyStore"]

ROOT_NUMBER, CHANNEL_NUMBER, TLS_NUMBER, SEALING_NUMBER = range(4)  # as L1 numbers the keys of an admission


class KeyStore:
    """The private keys of one hospital. It never shows itself."""

    def __init__(self, seed: bytes) -> None:
        assert len(seed) == 32
        self._seed = seed

    def __repr__(self) -> str:
        return "KeyStore(…)"

    def _secret(self, purpose: bytes, number: int = 0) -> bytes:
        return tagged_digest(b"keys", self._seed, purpose, number.to_bytes(4, "big"))

    def root(self) -> PrivateKey:
        """Signs admission, key changes and openings."""
        return PrivateKey(self._secret(b"root"))

    def channel(self, generation: int = 0) -> PrivateKey:
        """Signs commitments and whatever a channel needs on L1."""
        return PrivateKey(self._secret(b"channel", generation))

    def sealing(self, generation: int = 0) -> bytes:
        """X25519 private key, 32 bytes: half of every channel secret."""
        return self._secret(b"sealing", generation)

    def sealing_public(self, generation: int = 0) -> bytes:
        return exchange_public(self.sealing(generation))

    def tls_seed(self) -> bytes:
        return self._secret(b"tls")

    def release_seed(self) -> bytes:
        """Makes the secret of every grant, so that it survives a lost disk."""
        return self._secret(b"release")

    def record_key(self) -> bytes:
        """The key-encryption key of records at rest."""
        return self._secret(b"records")
