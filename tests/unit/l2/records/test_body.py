"""Bodies: content comes back to the last byte, and every single-chunk tamper is refused with its fault."""

from collections.abc import Callable
from hashlib import sha256, shake_128

import pytest
import zstandard
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_encrypt

from l1.ground.faults import Fault, Refused
from l1.ground.merkle import root_of
from l2.records import body
from l2.records.cipher import BodyCipher, subkey_of
from l2.records.limits import CHUNK_BYTES, SEALED_CHUNK_BYTES, SMALL_BYTES
from l2.records.packing import HEAD_BYTES, RAW, ZSTD

SALT, KEY = bytes(range(32)), bytes([5]) * 32
PLACE = body.place_of(bytes(32), bytes([1]) * 32, bytes([2]) * 32)


def refused(fault: Fault) -> "pytest.RaisesExc[Refused]":
    return pytest.raises(Refused, check=lambda error: error.fault is fault)


def seal(content: bytes) -> list[bytes]:
    return list(body.seal_chunks([body.pack(content, SALT)], BodyCipher(KEY, PLACE)))


def open_again(chunks: list[bytes], content: bytes, place: bytes = PLACE) -> bytes:
    size = sum(map(len, chunks))
    granted = body.content_digest(SALT, sha256(content).digest())
    return b"".join(body.open_body(chunks, size, BodyCipher(KEY, place), granted, sha256()))


def noise(size: int) -> bytes:
    """Bytes that no compressor shrinks, the same every time."""
    return shake_128(b"noise").digest(size)


@given(st.binary(max_size=300), st.integers(0, 600))
def test_content_comes_back_identical(piece: bytes, times: int) -> None:
    content = piece * times
    assert open_again(seal(content), content) == content


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=1, max_size=200), st.integers(1, 2**40), st.booleans())
def test_the_fast_cipher_is_xchacha20_poly1305(key: bytes, plain: bytes, index: int, last: bool) -> None:
    """OpenSSL's words under the derived subkey, and libsodium's under the key itself, are the same."""
    place = bytes(32)
    sealed = BodyCipher(key, place).seal(plain, index, last)
    nonce, data = index.to_bytes(24, "big"), place + bytes((last,))
    assert sealed == crypto_aead_xchacha20poly1305_ietf_encrypt(plain, data, nonce, key)
    assert BodyCipher(key, place).open(sealed, index, last) == plain


def test_the_subkey_is_hchacha20() -> None:
    """The key of the draft's own test vector, under a nonce of zeros, against libsodium."""
    key = bytes(range(32))
    sealed = ChaCha20Poly1305(subkey_of(key)).encrypt(bytes(12), b"plain", b"data")
    assert sealed == crypto_aead_xchacha20poly1305_ietf_encrypt(b"plain", b"data", bytes(24), key)


@pytest.mark.parametrize("past", [-1, 0, 1])
@pytest.mark.parametrize("chunks", [1, 2, 3])
def test_sizes_around_the_chunk_border(chunks: int, past: int) -> None:
    content = noise(chunks * CHUNK_BYTES - HEAD_BYTES + past)
    sealed = seal(content)
    size = sum(map(len, sealed))
    assert len(sealed) == chunks + (past > 0) == body.chunk_count(size)
    assert [len(c) for c in sealed] == [body.chunk_size(i, size) for i in range(len(sealed))]
    assert open_again(sealed, content) == content


def test_text_is_compressed_and_noise_is_not() -> None:
    assert sum(map(len, seal(b'{"resourceType":"Patient"}' * 10_000))) < 10_000
    assert len(seal(noise(200_000))) == 4


def test_what_would_look_like_a_bomb_is_not_compressed() -> None:
    content = bytes(SMALL_BYTES + 1)
    sealed = seal(content)
    assert len(sealed) == SMALL_BYTES // CHUNK_BYTES + 1
    assert open_again(sealed, content) == content


