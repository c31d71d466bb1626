"""SHA-256, and the one way to hash several things together: tagged and length-prefixed, so that no two lists of parts
give the same bytes."""

from hashlib import sha256 as _sha256

__all__ = ["digest", "tagged_digest", "tagged_prefix"]

_PROTOCOL = b"interward"
_PREFIX = len(_PROTOCOL).to_bytes(4, "big") + _PROTOCOL


def digest(data: bytes) -> bytes:
    """SHA-256 of data, 32 bytes."""
    return _sha256(data).digest()


def tagged_digest(tag: bytes, *parts: bytes) -> bytes:
    """SHA-256 over protocol, tag and parts, each prefixed with its length (4 bytes, big-endian)."""
    return _sha256(_joined(tag, parts)).digest()


def tagged_prefix(tag: bytes, *parts: bytes, size: int) -> bytes:
    """What stands before the last part of a tagged digest, where that has `size` bytes: `digest(prefix + last)` is
    `tagged_digest(tag, *parts, last)`. For many that differ in nothing else."""
    return _joined(tag, parts) + size.to_bytes(4, "big")


def _joined(tag: bytes, parts: tuple[bytes, ...]) -> bytes:
    data = _PREFIX + len(tag).to_bytes(4, "big") + tag
    for part in parts:
        data += len(part).to_bytes(4, "big") + part
    return data
