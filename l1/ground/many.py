"""Many hashes of short texts at once: the leaves of a batch, and the nodes of a level of a tree.

Python spends six times as long around the SHA-256 of an entry as on it, so where a C compiler and libcrypto were at
hand at installation, `_many.c` does the same (docs/decisions/hashes-in-c.md). Nobody can tell which one is at work.
"""

from collections.abc import Sequence
from hashlib import sha256

import msgspec

from l1.ground.limits import SALT_BYTES

try:
    from l1.ground import _many as in_c
except ImportError:
    in_c = None  # type: ignore[assignment]

__all__ = ["IN_C", "leaf_hashes", "node_hashes"]

IN_C = in_c is not None

_cut = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode


def leaf_hashes_in_python(publics: bytes, privates: bytes, salts: bytes, with_private: int) -> list[bytes]:
    """SHA-256(0x00 ‖ public ‖ SHA-256(salt ‖ private)) of each; without the last part where its kind has none.

    Both are msgpack arrays of parts, each a short array of scalars that begins with the number of its kind; bit n of
    `with_private` says that kind n has a private part. `salts` are all salts in one piece, `SALT_BYTES` each. Raises
    `ValueError` for what does not fit together; it is no check of what the parts say.
    """
    try:
        parts, hidden = map(bytes, _cut(publics)), iter(_cut(privates))
        each = [salts[at : at + SALT_BYTES] for at in range(0, len(salts), SALT_BYTES)]
        made = [
            sha256(
                b"\x00" + part + sha256(salt + next(hidden)).digest() if with_private >> part[1] & 1 else b"\x00" + part
            )
            for part, salt in zip(parts, each, strict=True)
        ]
    except (msgspec.DecodeError, IndexError, StopIteration) as error:
        raise ValueError(f"publics, privates and salts do not fit together ({error})") from None
    if next(hidden, None) is not None or len(salts) % SALT_BYTES:
        raise ValueError("publics, privates and salts differ in number")
    return [one.digest() for one in made]


def node_hashes_in_python(row: Sequence[bytes]) -> list[bytes]:
    """SHA-256(0x01 ‖ left ‖ right) of each two neighbours; of an odd number the last is left out."""
    halves = iter(row)
    return [sha256(b"\x01" + left + right).digest() for left, right in zip(halves, halves, strict=False)]


leaf_hashes = in_c.leaf_hashes if IN_C else leaf_hashes_in_python
node_hashes = in_c.node_hashes if IN_C else node_hashes_in_python
