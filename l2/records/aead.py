"""XChaCha20-Poly1305, as libsodium has it: the one cipher of boxes, wrapped keys and short bodies.

PyNaCl's own functions spend three to five microseconds around one of libsodium's, on what the types here settle
already, and a short record is sealed or opened eight times on each side. So libsodium is called as PyNaCl calls it,
without that.
Source: draft-irtf-cfrg-xchacha-03.
"""

from typing import Any

from nacl import _sodium  # PyNaCl's own door to libsodium; the vectors hold what it does

from l2.records.limits import TAG_BYTES

__all__ = ["KEY_BYTES", "NONCE_BYTES", "Octets", "open_sealed", "seal"]

KEY_BYTES = 32
NONCE_BYTES = 24

Octets = bytes | bytearray | memoryview
"""Bytes, whoever owns them."""

_lib: Any = _sodium.lib
_encrypt, _decrypt = (
    _lib.crypto_aead_xchacha20poly1305_ietf_encrypt,
    _lib.crypto_aead_xchacha20poly1305_ietf_decrypt,
)
_at = _sodium.ffi.from_buffer
_NULL = _sodium.ffi.NULL


def seal(plain: Octets, data: bytes, nonce: bytes, key: bytes) -> bytes:
    """Ciphertext and tag. `data` is bound to it and not in it."""
    assert len(nonce) == NONCE_BYTES and len(key) == KEY_BYTES  # noqa: PT018 - libsodium reads so many
    sealed = bytearray(len(plain) + TAG_BYTES)
    _encrypt(_at(sealed), _NULL, _at(plain), len(plain), data, len(data), _NULL, nonce, key)
    return bytes(sealed)


def open_sealed(sealed: Octets, data: bytes, nonce: bytes, key: bytes) -> bytearray | None:
    """What was sealed so; None where it does not open: another key, nonce or data, or damaged."""
    assert len(nonce) == NONCE_BYTES and len(key) == KEY_BYTES  # noqa: PT018
    size = len(sealed)
    if size < TAG_BYTES:
        return None
    plain = bytearray(size - TAG_BYTES)
    failed = _decrypt(_at(plain), _NULL, _NULL, _at(sealed), size, data, len(data), nonce, key)
    return None if failed else plain
