"""The index of records in the layout of an earlier program: what stays, and what is refused with nothing changed."""

import secrets
from collections.abc import Iterable
from pathlib import Path

import lmdb
import pytest

from l1.ground.faults import LocalError
from l2.node.bodies.index import Index

KEK = bytes(range(32))
LATER = ("places", "holds", "erasures", "openings", "parts", "crowds in", "crowds out")


def opened(path: Path) -> Index:
    return Index(path, KEK, secrets.token_bytes)


def older(path: Path, tables: Iterable[tuple[str, bytes, bytes]]) -> None:
    """An index as the program before wrote it: without cells, without a ring of keys, of schema 1."""
    with opened(path) as index:
        index.write((index.table(name), key, row) for name, key, row in tables)
    with lmdb.open(str(path), subdir=False, max_dbs=20) as raw, raw.begin(write=True) as writing:
        for name in LATER:
            writing.drop(raw.open_db(name.encode(), txn=writing), delete=True)
        meta = raw.open_db(b"meta", txn=writing)
        for fact in (b"ring", b"clean"):
            writing.delete(fact, db=meta)
        writing.put(b"schema", (1).to_bytes(2, "big"), db=meta)


def test_an_older_index_without_bodies_keeps_what_it_knows(tmp_path: Path) -> None:
    path = tmp_path / "records.mdb"
    older(path, [("people", b"subject", b"Ada"), ("papers", b"digest", b"a consent")])
    for _ in range(2):
        with opened(path) as index:
            assert index.table("people").get(b"subject") == b"Ada"
            assert index.table("papers").get(b"digest") == b"a consent"
            assert index.table("holds").count() == 0
            assert index.ring.epoch == 1
    assert (tmp_path / "records.mdb.schema-1").exists()


@pytest.mark.parametrize("table", ["records", "incoming", "outgoing"])
def test_an_older_index_with_bodies_is_refused_and_untouched(tmp_path: Path, table: str) -> None:
    path = tmp_path / "records.mdb"
    older(path, [(table, b"key", b"row"), ("people", b"subject", b"Ada")])
    for _ in range(2):
        with pytest.raises(LocalError, match=r"1 record bodies lie as an earlier program .* nothing was changed"):
            opened(path)
    with lmdb.open(str(path), subdir=False, max_dbs=20, readonly=True) as raw, raw.begin() as reading:
        assert reading.get(b"schema", db=raw.open_db(b"meta", txn=reading, create=False)) == b"\0\1"
        assert reading.get(b"places") is None


def test_an_index_whose_migration_was_cut_begins_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "records.mdb"
    older(path, [("people", b"subject", b"Ada")])

    def cut(_environment: object, _writing: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("l2.node.bodies.index.index_migrations", lambda _fresh: (cut,))
    with pytest.raises(KeyboardInterrupt):
        opened(path)
    monkeypatch.undo()
    with opened(path) as index:
        assert index.table("people").get(b"subject") == b"Ada"


def test_an_index_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "records.mdb"
    opened(path).close()
    with lmdb.open(str(path), subdir=False, max_dbs=20) as raw, raw.begin(write=True) as writing:
        writing.put(b"schema", b"\0\x09", db=raw.open_db(b"meta", txn=writing))
    with pytest.raises(LocalError, match=r"schema 9; this program knows 3"):
        opened(path)
