"""Rows move to the stores of their channels' homes, whole, whatever happens in between; what differs is not served."""

from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import lmdb
import pytest

from l1.ground.faults import LocalError
from l1.ground.hashing import digest
from l1.serving.process import hold_lock
from l2.node.folder import Folder
from l2.node.hub import arranging
from l2.node.hub.arranging import arrange
from l2.node.journalled import journal_of
from l2.node.parts import CHANNELS, WHOLE, WORKERS_MAX, Part, home_of_slot, lock_of, store_of, stores_in
from l2.node.store import ChannelStore
from l2.protocol.rows import Damaged

IDS = [digest(b"channel %d" % number) for number in range(12)]

Rows = dict[bytes, list[tuple[bytes, bytes]]]


def rows_of(channel: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"b\0" + bytes([number]), digest(channel + bytes([number])) * 9) for number in range(20)]


def fill(folder: Path) -> None:
    store = ChannelStore(folder / CHANNELS)
    for channel in IDS:
        store.write(channel, rows_of(channel))
    store.close()


def held(folder: Path) -> dict[int, Rows]:
    """What each store holds."""
    found: dict[int, Rows] = {}
    for number, path in stores_in(folder).items():
        store = ChannelStore(path)
        found[number] = {one: list(store.rows(one).scan(b"\0", b"\xff")) for one in store.channels()}
        store.close()
    return found


def check_at_home(folder: Path, workers: int) -> None:
    found = held(folder)
    assert {channel for rows in found.values() for channel in rows} == set(IDS)
    for number, rows in found.items():
        assert number < workers
        for channel, stored in rows.items():
            assert Part(number, workers).keeps(channel)
            assert stored == rows_of(channel)


def test_every_slot_has_one_home_and_homes_have_about_as_many() -> None:
    for workers in range(1, WORKERS_MAX + 1):
        counts = [sum(home_of_slot(slot, workers) == number for slot in range(256)) for number in range(workers)]
        assert sum(counts) == 256
        assert max(counts) - min(counts) <= 1
        for channel in IDS:
            assert sum(Part(number, workers).keeps(channel) for number in range(workers)) == 1
    assert all(WHOLE.keeps(channel) for channel in IDS)


def test_a_new_or_a_lone_store_is_left_alone(tmp_path: Path) -> None:
    assert arrange(tmp_path, 1) == arrange(tmp_path, 4) == 0
    fill(tmp_path)
    assert arrange(tmp_path, 1) == 0
    assert list(stores_in(tmp_path)) == [0]


def test_channels_follow_the_number_of_workers_there_and_back(tmp_path: Path) -> None:
    fill(tmp_path)
    for workers in (2, 3, 16, 2, 1, 5, 1):
        arrange(tmp_path, workers)
        check_at_home(tmp_path, workers)
        assert arrange(tmp_path, workers) == 0
    assert [path.name for path in tmp_path.glob("channels-*")] == []


def test_what_a_killed_process_left_in_its_journal_moves_too(tmp_path: Path) -> None:
    killed = ChannelStore(tmp_path / CHANNELS)
    for channel in IDS:
        killed.write(channel, rows_of(channel))
    assert killed.written_back == 0  # all of it is in the journal
    killed._journal.close()  # type: ignore[union-attr]
    killed._environment.close()
    arrange(tmp_path, 2)
    check_at_home(tmp_path, 2)


def test_a_journal_of_a_store_that_is_gone_is_gone_with_it(tmp_path: Path) -> None:
    fill(tmp_path)
    arrange(tmp_path, 2)
    store = ChannelStore(tmp_path / store_of(1))
    store.write(next(channel for channel in IDS if Part(1, 2).keeps(channel)), [])
    store.close()
    arrange(tmp_path, 1)
    assert not journal_of(tmp_path / store_of(1)).exists()
    arrange(tmp_path, 2)
    check_at_home(tmp_path, 2)


class _Crash(Exception):  # noqa: N818
    pass


def test_a_crash_after_any_transaction_leaves_what_the_next_start_puts_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, done = arranging._move, 0

    def cut_after(steps: int) -> Any:
        def move(source: Any, home: Any, channel: bytes) -> None:
            nonlocal done
            if done == steps:
                raise _Crash
            if done + 1 == steps:  # the copy is there, the deletion is not
                tables = source.open_db(b"rows"), home.open_db(b"rows")
                with source.begin(db=tables[0]) as reading, home.begin(db=tables[1], write=True) as writing:
                    writing.cursor().putmulti(arranging._stored(reading, channel))
                raise _Crash
            done += 2
            real(source, home, channel)

        return move

    before = 1
    for steps in range(14):
        done, workers = 0, 2 if before == 1 else 1
        folder = tmp_path / str(steps)
        folder.mkdir()
        fill(folder)
        if before == 2:
            arrange(folder, 2)
        monkeypatch.setattr(arranging, "_move", cut_after(steps))
        with suppress(_Crash):
            arrange(folder, workers)
        monkeypatch.setattr(arranging, "_move", real)
        for again in (before, workers):  # whatever number the operator comes back with
            arrange(folder, again)
            check_at_home(folder, again)
        before = workers


def _spoil(path: Path, channel: bytes) -> None:
    store = lmdb.open(str(path), subdir=False, max_dbs=2)
    with store, store.begin(write=True, db=store.open_db(b"rows")) as writing:
        cursor = writing.cursor()
        assert cursor.set_range(channel)
        cursor.put(cursor.key(), bytes(cursor.value())[:-1] + b"!")


def test_a_channel_that_differs_in_two_stores_is_served_by_nobody(tmp_path: Path) -> None:
    fill(tmp_path)
    stray = next(channel for channel in IDS if Part(1, 2).keeps(channel))
    other = ChannelStore(tmp_path / store_of(1))
    other.write(stray, rows_of(stray)[:-1])
    other.close()
    with pytest.raises(Damaged, match="two stores that differ"):
        arrange(tmp_path, 2)
    assert held(tmp_path)[0].keys() >= {stray}


def test_a_damaged_row_is_named_and_not_moved(tmp_path: Path) -> None:
    fill(tmp_path)
    stray = next(channel for channel in IDS if Part(1, 2).keeps(channel))
    _spoil(tmp_path / CHANNELS, stray)
    with pytest.raises(Damaged, match="is not what was written"):
        arrange(tmp_path, 2)


def test_nothing_runs_beside_a_worker_that_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its front was killed, and it is still writing back what it holds."""
    monkeypatch.setattr("l2.node.folder.WORKERS_END_S", 0.0)
    monkeypatch.setattr("l2.node.folder.LOOK_S", 0.0)
    (tmp_path / "hospital.key").touch()
    refused = pytest.raises(LocalError, match="another process runs on")
    with hold_lock(tmp_path, lock_of(1)), refused, Folder(tmp_path).hold():
        raise AssertionError("the folder is held twice")
    with Folder(tmp_path).hold():
        pass


def test_stores_have_names_of_their_own() -> None:
    names = [store_of(number) for number in range(WORKERS_MAX)]
    assert names[0] == CHANNELS
    assert all(one != other for one, other in pairwise(sorted(names)))
