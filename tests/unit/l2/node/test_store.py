"""The channels' store: what comes out is what went in, or the damage is named."""

import errno
import os
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import lmdb
import pytest
import trio
import trio.testing

from l1.ground.faults import LocalError
from l1.ground.hashing import digest
from l2.node.examination import examine_rows, looking_into
from l2.node.store import IN_LOOP_BYTES, IN_LOOP_S, ChannelStore
from l2.protocol.rows import Damaged, seal_row
from l2.protocol.stored import check_signed
from tests.unit.l2.node.stores import CHANNEL, FIRST, LAST, everything, filled
from tests.unit.l2.protocol.stories import granted
from tests.unit.l2.protocol.world import KEYS_EVER, Pair

FLIPS = 1_000


def test_no_flipped_bit_ever_becomes_a_value(tmp_path: Path) -> None:
    """Noticed by name, or harmless: the rows are those of the last commit, or of the one before (a meta page was hit:
    an older disk, after which nothing is signed before the peer has spoken)."""
    path, chance = tmp_path / "channels.mdb", random.Random("flips of the store")
    history = [list(rows.scan(FIRST, LAST)) for rows in filled(path)[-2:]]
    whole = path.read_bytes()
    assert everything(path) == history[-1]
    said: list[LocalError] = []
    for _ in range(FLIPS):
        harmed, at = bytearray(whole), chance.randrange(len(whole))
        harmed[at] ^= 1 << chance.randrange(8)
        path.write_bytes(harmed)
        try:
            found = everything(path)
        except LocalError as error:
            said.append(error)
        else:
            assert found in history, f"byte {at}"
    assert all("damaged" in error.cause for error in said), said
    assert all("restore --from-peers" in error.remedy for error in said), said
    assert len(said) > FLIPS // 10


def test_the_examination_reads_every_row_beside_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "channels.mdb"
    rows = len(list(filled(path)[-1].scan(FIRST, LAST)))
    assert examine_rows(path) == rows
    store, ended = ChannelStore(path), threading.Event()
    writer = threading.Thread(target=lambda: _write_until(store, ended))
    writer.start()
    done = subprocess.run([sys.executable, "-c", EXAMINE, str(path)], capture_output=True, text=True, check=False)
    ended.set()
    writer.join()
    store.close()
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= rows
    with (
        lmdb.open(str(path), subdir=False, max_dbs=2) as raw,
        raw.begin(write=True, db=raw.open_db(b"rows")) as writing,
    ):
        place = CHANNEL + b"x"
        writing.put(place, seal_row(CHANNEL + b"z", b"y"))
    with pytest.raises(Damaged, match=r"row 78 of channel .* is not what was written\. Stop the hospital"):
        examine_rows(path)


EXAMINE = (
    "import sys, pathlib; from l2.node.examination import examine_rows; print(examine_rows(pathlib.Path(sys.argv[1])))"
)


def _write_until(store: ChannelStore, ended: threading.Event) -> None:
    number = 0
    while not ended.is_set():
        store.write(CHANNEL, [(b"y" + (number + at).to_bytes(8, "big"), bytes(200)) for at in range(20)])
        number += 20


def test_what_is_signed_is_opened_when_it_is_loaded() -> None:
    """A row with a good checksum and other words than those that were signed."""
    pair = Pair()
    granted(pair)
    other = (KEYS_EVER[1], KEYS_EVER[0])
    with pytest.raises(Damaged, match="bad signature"):
        check_signed(pair.channels[0], other)


@pytest.mark.parametrize(("slow", "size"), [(False, 1), (True, 1), (False, IN_LOOP_BYTES)])
async def test_a_commit_runs_in_the_loop_only_if_it_is_small_and_the_disk_quick(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, slow: bool, size: int
) -> None:
    """Either way it returns only when the rows can be read by somebody else."""
    store, threads = ChannelStore(tmp_path / "channels.mdb"), list[int]()
    append = store._append

    def noted(*rows: Any) -> None:
        threads.append(threading.get_ident())
        append(*rows)
        store._sync_s = 2 * IN_LOOP_S if slow else 0.0

    monkeypatch.setattr(store, "_append", noted)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.run)
        for number in range(2):
            await store.commit(CHANNEL, [(b"key", b"%d" % number * size), (b"other", b"x")])
            assert store.rows(CHANNEL).get(b"key") == b"%d" % number * size
        nursery.cancel_scope.cancel()
    store.close()
    assert (threads[1] != threading.get_ident()) is (slow or size > 1)


