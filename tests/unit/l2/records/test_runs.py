"""Runs of chunks are the same in C, in Python and one by one; nobody reads or writes beside what is given."""

import os

import pytest

from l2.records import runs
from l2.records.body import chunk_hash
from l2.records.cipher import BodyCipher, subkey_of
from l2.records.limits import CHUNK_BYTES, SEALED_CHUNK_BYTES

KEY, PLACE = bytes(range(32)), bytes(range(32, 64))
SUBKEY = subkey_of(KEY)
SIZES = (0, 1, 17, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 3 * CHUNK_BYTES + 5)
FIRSTS = (1, 255, 65_535)
in_c = pytest.param(True, marks=pytest.mark.skipif(not runs.IN_C, reason="no C compiler or no libcrypto was at hand"))
either = pytest.mark.parametrize("c", [in_c, False], ids=["C", "Python"])


def functions(c: bool):  # type: ignore[no-untyped-def]
    if c:
        return runs.seal_run, runs.open_run, runs.hash_run
    return runs.seal_run_in_python, runs.open_run_in_python, runs.hash_run_in_python


def sealed_by(c: bool, plain: bytes, first: int, last: int) -> bytes:
    into = bytearray(runs.sealed_size(len(plain)))
    functions(c)[0](SUBKEY, PLACE, plain, first, last, memoryview(into))
    return bytes(into)


def chunks_of(plain: bytes, first: int, last: int) -> list[bytes]:
    cipher = BodyCipher(KEY, PLACE)
    pieces = [plain[at : at + CHUNK_BYTES] for at in range(0, len(plain), CHUNK_BYTES)]
    return [cipher.seal(piece, first + at, first + at == last) for at, piece in enumerate(pieces)]


@either
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("first", FIRSTS)
def test_a_run_is_its_chunks(c: bool, size: int, first: int) -> None:
    _, open_run, hash_run = functions(c)
    plain = os.urandom(size)
    for last in (first - 1, first + max(0, size - 1) // CHUNK_BYTES):
        chunks = chunks_of(plain, first, last)
        sealed = sealed_by(c, plain, first, last)
        assert sealed == b"".join(chunks)
        assert hash_run(sealed) == b"".join(map(chunk_hash, chunks))
        into = bytearray(runs.opened_size(len(sealed)))
        assert open_run(SUBKEY, PLACE, memoryview(sealed), first, last, memoryview(into)) == runs.ALL_OPENED
        assert bytes(into) == plain


@either
def test_it_is_told_which_chunk_does_not_open(c: bool) -> None:
    _, open_run, _ = functions(c)
    plain = os.urandom(3 * CHUNK_BYTES + 5)
    good = sealed_by(c, plain, 7, 10)
    room = memoryview(bytearray(len(plain)))
    for at in range(4):
        bad = bytearray(good)
        bad[at * SEALED_CHUNK_BYTES + 3] ^= 1
        assert open_run(SUBKEY, PLACE, bad, 7, 10, room) == 7 + at
    assert open_run(SUBKEY, PLACE, good, 8, 11, room) == 8, "moved by one"
    assert open_run(SUBKEY, PLACE, good, 7, 9, room) == 9, "another last one"
    assert open_run(SUBKEY, bytes(32), good, 7, 10, room) == 7, "another place"
    assert open_run(bytes(32), PLACE, good, 7, 10, room) == 7, "another key"
    assert open_run(SUBKEY, PLACE, good, 7, 10, room) == runs.ALL_OPENED


@either
def test_room_that_does_not_fit_is_refused(c: bool) -> None:
    seal_run, open_run, _ = functions(c)
    plain = bytes(CHUNK_BYTES + 5)
    sealed = sealed_by(c, plain, 1, 2)
    for wrong in (-1, 1):
        with pytest.raises(ValueError, match="fit together"):
            seal_run(SUBKEY, PLACE, plain, 1, 2, memoryview(bytearray(len(sealed) + wrong)))
        with pytest.raises(ValueError, match="fit together"):
            open_run(SUBKEY, PLACE, sealed, 1, 2, memoryview(bytearray(len(plain) + wrong)))
    with pytest.raises(ValueError, match="fit together"):
        open_run(SUBKEY, PLACE, sealed[: SEALED_CHUNK_BYTES + 15], 1, 2, memoryview(bytearray(CHUNK_BYTES)))


@pytest.mark.skipif(not runs.IN_C, reason="no C compiler or no libcrypto was at hand")
def test_what_is_no_room_is_refused() -> None:
    for wrong in (bytes(17), None, 3):
        with pytest.raises((TypeError, BufferError)):
            runs.seal_run(SUBKEY, PLACE, b"x", 1, 1, wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        runs.hash_run(None)  # type: ignore[arg-type]