TAMPERS: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "flip": lambda c: [c[0], bytes([c[1][0] ^ 1]) + c[1][1:], *c[2:]],
    "swap": lambda c: [c[1], c[0], *c[2:]],
    "drop the first": lambda c: c[1:],
    "drop the last": lambda c: c[:-1],
    "repeat": lambda c: [c[0], c[0], *c[1:]],
    "truncate": lambda c: [*c[:-1], c[-1][:-1]],
    "append": lambda c: [*c, c[-1]],
    "append a byte": lambda c: [*c[:-1], c[-1] + b"\x00"],
}


@pytest.mark.parametrize("tamper", TAMPERS)
def test_a_tampered_chunk_does_not_open(tamper: str) -> None:
    content = noise(CHUNK_BYTES * 3)
    chunks = TAMPERS[tamper](seal(content))
    stream = b"".join(chunks)
    recut = [stream[i : i + SEALED_CHUNK_BYTES] for i in range(0, len(stream), SEALED_CHUNK_BYTES)]
    with refused(Fault.BAD_CIPHERTEXT):
        open_again(recut, content)


@pytest.mark.parametrize("tamper", TAMPERS)
def test_a_tampered_chunk_leads_to_another_root(tamper: str) -> None:
    chunks = seal(noise(CHUNK_BYTES * 3))
    root = root_of([body.chunk_hash(c) for c in chunks])
    size = sum(map(len, chunks))
    body.check_hashes(b"".join(map(body.chunk_hash, chunks)), size, root)
    with refused(Fault.BAD_PROOF):
        body.check_hashes(b"".join(map(body.chunk_hash, TAMPERS[tamper](chunks))), size, root)


def test_a_body_opens_at_its_place_only() -> None:
    with refused(Fault.BAD_CIPHERTEXT):
        open_again(seal(b"x"), b"x", place=bytes(32))


def test_other_content_than_granted_is_refused() -> None:
    with refused(Fault.BAD_DIGEST):
        open_again(seal(b"this"), b"that")


def _unpack(codec: int, size: int, data: bytes) -> tuple[bytes, bytes]:
    return body.unpack_body([SALT + bytes((codec,)) + size.to_bytes(8, "little") + data], len(data) + 64)


def test_bodies_that_lie_about_themselves_are_refused() -> None:
    packed = zstandard.compress(b"word " * 100)
    assert _unpack(ZSTD, 500, packed)[1] == b"word " * 100
    lies: list[tuple[int, int, bytes]] = [(2, 0, b""), (RAW, 2, b"1"), (RAW, 0, b"1")]
    lies += [
        (ZSTD, 499, packed),
        (ZSTD, 501, packed),
        (ZSTD, 500, packed[:-3]),
        (ZSTD, 5, b"junk!"),
    ]
    for codec, size, data in lies:
        with refused(Fault.MALFORMED):
            _unpack(codec, size, data)
    with refused(Fault.MALFORMED):
        body.unpack_body([SALT], 48)


def test_a_bomb_is_stopped_before_it_unpacks() -> None:
    bomb = zstandard.compress(bytes(64 * 1024 * 1024))
    with refused(Fault.TOO_LARGE):
        _unpack(ZSTD, 64 * 1024 * 1024, bomb)
    with refused(Fault.MALFORMED):  # it claims little, and little is unpacked
        _unpack(ZSTD, 1000, bomb)


@pytest.mark.parametrize("size", [0, 16, 56, SEALED_CHUNK_BYTES + 1, SEALED_CHUNK_BYTES + 16, 2**47])
def test_sizes_that_no_body_has(size: int) -> None:
    with refused(Fault.OUT_OF_BOUNDS):
        body.chunk_count(size)


def test_there_is_no_chunk_past_the_end() -> None:
    for index in (-1, 1):
        with refused(Fault.NO_SUCH_CHUNK):
            body.chunk_size(index, 100)


def test_the_format_stays() -> None:
    """A vector: these bytes may only change with the version of the format."""
    chunks = seal(b"hello, hospital")
    assert b"".join(chunks).hex() == (
        "1cc5b0c20af2b10952f5584c2087defdfc03447b1acf2d8a51f94c2f4de8a70fbcde8af4ea7abb1b"
        "2ec003d918dfb3ad43146c6ccb1552864c34e41be8bac9643b9acec0cdfc7329"
    )
