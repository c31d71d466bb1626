"""A damaged store is noticed before LMDB touches it, or says what it said: never something else, never a signal."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lmdb
import pytest

from l1.ground.faults import LocalError
from l1.serving.pages import PAGE_BYTES, check_pages
from l1.serving.whole import check_whole

HARMS = 120
Rows = dict[bytes, bytes]


def opened(path: Path) -> Any:
    return lmdb.open(str(path), subdir=False, max_dbs=2, map_size=1 << 30)


def rows_of(path: Path) -> Rows:
    with opened(path) as store:
        rows = store.open_db(b"rows")
        with store.begin(db=rows) as reading, reading.cursor() as cursor:
            return {bytes(key): bytes(value) for key, value in cursor}


def write(path: Path, commits: int, seed: int = 1) -> list[Rows]:
    """Rows of all sizes, put, changed and deleted; what stood there after each commit."""
    chance = random.Random(seed)
    with opened(path) as store:
        rows = store.open_db(b"rows")
        held: Rows = {}
        history = [held]
        for _ in range(commits):
            with store.begin(write=True, db=rows) as writing:
                for _ in range(60):
                    key = chance.choice([b"a", b"b"]) + chance.randrange(200).to_bytes(8, "big")
                    value = chance.randbytes(chance.choice([4, 36, 36, 1028, 1028, 3000, 9000]))
                    if chance.random() < 0.2:
                        writing.delete(key)
                        held = {known: row for known, row in held.items() if known != key}
                    else:
                        writing.put(key, value)
                        held = held | {key: value}
            history.append(held)
        return history


def test_whatever_is_written_is_whole_at_every_commit(tmp_path: Path) -> None:
    path = tmp_path / "store.mdb"
    check_whole(path, "none yet")
    for commits in range(12):
        write(path, commits, seed=commits)
        check_whole(path, "it must be whole")
    assert check_pages(path) == path.stat().st_size // PAGE_BYTES - 1


def test_a_reader_holds_its_pages_while_others_write(tmp_path: Path) -> None:
    path = tmp_path / "store.mdb"
    write(path, 5)
    with opened(path) as store:
        rows, reading = store.open_db(b"rows"), store.begin()
        assert check_pages(path, reading.id()) is not None
        with store.begin(write=True, db=rows) as writing:
            writing.put(b"one", b"more")
        assert check_pages(path, reading.id()) is not None
        with store.begin(write=True, db=rows) as writing:
            writing.put(b"two", b"more")
        assert check_pages(path, reading.id()) is None, "its meta page was written over"
        assert check_pages(path) is not None
        reading.abort()


def flip(whole: bytes, chance: random.Random) -> bytes:
    harmed = bytearray(whole)
    harmed[chance.randrange(len(harmed))] ^= 1 << chance.randrange(8)
    return bytes(harmed)


def rubbish(whole: bytes, chance: random.Random) -> bytes:
    """A whole sector that was never written, or another one's."""
    harmed, size = bytearray(whole), 512
    to, source = (chance.randrange(len(whole) // size) * size for _ in range(2))
    harmed[to : to + size] = chance.choice([b"\0" * size, chance.randbytes(size), whole[source : source + size]])
    return bytes(harmed)


def head_of_a_page(whole: bytes, chance: random.Random) -> bytes:
    """Where the structure is: the first bytes of any page."""
    harmed = bytearray(whole)
    at = chance.randrange(len(whole) // PAGE_BYTES) * PAGE_BYTES + chance.randrange(160)
    harmed[at] = chance.randrange(256)
    return bytes(harmed)


def cut(whole: bytes, chance: random.Random) -> bytes:
    return whole[: chance.randrange(len(whole))]


@pytest.mark.parametrize("harm", [flip, head_of_a_page, rubbish, cut])
def test_no_damage_leads_lmdb_astray(tmp_path: Path, harm: Callable[[bytes, random.Random], bytes]) -> None:
    """What passes has the rows of one of the last two commits, but for bytes of values, which the rows' own checksums
    find (`tests/unit/l2/node/test_store.py`)."""
    path, chance = tmp_path / "store.mdb", random.Random(f"pages {harm.__name__}")
    history = write(path, 12)
    whole, noticed = path.read_bytes(), 0
    for _ in range(HARMS):
        path.write_bytes(harm(whole, chance))
        try:
            check_whole(path, "named")
            found = rows_of(path)
        except (LocalError, lmdb.Error):
            noticed += 1
            continue
        known = [rows for rows in history[-2:] if rows.keys() == found.keys()]
        assert known
        assert any(all(len(found[key]) == len(value) for key, value in rows.items()) for rows in known)
    assert noticed


def test_pages_that_were_never_written_are_put_back(tmp_path: Path) -> None:
    """A transaction may take pages at the file's end and give them back: the file is shorter than its header says."""
    path = tmp_path / "store.mdb"
    write(path, 3)
    whole = path.stat().st_size
    with opened(path) as store, store.begin(write=True, db=store.open_db(b"rows")) as writing:
        for number in range(50):
            writing.put(b"big", bytes(20_000 + number))
        writing.delete(b"big")
    check_whole(path, "it must be whole")
    assert path.stat().st_size >= whole
    assert path.stat().st_size % PAGE_BYTES == 0
