"""A tower's rows on disk: damage is found, an older layout is taken over, a new start is noticed."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import lmdb
import pytest

from l1.ground.hashing import digest
from l1.rules.commitment import Signed
from l2.node.towers import Feed
from l2.protocol.rows import unseal_row
from l2.tower.rows import Held, side_key
from l2.tower.store import StoreFailed, TowerStore
from tests.unit.l2.tower.world import Watch, watched

KEY = side_key(digest(b"channel"), 0)
HELD = Held(hospital=b"h" * 20, peer=b"p" * 20, size=7, signed=Signed(body=b"words", key=1, signature=b"s" * 64))


def filled(path: Path) -> None:
    store = TowerStore(path)
    with store.changing() as change:
        change.hold(KEY, HELD)
    store.close()


def rewrite(path: Path, change: Any, *, schema: int | None = None) -> None:
    """What a program that is not ours does to the row of KEY."""
    environment = lmdb.open(str(path), subdir=False, max_dbs=8)
    with environment.begin(write=True) as writing:
        held = environment.open_db(b"held", txn=writing)
        writing.put(KEY, change(writing.get(KEY, db=held) or b""), db=held)
        if schema is not None:
            meta = environment.open_db(b"meta", txn=writing)
            writing.put(b"schema", schema.to_bytes(2, "big"), db=meta)
    environment.close()


@pytest.mark.parametrize("at", [0, 45, -1])
def test_a_bit_that_flipped_ends_the_process(tmp_path: Path, at: int) -> None:
    """Also where the row still decodes: at 45 stands the size."""
    path = tmp_path / "tower.mdb"
    filled(path)

    def flip(row: bytes) -> bytes:
        bent = bytearray(row)
        bent[at] ^= 1
        return bytes(bent)

    rewrite(path, flip)
    store = TowerStore(path)
    with store.reading() as rows, pytest.raises(StoreFailed, match="damaged"):
        rows.held(KEY)
    store.close()


def test_a_store_without_checksums_gets_them(tmp_path: Path) -> None:
    path = tmp_path / "tower.mdb"
    filled(path)
    rewrite(path, lambda row: unseal_row(b"held/" + KEY, row), schema=1)
    store = TowerStore(path)
    with store.reading() as rows:
        assert rows.held(KEY) == HELD
    store.close()


async def test_a_tower_that_started_again_is_handed_everything(tmp_path: Path) -> None:
    async with watched(tmp_path) as (town, _, [channel]):
        feed = Feed(cast(Any, SimpleNamespace()), b"t" * 20, "http://tower")
        for left in (1, 0):  # its disk may be an older copy now, and no row of it can say so
            again = Watch(town, tmp_path)
            async with again.running():
                feed.given[channel] = (1, 9, 1)
                await feed.look(again.client())
                assert len(feed.given) == left
                feed.given[channel] = (1, 9, 1)
                await feed.look(again.client())
                assert len(feed.given) == 1
