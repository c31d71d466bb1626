"""A store of an older layout becomes one of the newest, whole or not at all; a newer one is refused."""

from pathlib import Path
from typing import Any

import lmdb
import pytest

from l1.ground.faults import LocalError
from l1.serving.schema import bring_up_to_date

NAMES = ("meta", "rows")


def opened(path: Path) -> Any:
    return lmdb.open(str(path), subdir=False, max_dbs=2, map_size=1 << 24)


def add(text: bytes) -> Any:
    def migrate(environment: Any, writing: Any) -> None:
        rows = environment.open_db(b"rows", txn=writing)
        writing.put(b"row", writing.get(b"row", db=rows) + text, db=rows)

    return migrate


def fail(_environment: Any, _writing: Any) -> None:
    raise lmdb.DiskError("no space left on device")


def state(path: Path) -> tuple[int, bytes]:
    with opened(path) as store, store.begin() as reading:
        meta, rows = (store.open_db(name, txn=reading) for name in (b"meta", b"rows"))
        return int.from_bytes(reading.get(b"schema", db=meta), "big"), reading.get(b"row", db=rows)


def bring(path: Path, *migrations: Any) -> None:
    with opened(path) as store:
        assert set(bring_up_to_date(store, path, NAMES, migrations, fresh={b"key": b"made once"})) == set(NAMES)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "store.mdb"
    bring(path)
    with opened(path) as store, store.begin(write=True, db=store.open_db(b"rows")) as writing:
        writing.put(b"row", b"one")
    return path


def test_a_new_store_is_of_the_newest_schema_and_keeps_its_facts(tmp_path: Path) -> None:
    path = tmp_path / "store.mdb"
    bring(path, fail, fail)
    with opened(path) as store, store.begin(db=store.open_db(b"meta")) as reading:
        assert reading.get(b"schema") == b"\0\3"
        assert reading.get(b"key") == b"made once"
    assert list(tmp_path.glob("*.schema-*")) == []


def test_migrations_run_in_order_once(old: Path) -> None:
    bring(old, add(b" two"), add(b" three"))
    assert state(old) == (3, b"one two three")
    bring(old, add(b" two"), add(b" three"))
    assert state(old) == (3, b"one two three")
    bring(old, fail, fail, add(b" four"))
    assert state(old) == (4, b"one two three four")


def test_the_store_as_it_was_is_kept_beside_it(old: Path) -> None:
    bring(old, add(b" two"))
    bring(old, fail, add(b" three"))
    assert state(old.with_name("store.mdb.schema-1")) == (1, b"one")
    assert state(old.with_name("store.mdb.schema-2")) == (2, b"one two")


def test_a_migration_that_fails_changes_nothing(old: Path) -> None:
    with pytest.raises(lmdb.DiskError):
        bring(old, add(b" two"), fail)
    assert state(old) == (1, b"one")
    bring(old, add(b" two"), add(b" three"))
    assert state(old) == (3, b"one two three")


def test_a_newer_store_is_refused(old: Path) -> None:
    bring(old, add(b" two"))
    with pytest.raises(LocalError, match=r"has schema 2; this program knows 1\. Use the newer program"):
        bring(old)
    assert state(old) == (2, b"one two")


def test_without_room_for_the_copy_nothing_is_changed(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _path: type("Usage", (), {"free": 10})())
    with pytest.raises(LocalError, match=r"Make room, then start again; nothing was changed\."):
        bring(old, add(b" two"))
    assert state(old) == (1, b"one")


def test_a_store_that_lacks_a_database_is_not_taken_for_a_new_one(old: Path) -> None:
    with opened(old) as store, store.begin(write=True) as writing:
        writing.drop(store.open_db(b"rows", txn=writing), delete=True)
    with pytest.raises(lmdb.NotFoundError):
        bring(old)


def test_a_store_without_its_schema_is_damaged(old: Path) -> None:
    with opened(old) as store, store.begin(write=True, db=store.open_db(b"meta")) as writing:
        writing.delete(b"schema")
    with pytest.raises(LocalError, match="is damaged"):
        bring(old)
