"""Many hashes of short texts at once: the leaves of a batch, and the nodes of a level of a tree.

Python spends six times as long around the SHA-256 of an entry as on it, so where a C compiler and libcrypto were at
hand at installation, `_many.c` does the same (docs/decisions/hashes-in-c.md). Nobody can tell which one is at work.
"""

from collections.abc import Sequence
from hashlib import sha256

from l1.ground.limits import SALT_BYTES

try:
    from l1.ground import _many as in_c
except ImportError:
    in_c = None  # type: ignore[assignment]

__all__ = ["IN_C", "leaf_hashes", "node_hashes"]

IN_C = in_c is not None


def leaf_hashes_in_python(publics: Sequence[bytes], privates: Sequence[bytes], salts: bytes) -> list[bytes]:
    """SHA-256(0x00 ‖ public ‖ SHA-256(salt ‖ private)) of each; without the last part where the private one is empty.

    `salts` are all salts in one piece, `SALT_BYTES` each. The three are aligned, else `ValueError`.
    """
    if len(salts) != SALT_BYTES * len(publics):
        raise ValueError("publics, privates and salts differ in number")
    each = [salts[at : at + SALT_BYTES] for at in range(0, len(salts), SALT_BYTES)]
    return [
        sha256(b"\x00" + public + sha256(salt + private).digest() if private else b"\x00" + public).digest()
        for public, private, salt in zip(publics, privates, each, strict=True)
    ]


def node_hashes_in_python(row: Sequence[bytes]) -> list[bytes]:
    """SHA-256(0x01 ‖ left ‖ right) of each two neighbours; of an odd number the last is left out."""
    halves = iter(row)
    return [sha256(b"\x01" + left + right).digest() for left, right in zip(halves, halves, strict=False)]


leaf_hashes = in_c.leaf_hashes if IN_C else leaf_hashes_in_python
node_hashes = in_c.node_hashes if IN_C else node_hashes_in_python
