"""Older layouts of the channels' store become the newest, whole or not at all."""

from pathlib import Path
from typing import Any

import lmdb
import pytest

from l1.ground.codec import encode
from l1.ground.faults import LocalError
from l1.rules.log.leaves import cut_parts
from l2.node.examination import examine_rows
from l2.node.layouts import MIGRATIONS, STANDING, standing_of
from l2.node.store import SCHEMA, ChannelStore
from l2.protocol.batch import open_stored
from l2.protocol.rows import open_row, seal_row
from tests.unit.l2.node.stores import CHANNEL, FIRST, LAST, everything, filled


def older_layout(path: Path, schema: int) -> None:
    """Make a store what it was under an earlier program."""
    with lmdb.open(str(path), subdir=False, max_dbs=2) as raw, raw.begin(write=True) as writing:
        rows, meta = (raw.open_db(name, txn=writing) for name in (b"rows", b"meta"))
        with writing.cursor(db=rows) as cursor:
            for place, stored in list(cursor):
                value = _older_row(bytes(place)[len(CHANNEL) :], open_row(bytes(place), bytes(stored)))
                cursor.put(place, value if schema == 1 else seal_row(bytes(place), value))
        writing.put(b"schema", schema.to_bytes(2, "big"), db=meta)
        if schema < 3:
            writing.delete(STANDING, db=meta)
            path.with_suffix(".journal").unlink()


def _older_row(key: bytes, value: bytes) -> bytes:
    """A batch had each of its parts in a byte string of its own."""
    if not key.startswith(b"b"):
        return value
    batch = open_stored(value)
    return encode([*cut_parts(batch.publics, batch.privates), batch.commitment])


def test_a_store_without_checksums_is_migrated(tmp_path: Path) -> None:
    path = tmp_path / "channels.mdb"
    rows = list(filled(path)[-1].scan(FIRST, LAST))
    older_layout(path, 1)
    before = path.read_bytes()
    with pytest.raises(LocalError, match="schema 1"):
        examine_rows(path)
    assert path.read_bytes() == before, "an examination changes nothing"
    assert everything(path) == rows
    assert everything(path) == rows, "once is enough"
    kept = path.with_name("channels.mdb.schema-1")
    kept.rename(tmp_path / "again.mdb")
    assert everything(tmp_path / "again.mdb") == rows


@pytest.mark.parametrize("schema", [1, 2, 3])
def test_an_older_store_is_migrated(tmp_path: Path, schema: int) -> None:
    path = tmp_path / "channels.mdb"
    rows = list(filled(path)[-1].scan(FIRST, LAST))
    older_layout(path, schema)
    assert everything(path) == rows
    assert everything(path) == rows, "once is enough"
    assert path.with_name(f"channels.mdb.schema-{schema}").exists()


def test_a_store_whose_journal_is_of_an_older_program_is_refused_and_untouched(tmp_path: Path) -> None:
    path = tmp_path / "channels.mdb"
    filled(path)
    older_layout(path, 3)
    with lmdb.open(str(path), subdir=False, max_dbs=2) as raw, raw.begin(write=True) as writing:
        meta = raw.open_db(b"meta", txn=writing)
        writing.put(STANDING, standing_of(writing, meta)._replace(is_open=True).encode(), db=meta)
    before = path.read_bytes()
    with pytest.raises(LocalError, match=r"killed .* once with that program"):
        ChannelStore(path)
    assert path.read_bytes() == before


def test_a_migration_that_was_killed_begins_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "channels.mdb"
    rows = list(filled(path)[-1].scan(FIRST, LAST))
    older_layout(path, 1)

    def killed(environment: Any, writing: Any) -> None:
        MIGRATIONS[0](environment, writing)
        raise KeyboardInterrupt

    monkeypatch.setattr("l2.node.store.MIGRATIONS", (killed,))
    with pytest.raises(KeyboardInterrupt):
        ChannelStore(path)
    monkeypatch.undo()
    assert everything(path) == rows


def test_a_newer_store_is_refused_and_untouched(tmp_path: Path) -> None:
    path = tmp_path / "channels.mdb"
    filled(path)
    with (
        lmdb.open(str(path), subdir=False, max_dbs=2) as raw,
        raw.begin(write=True, db=raw.open_db(b"meta")) as writing,
    ):
        writing.put(b"schema", (SCHEMA + 1).to_bytes(2, "big"))
    before = path.read_bytes()
    with pytest.raises(LocalError, match=f"has schema {SCHEMA + 1}; this program knows {SCHEMA}"):
        ChannelStore(path)
    assert path.read_bytes() == before
