"""The keyring's file: every key made after the admission, sealed under the seed's own key, replaced as a whole.

The seed lies under the operator's password (Argon2id); under a key derived from it a running hospital can take in a new
key without the password, and without the second and the quarter gigabyte that Argon2id costs.
"""

import os
import secrets
from pathlib import Path

from l1.ground.codec import encode
from l1.ground.faults import LocalError, Refused
from l1.ground.hashing import tagged_digest
from l2.node.keys.store import StoredKey, decode_keyring
from l2.records.keys import NONCE_BYTES, box, unbox

__all__ = ["KEYRING", "load_keyring", "save_keyring"]

KEYRING = "keyring.box"

_PLACE = b"interward keyring 1"


def _key(seed: bytes) -> bytes:
    return tagged_digest(b"keys", seed, b"keyring", bytes(4))


def load_keyring(folder: Path, seed: bytes) -> tuple[StoredKey, ...]:
    """The keys in the folder's keyring; none before the first rotation. Raises `LocalError` for a damaged file."""
    path = folder / KEYRING
    try:
        sealed = path.read_bytes()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise LocalError(f"{path} cannot be read ({error.strerror})", "Restore it from a backup.") from None
    try:
        ring: tuple[StoredKey, ...] = decode_keyring(unbox(_key(seed), sealed, _PLACE))
    except Refused as refused:
        cause = f"{path} does not open: {refused.detail}"
        raise LocalError(cause, "Restore it from a backup of this folder, with its hospital.key.") from None
    return ring


def save_keyring(folder: Path, seed: bytes, ring: tuple[StoredKey, ...]) -> None:
    """Return once the ring is on the disk, whole: a crash leaves the old file or the new one."""
    path, fresh = folder / KEYRING, folder / f"{KEYRING}.new"
    sealed = box(_key(seed), encode(ring), _PLACE, secrets.token_bytes(NONCE_BYTES))
    file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(file, "wb") as stream:
        stream.write(sealed)
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(path)
    place = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(place)
    finally:
        os.close(place)
