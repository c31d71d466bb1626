"""The channels' rows on disk: one LMDB environment, one committer.

Rows of all channels that wait are written in one transaction with one sync. A few rows on a quick disk are written in
the loop, for a thread would take longer; full batches, or anything on a slow disk, in a worker thread, so that the loop
decides what comes next meanwhile (docs/decisions/speed.md).
What `commit` returned from is durable. A failed sync or a full disk is raised to everybody who waits, and ends the
process: only what a new process reads from the disk can be believed after that.
"""

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import lmdb
import trio

from l1.ground.faults import LocalError
from l1.serving import bring_up_to_date, check_metas, check_pages, check_version, check_whole
from l2.node.layouts import MIGRATIONS
from l2.protocol.rows import REMEDY, open_row, seal_row

__all__ = ["SCHEMA", "ChannelRows", "ChannelStore", "disk_failed", "examine_rows"]

SCHEMA = 1 + len(MIGRATIONS)  # of the environment; a newer file is refused, an older one is migrated
MAP_BYTES = 1 << 40  # address space, not disk
READERS_MAX = 256
IN_LOOP_S = 0.003  # a sync that takes longer is not waited for in the loop
IN_LOOP_BYTES = 32 * 1024  # what a lone update needs, and some hundreds; more means that there is work to do meanwhile
REMEMBERED = 8  # syncs over which the disk's time is averaged

_CHANNEL_BYTES = 32


def disk_failed(error: BaseException) -> LocalError:
    """What ends the process when a sync fails or the disk is full."""
    cause = f"the disk did not take what had to be written ({error})"
    return LocalError(cause, "Free space or replace the disk, then start again: nothing was sent.")


def examine_rows(path: Path) -> int:
    """Read every page and every row once, also beside a process that writes. How many rows there are.

    Raises `Refused` and `LocalError` for what is damaged, or of another schema than this program's.
    """
    check_metas(path)
    with lmdb.open(str(path), subdir=False, readonly=True, max_dbs=2, map_size=MAP_BYTES) as store:
        while True:
            with store.begin() as reading:
                if check_pages(path, reading.id()) is None:
                    continue  # two transactions were written meanwhile: the pages of this one are not to be found
                facts = store.open_db(b"meta", txn=reading, create=False)
                schema = int.from_bytes(reading.get(b"schema", db=facts) or b"", "big")
                check_version(path, schema, SCHEMA)
                if schema < SCHEMA:
                    raise LocalError(f"{path} has the older schema {schema}", "Start the hospital: it migrates it.")
                return _read_all(reading.cursor(db=store.open_db(b"rows", txn=reading, create=False)))


def _read_all(cursor: Any) -> int:
    count = 0
    for place, stored in cursor:
        open_row(bytes(place), bytes(stored))
        count += 1
    return count


def _size(parts: Sequence[tuple[bytes, Sequence[tuple[bytes, bytes]]]]) -> int:
    """Bytes of all values."""
    return sum(len(value) for _, rows in parts for _, value in rows)


class ChannelRows:
    """One channel's rows, as `l2.protocol.rows.Rows` wants them. Each read raises `Damaged` for a damaged row."""

    def __init__(self, environment: Any, rows: Any, channel: bytes) -> None:
        self._environment, self._rows, self._channel = environment, rows, channel

    def get(self, key: bytes) -> bytes | None:
        place = self._channel + key
        with self._environment.begin(db=self._rows) as reading:
            found: bytes | None = reading.get(place)
        return None if found is None else open_row(place, found)

    def floor(self, key: bytes) -> tuple[bytes, bytes] | None:
        wanted = self._channel + key
        with self._environment.begin(db=self._rows) as reading, reading.cursor() as cursor:
            found = cursor.set_range(wanted)
            if found and cursor.key() != wanted:
                found = cursor.prev()
            elif not found:
                found = cursor.last()
            if not found or not cursor.key().startswith(self._channel):
                return None
            place = bytes(cursor.key())
            return place[_CHANNEL_BYTES:], open_row(place, bytes(cursor.value()))

    def is_empty(self) -> bool:
        """Whether nothing at all is stored of the channel."""
        return self.floor(b"\xff") is None

    def scan(self, first: bytes, last: bytes) -> Iterator[tuple[bytes, bytes]]:
        end = self._channel + last
        with self._environment.begin(db=self._rows) as reading, reading.cursor() as cursor:
            if not cursor.set_range(self._channel + first):
                return
            for place, stored in cursor:
                if place >= end:
                    return
                yield bytes(place[_CHANNEL_BYTES:]), open_row(bytes(place), bytes(stored))