async def test_only_who_was_alone_and_has_little_commits_at_once(tmp_path: Path) -> None:
    """Whose rows would have come along with another channel's, or would keep the loop waiting, goes the other way."""
    store, other = ChannelStore(tmp_path / "channels.mdb"), digest(b"another channel")

    def at_once(channel: bytes, size: int = 1) -> bool:
        before = store.commits
        done = store.commit_at_once(channel, [(b"key", b"x" * size)])
        assert (store.rows(channel).get(b"key") == b"x" * size) is done
        assert store.commits - before == done
        return done

    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.run)
        assert not at_once(CHANNEL, 2)
        await store.commit(CHANNEL, [(b"key", b"1")])
        assert at_once(CHANNEL, 3)
        assert not at_once(CHANNEL, IN_LOOP_BYTES + 1)
        assert not at_once(other)
        async with trio.open_nursery() as both:
            both.start_soon(store.commit, CHANNEL, [(b"key", b"2")])
            both.start_soon(store.commit, other, [(b"key", b"2")])
            await trio.testing.wait_all_tasks_blocked()
        assert not at_once(CHANNEL, 4)
        assert not at_once(other, 4)
        await store.commit(other, [(b"key", b"3")])
        assert at_once(other, 5)
        nursery.cancel_scope.cancel()
    store._has_failed = True
    store.close()
    again = ChannelStore(store.path)
    assert (again.rows(CHANNEL).get(b"key"), again.rows(other).get(b"key")) == (b"2", b"xxxxx")
    again.close()


def killed(path: Path, rows: dict[bytes, bytes]) -> None:
    """A process that commits these rows, and dies before it has written them back."""
    store = ChannelStore(path)
    store.write(CHANNEL, sorted(rows.items()))
    store._has_failed = True
    store.close()


def read_back(path: Path) -> dict[bytes, bytes]:
    store = ChannelStore(path)
    try:
        return dict(store.rows(CHANNEL).scan(FIRST, LAST))
    finally:
        store.close()


def test_what_a_process_that_was_killed_had_committed_is_there(tmp_path: Path) -> None:
    path = tmp_path / "channels.mdb"
    killed(path, {b"a": b"1", b"b": b"1"})
    assert examine_rows(path) == 2, "who looks on sees it as well"
    killed(path, {b"b": b"2", b"c": b"2"})
    assert examine_rows(path) == 3
    assert read_back(path) == {b"a": b"1", b"b": b"2", b"c": b"2"}
    assert examine_rows(path) == 3


def test_store_and_journal_that_do_not_belong_together_are_named(tmp_path: Path) -> None:
    """One older than the other, another store's, or none; nothing is changed, and what it takes to go on is said."""
    path, journal = tmp_path / "channels.mdb", tmp_path / "channels.journal"
    killed(path, {b"a": b"1"})
    assert read_back(path) == {b"a": b"1"}
    older = path.read_bytes(), journal.read_bytes()
    killed(path, {b"b": b"1"})
    killed(path, {b"c": b"1"})
    newer = path.read_bytes(), journal.read_bytes()
    other = tmp_path / "other" / "channels.mdb"
    other.parent.mkdir()
    killed(other, {b"a": b"1"})
    for stored, written, cause, remedy in (
        (newer[0], None, "channels.journal is not there", "Put channels.journal back"),
        (newer[0], older[1], "another store's, or of another time", "restore --from-peers"),
        (newer[0], other.with_suffix(".journal").read_bytes(), "another store's", "Put channels.journal back"),
        (older[0], newer[1], "does not belong to channels.mdb", "move channels.journal away"),
        (newer[0], newer[1][:-4096], "channels.journal is damaged", "restore --from-peers"),
        (None, newer[1], "does not belong to channels.mdb", "move channels.journal away"),
    ):
        for file, data in ((path, stored), (journal, written)):
            file.unlink(missing_ok=True)
            if data is not None:
                file.write_bytes(data)
        with pytest.raises(LocalError, match=cause) as raised:
            ChannelStore(path)
        assert remedy in raised.value.remedy
        assert (journal.read_bytes() if journal.exists() else None) == written
    path.write_bytes(newer[0])
    journal.write_bytes(newer[1])
    assert read_back(path) == {b"a": b"1", b"b": b"1", b"c": b"1"}
    path.write_bytes(older[0])
    journal.unlink()
    assert read_back(path) == {b"a": b"1"}, "an older store alone is like any older disk"


