"""The channels' rows on disk: one LMDB environment, one committer.

Rows of all channels that wait are written in one transaction with one sync, in a worker thread, so the loop goes on.
What `commit` returned from is durable. A failed sync or a full disk is raised to everybody who waits, and ends the
process: only what a new process reads from the disk can be believed after that.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import lmdb
import trio

from l1.ground.faults import LocalError
from l1.serving import check_whole

__all__ = ["DAMAGED", "SCHEMA", "ChannelRows", "ChannelStore", "disk_failed"]

SCHEMA = 1  # of the environment; a newer file is refused
MAP_BYTES = 1 << 40  # address space, not disk
READERS_MAX = 256
DAMAGED = "Move the file away and run `interward hospital restore --from-peers`: peers and the chain have it all."

_SCHEMA_KEY = b"schema"
_CHANNEL_BYTES = 32


def disk_failed(error: Exception) -> LocalError:
    """What ends the process when a sync fails or the disk is full."""
    cause = f"the disk did not take what had to be written ({error})"
    return LocalError(cause, "Free space or replace the disk, then start again: nothing was sent.")


class ChannelRows:
    """One channel's rows, as `l2.protocol.rows.Rows` wants them."""

    def __init__(self, environment: Any, rows: Any, channel: bytes) -> None:
        self._environment, self._rows, self._channel = environment, rows, channel

    def get(self, key: bytes) -> bytes | None:
        with self._environment.begin(db=self._rows) as reading:
            found: bytes | None = reading.get(self._channel + key)
            return found

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
            return bytes(cursor.key()[_CHANNEL_BYTES:]), bytes(cursor.value())

    def scan(self, first: bytes, last: bytes) -> Iterator[tuple[bytes, bytes]]:
        end = self._channel + last
        with self._environment.begin(db=self._rows) as reading, reading.cursor() as cursor:
            if not cursor.set_range(self._channel + first):
                return
            for key, value in cursor:
                if key >= end:
                    return
                yield bytes(key[_CHANNEL_BYTES:]), bytes(value)


class ChannelStore:
    """The environment and its committer. `run` is the committer's task."""

    def __init__(self, path: Path) -> None:
        """Open or create. Raises `LocalError` for a damaged file or a newer schema."""
        self.path = path
        try:
            self._environment = lmdb.open(
                str(path), map_size=MAP_BYTES, max_dbs=2, max_readers=READERS_MAX, subdir=False, max_spare_txns=4
            )
            check_whole(self._environment, path, DAMAGED)
            self._rows = self._environment.open_db(b"rows")
            self._meta = self._environment.open_db(b"meta")
            self._check_schema()
        except lmdb.Error as error:
            raise LocalError(f"{path} cannot be opened ({error})", DAMAGED) from None
        self._waiting: list[tuple[bytes, Sequence[tuple[bytes, bytes]], trio.Event]] = []
        self._work = trio.Event()
        self.commits = 0

    def _check_schema(self) -> None:
        with self._environment.begin(write=True) as writing:
            stored = writing.get(_SCHEMA_KEY, db=self._meta)
            if stored is None:
                writing.put(_SCHEMA_KEY, SCHEMA.to_bytes(2, "big"), db=self._meta)
                return
        if (found := int.from_bytes(stored, "big")) > SCHEMA:
            cause = f"{self.path} has schema {found}; this program knows {SCHEMA}"
            raise LocalError(cause, "Use the newer program that wrote it.")

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
        with self._environment.begin(write=True, db=self._rows) as writing:
            for channel, rows in parts:
                for key, value in rows:
                    writing.put(channel + key, value)

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
