"""Many short texts at once: the leaf hashes of a batch, the node hashes of a level of a tree, some of a batch's parts.

Python spends six times as long around the SHA-256 of an entry as on it, so where a C compiler and libcrypto were at
hand at installation, `_many.c` does the same (docs/decisions/hashes-in-c.md). Nobody can tell which one is at work.
"""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from itertools import pairwise

import msgspec

from l1.ground.limits import SALT_BYTES

try:
    from l1.ground import _many as in_c
except ImportError:
    in_c = None  # type: ignore[assignment]

__all__ = ["IN_C", "cut_parts", "join_parts", "leaf_hashes", "node_hashes", "pick_parts"]

IN_C = in_c is not None

_cut = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_encode = msgspec.msgpack.Encoder().encode


def cut_parts(publics: bytes, privates: bytes, with_private: int) -> tuple[list[bytes], list[bytes]]:
    """Parts that stand together, one by one and aligned: an empty private part where there is none.

    Both are msgpack arrays of parts, each a short array of scalars that begins with the number of its kind; bit n of
    `with_private` says that kind n has a private part. Raises `ValueError` for what does not fit together; it is no
    check of what the parts say.
    """
    try:
        each, hidden = list(map(bytes, _cut(publics))), list(map(bytes, _cut(privates)))
        expected = [with_private >> part[1] & 1 for part in each]
    except (msgspec.DecodeError, IndexError) as error:
        raise ValueError(f"these are no parts ({error})") from None
    if sum(expected) != len(hidden):
        raise ValueError("public and private parts differ in number")
    following = iter(hidden)
    return each, [next(following) if has_one else b"" for has_one in expected]


_cut_kept = lru_cache(maxsize=4)(cut_parts)  # who asks for one entry of a batch asks for its neighbours next


def leaf_hashes_in_python(publics: bytes, privates: bytes, salts: bytes, with_private: int) -> list[bytes]:
    """SHA-256(0x00 ‖ public ‖ SHA-256(salt ‖ private)) of each; without the last part where its kind has none.

    Parts as for `cut_parts`; `salts` are all salts in one piece, `SALT_BYTES` each.
    """
    each, hidden = cut_parts(publics, privates, with_private)
    if len(salts) != SALT_BYTES * len(each):
        raise ValueError("parts and salts differ in number")
    cut = [salts[at : at + SALT_BYTES] for at in range(0, len(salts), SALT_BYTES)]
    return [
        sha256(b"\x00" + public + sha256(salt + private).digest() if private else b"\x00" + public).digest()
        for public, private, salt in zip(each, hidden, cut, strict=True)
    ]


def pick_parts_in_python(
    publics: bytes, privates: bytes, with_private: int, indices: Sequence[int]
) -> tuple[bytes, bytes]:
    """Those of the parts, as if they stood alone. Raises `IndexError` unless they are there, and in rising order."""
    each, hidden = _cut_kept(publics, privates, with_private)
    if not all(before < index for before, index in pairwise((-1, *indices))) or (indices and indices[-1] >= len(each)):
        raise IndexError("there are no such parts, or not in this order")
    return join_parts([each[at] for at in indices], [hidden[at] for at in indices])


def join_parts(publics: Sequence[bytes], privates: Sequence[bytes]) -> tuple[bytes, bytes]:
    """What `cut_parts` cut, together again."""
    return _join(publics), _join(list(filter(None, privates)))


def _join(parts: Sequence[bytes]) -> bytes:
    return _encode([msgspec.Raw(part) for part in parts])


def node_hashes_in_python(row: Sequence[bytes]) -> list[bytes]:
    """SHA-256(0x01 ‖ left ‖ right) of each two neighbours; of an odd number the last is left out."""
    halves = iter(row)
    return [sha256(b"\x01" + left + right).digest() for left, right in zip(halves, halves, strict=False)]


leaf_hashes = in_c.leaf_hashes if IN_C else leaf_hashes_in_python
node_hashes = in_c.node_hashes if IN_C else node_hashes_in_python
pick_parts = in_c.pick_parts if IN_C else pick_parts_in_python