def test_a_backup_needs_no_journal_and_takes_no_other(tmp_path: Path) -> None:
    path = tmp_path / "channels.mdb"
    store, copy = ChannelStore(path), tmp_path / "copy.mdb"
    store.write(CHANNEL, [(b"a", b"1")])
    store.copy(copy)
    store.write(CHANNEL, [(b"b", b"1")])
    store.close()
    assert read_back(copy) == {b"a": b"1"}
    path.write_bytes(copy.read_bytes())
    with pytest.raises(LocalError, match=r"does not belong to channels\.mdb"):
        ChannelStore(path)


async def test_who_writes_faster_than_is_written_back_waits_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Areas of a few pages and an LMDB that is always behind; what is read meanwhile is what was committed."""
    monkeypatch.setattr("l2.node.store.AREA_BYTES", 8 * 4096)
    monkeypatch.setattr("l2.node.store.WRITE_BACK_BYTES", 4096)
    path = tmp_path / "channels.mdb"
    store, channels = ChannelStore(path), [digest(b"channel %d" % number) for number in range(4)]

    async def write(channel: bytes) -> None:
        for number in range(40):
            rows = [(b"b\0%c" % number, bytes([number]) * (number * 37)), (b"h", b"%d" % number)]
            await store.commit(channel, rows)
            assert store.rows(channel).get(b"h") == b"%d" % number
            assert store.rows(channel).floor(b"b\0\xff") == rows[0]

    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.run)
        async with trio.open_nursery() as writers:
            for channel in channels:
                writers.start_soon(write, channel)
        nursery.cancel_scope.cancel()
    assert store.written_back > 1
    store._has_failed = True
    store.close()
    again = ChannelStore(path)
    for channel in channels:
        assert len(list(again.rows(channel).scan(FIRST, LAST))) == 41
    again.close()


async def test_rows_are_written_back_by_themselves_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("l2.node.store.WRITE_BACK_S", 0.01)
    store = ChannelStore(tmp_path / "channels.mdb")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.run)
        await store.commit(CHANNEL, [(b"a", b"1")])
        with trio.fail_after(60):
            while not store.written_back:  # noqa: ASYNC110 - the thread that does it wakes nobody
                await trio.sleep(0.01)
        assert store.rows(CHANNEL).get(b"a") == b"1"
        nursery.cancel_scope.cancel()
    store._has_failed = True
    store.close()
    with looking_into(store.path) as view:
        assert view.channels() == [CHANNEL]


@pytest.mark.parametrize("failing", ["fdatasync", "pwrite"])
def test_a_store_whose_disk_failed_writes_nothing_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    path = tmp_path / "channels.mdb"
    store = ChannelStore(path)
    store.write(CHANNEL, [(b"a", b"1")])

    def fails(*_: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, failing, fails)
        with pytest.raises(LocalError, match=r"the disk did not take .*Input/output error.*nothing was sent"):
            store.write(CHANNEL, [(b"b", b"1")])
    with pytest.raises(LocalError, match="failed before"):
        store.write(CHANNEL, [(b"c", b"1")])
    assert store.rows(CHANNEL).get(b"b") is None, "what was not acknowledged is not shown"
    store.close()
    assert read_back(path).keys() - {b"b"} == {b"a"}
