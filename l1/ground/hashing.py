"""SHA-256, and the one way to hash several things together: tagged and length-prefixed, so that no two lists of parts
give the same bytes."""

from hashlib import sha256 as _sha256

__all__ = ["digest", "tagged_digest"]

_PROTOCOL = b"interward"


def digest(data: bytes) -> bytes:
    """SHA-256 of data, 32 bytes."""
    return _sha256(data).digest()


def tagged_digest(tag: bytes, *parts: bytes) -> bytes:
    """SHA-256 over protocol, tag and parts, each prefixed with its length (4 bytes, big-endian)."""
    return _sha256(b"".join(len(p).to_bytes(4, "big") + p for p in (_PROTOCOL, tag, *parts))).digest()