class ChannelStore:
    """The environment and its committer. `run` is the committer's task."""

    def __init__(self, path: Path) -> None:
        """Open or create. Raises `LocalError` for a damaged file or a newer schema."""
        self.path = path
        check_whole(path, REMEDY)
        try:
            self._environment = lmdb.open(
                str(path), map_size=MAP_BYTES, max_dbs=2, max_readers=READERS_MAX, subdir=False, max_spare_txns=4
            )
            self._rows = bring_up_to_date(self._environment, path, ("meta", "rows"), MIGRATIONS)["rows"]
        except lmdb.DiskError as error:
            raise disk_failed(error) from None
        except lmdb.Error as error:
            raise LocalError(f"{path} is damaged ({error})", REMEDY) from None
        self._waiting: list[tuple[bytes, Sequence[tuple[bytes, bytes]], trio.Event]] = []
        self._work = trio.Event()
        self._sync_s = 0.0  # what this disk takes to sync, lately: without the wait for the interpreter
        self.commits = 0

    def channels(self) -> list[bytes]:
        """Ids of all channels that have rows here."""
        found: list[bytes] = []
        with self._environment.begin(db=self._rows) as reading, reading.cursor() as cursor:
            at_one = cursor.first()
            while at_one:
                channel = bytes(cursor.key()[:_CHANNEL_BYTES])
                found.append(channel)
                at_one = cursor.set_range(channel + b"\xff" * 32)
        return found

    def rows(self, channel: bytes) -> ChannelRows:
        assert len(channel) == _CHANNEL_BYTES
        return ChannelRows(self._environment, self._rows, channel)

    def write(self, channel: bytes, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Write and sync at once; for starts and tools. Tasks use `commit`."""
        self._write([(channel, rows)])

    def _write(self, parts: Sequence[tuple[bytes, Sequence[tuple[bytes, bytes]]]]) -> None:
        # Steps that wait together write heads and marks again and again: only the last of a row counts.
        last = {channel + key: value for channel, rows in parts for key, value in rows}
        sealed = [(place, seal_row(place, value)) for place, value in last.items()]
        with self._environment.begin(write=True, db=self._rows) as writing:
            with writing.cursor() as cursor:
                cursor.putmulti(sealed)
            began = time.perf_counter()
        self._sync_s += (time.perf_counter() - began - self._sync_s) / REMEMBERED

    async def commit(self, channel: bytes, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Return once the rows are on the disk."""
        done = trio.Event()
        self._waiting.append((channel, rows, done))
        self._work.set()
        await done.wait()

    async def run(self) -> None:
        """The committer: whatever waits, in one transaction with one sync, again and again."""
        while True:
            await self._work.wait()
            self._work = trio.Event()
            waiting, self._waiting = self._waiting, []
            parts = [(channel, rows) for channel, rows, _ in waiting]
            try:
                if self._sync_s <= IN_LOOP_S and _size(parts) <= IN_LOOP_BYTES:
                    self._write(parts)
                else:
                    await trio.to_thread.run_sync(self._write, parts)
            except lmdb.Error as error:
                raise disk_failed(error) from None
            self.commits += 1
            for _, _, done in waiting:
                done.set()

    def copy(self, path: Path) -> int:
        """A consistent copy while running; its size in bytes."""
        self._environment.copy(str(path), compact=True)
        with open(path, "rb") as file:
            os.fsync(file.fileno())
        return path.stat().st_size

    def close(self) -> None:
        self._environment.close()
