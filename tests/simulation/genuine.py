"""Signatures that this process made itself, so that opening one of them again costs nothing.

What a key signed here is genuine: libsecp256k1 made it from the private key and this very digest, and published vectors
show that it verifies what it makes. Whatever differs from it in one bit of key, digest or signature is not known, and
is really verified, by the product's own code, which refuses it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from l1.ground import signing
from l1.ground.signing import PrivateKey

__all__ = ["SimKey", "own_signatures_known"]

KEPT = 200_000  # then all are forgotten, and verified again: memory is bounded

_known: set[tuple[bytes, bytes, bytes]] = set()


class SimKey(PrivateKey):
    """A private key whose signatures are remembered."""

    __slots__ = ()

    def sign_digest(self, digest: bytes) -> bytes:
        signature = super().sign_digest(digest)
        if len(_known) >= KEPT:
            _known.clear()
        _known.add((self.public_key, digest, signature))
        return signature


@contextmanager
def own_signatures_known() -> Iterator[None]:
    """Within it, what a `SimKey` of this process signed is opened without being verified once more."""
    genuine = signing.open_digest

    def open_digest(key: bytes, digest: bytes, signature: bytes) -> None:
        if (key, digest, signature) not in _known:
            genuine(key, digest, signature)

    signing.open_digest = open_digest
    try:
        yield
    finally:
        signing.open_digest = genuine
