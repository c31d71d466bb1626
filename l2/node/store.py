"""The channels' rows on disk: a journal, behind it one LMDB environment, and one committer before both.

Rows of all channels that wait are appended to the journal in one record with one flush; that is a commit, and what
`commit` returned from is durable. They stay in memory, where every read looks first, until they are written back: all
that has gathered in one LMDB transaction, in a thread (docs/decisions/journal.md). A few rows on a quick disk are
committed in the loop, for a thread would take longer; full batches, or anything on a slow disk, in a worker thread.
A failed flush or a full disk is raised to everybody who waits, and ends the process: only what a new process reads from
the disk can be believed after that.
"""

import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import lmdb
import trio

from l1.ground.faults import LocalError
from l1.serving.journal import RUN_BYTES, Row, encode_record, encode_rows
from l1.serving.journal_file import JournalFile
from l1.serving.limits import AREA_BYTES, WRITE_BACK_BYTES, WRITE_BACK_S
from l1.serving.schema import bring_up_to_date
from l1.serving.whole import check_whole
from l2.node.channel_rows import ChannelRows, channels_in
from l2.node.journalled import journal_of, journalled
from l2.node.layouts import MIGRATIONS, STANDING, Standing, standing_of
from l2.node.overlay import Layer
from l2.protocol.rows import REMEDY, seal_row

__all__ = ["MAP_BYTES", "SCHEMA", "ChannelRows", "ChannelStore", "disk_failed"]

SCHEMA = 1 + len(MIGRATIONS)  # of the environment; a newer file is refused, an older one is migrated
MAP_BYTES = 1 << 40  # address space, not disk
READERS_MAX = 256
IN_LOOP_S = 0.003  # a flush that takes longer is not waited for in the loop
IN_LOOP_BYTES = 32 * 1024  # what a lone update needs, and some hundreds; more means that there is work to do meanwhile
REMEMBERED = 8  # flushes over which the disk's time is averaged

Parts = Sequence[tuple[bytes, Sequence[tuple[bytes, bytes]]]]


def disk_failed(error: BaseException) -> LocalError:
    """What ends the process when a sync fails or the disk is full."""
    cause = f"the disk did not take what had to be written ({error})"
    return LocalError(cause, "Free space or replace the disk, then start again: nothing was sent.")


def _unopened(path: Path, error: lmdb.Error) -> LocalError:
    return (
        disk_failed(error) if isinstance(error, lmdb.DiskError) else LocalError(f"{path} is damaged ({error})", REMEDY)
    )


def _seal(parts: Parts) -> list[Row]:
    # Steps that wait together write heads and marks again and again: only the last of a row counts.
    last = {channel + key: value for channel, rows in parts for key, value in rows}
    return [(place, seal_row(place, value)) for place, value in last.items()]


class ChannelStore:
    """The environment, its journal and their committer. `run` is the committer's task.

    One thread at a time appends (`_appending`) and one writes back (`_writing_back`); who holds the first may wait for
    the second, never the other way round.
    """

    def __init__(self, path: Path) -> None:
        """Open or create, and write back what a process that was killed left in the journal. Raises `LocalError` for a
        damaged file, a journal that is not this store's, or a newer schema."""
        self.path, self._has_failed = path, False
        check_whole(path, REMEDY)
        try:
            self._environment = lmdb.open(
                str(path), map_size=MAP_BYTES, max_dbs=2, max_readers=READERS_MAX, subdir=False, max_spare_txns=4
            )
        except lmdb.Error as error:
            raise _unopened(path, error) from None
        try:
            fresh = {STANDING: Standing.new(0).encode()}
            tables = bring_up_to_date(self._environment, path, ("meta", "rows"), MIGRATIONS, fresh)
            self._meta, self._rows = tables["meta"], tables["rows"]
            self._standing = self._recover()
        except BaseException as error:
            self._environment.close()
            if isinstance(error, lmdb.Error):
                raise _unopened(path, error) from None
            raise
        self._journal: JournalFile | None = None  # none before something is to be written
        self._layers: tuple[Layer, ...] = (Layer(self._standing.number),)  # newest first; the second is being written
        self._appending, self._writing_back = Lock(), Lock()
        self._waiting: list[tuple[bytes, Sequence[tuple[bytes, bytes]], trio.Event]] = []
        self._work, self._some, self._much = trio.Event(), trio.Event(), trio.Event()
        self._is_committing, self._last = False, b""  # the channel that committed last, and alone
        self._sync_s = 0.0  # what this disk takes to flush, lately: without the wait for the interpreter
        self.commits = 0
        self.written_back = 0

    def _recover(self) -> Standing:
        with self._environment.begin() as reading:
            standing = standing_of(reading, self._meta)
        layer = journalled(self.path, standing)
        if layer.number > standing.number:
            standing = standing._replace(number=layer.number, is_open=False)
            with self._on_disk():
                self._put(layer.items(), standing)
        return standing

    # -- reading --------------------------------------------------------------------------------------------------

    def channels(self) -> list[bytes]:
        """Ids of all channels that have rows here."""
        layers = self._layers
        with self._environment.begin(db=self._rows) as reading:
            return channels_in(layers, reading)

    def rows(self, channel: bytes) -> ChannelRows:
        return ChannelRows(lambda: self._layers, lambda: self._environment.begin(db=self._rows), channel)

    # -- writing --------------------------------------------------------------------------------------------------

    def write(self, channel: bytes, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Write and flush at once; for starts and tools. Tasks use `commit`."""
        sealed = _seal([(channel, rows)])
        self._append(sealed, encode_rows(sealed))

    async def commit(self, channel: bytes, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Return once the rows are on the disk."""
        done = trio.Event()
        self._waiting.append((channel, rows, done))
        self._work.set()
        await done.wait()

    def commit_at_once(self, channel: bytes, rows: Sequence[tuple[bytes, bytes]]) -> bool:
        """Make few rows durable here and now, where that costs nobody anything: the disk is quick, and the channel the
        only one at work, so that nobody else's rows would have come with them. False, and nothing done, where not."""
        size = sum(len(value) for _, value in rows)  # looked at first: on a slow disk nothing is sealed in vain
        if self._is_committing or self._waiting or channel != self._last or not self._may_write_in_loop(size):
            return False
        sealed = _seal([(channel, rows)])
        body = encode_rows(sealed)
        if not self._may_write_in_loop(len(body)):
            return False
        self._append(sealed, body)
        self._note_commit()
        return True

    async def run(self) -> None:
        """The committer: whatever waits, in one record with one flush, again and again."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_writing_back)
            while True:
                await self._work.wait()
                self._work = trio.Event()
                waiting, self._waiting = self._waiting, []
                self._is_committing = True
                await self._commit([(channel, rows) for channel, rows, _ in waiting])
                self._is_committing = False
                self._last = waiting[0][0] if len(waiting) == 1 else b""
                self._note_commit()
                for _, _, done in waiting:
                    done.set()

    def _note_commit(self) -> None:
        self.commits += 1
        self._some.set()
        if self._layers[0].size >= WRITE_BACK_BYTES:
            self._much.set()

    async def _commit(self, parts: Parts) -> None:
        """What is to be written is made ready in the loop: a thread would wait for the interpreter row by row."""
        rows = _seal(parts)
        body = encode_rows(rows)
        if self._may_write_in_loop(len(body)):
            self._append(rows, body)
        else:
            await trio.to_thread.run_sync(self._append, rows, body)

    def _may_write_in_loop(self, size: int) -> bool:
        """Little, on a quick disk, and without a wait for room in the journal."""
        room = self._journal is not None and self._journal.fits(2 * IN_LOOP_BYTES)
        return self._sync_s <= IN_LOOP_S and size <= IN_LOOP_BYTES and room

    async def _keep_writing_back(self) -> None:
        while True:
            await self._some.wait()
            with trio.move_on_after(WRITE_BACK_S):
                await self._much.wait()
            self._some, self._much = trio.Event(), trio.Event()
            await trio.to_thread.run_sync(self._write_back)

    def _append(self, rows: Sequence[Row], body: bytes) -> None:
        """Append rows, and the same encoded, to the journal. Without room there, wait for LMDB; what has no room in a
        whole area goes there at once, with everything before it."""
        if not rows:
            return
        with self._on_disk(), self._appending:
            journal = self._begun()
            number = self._layers[0].number + 1
            record = encode_record(self._standing.run, number, body)
            if len(record) > AREA_BYTES:
                self._empty(rows)
                return
            if not journal.fits(len(record)):
                self._put_older()
                self._turn(journal)
            began = time.perf_counter()
            journal.append(record)
            self._sync_s += (time.perf_counter() - began - self._sync_s) / REMEMBERED
            self._layers[0].put(rows, number)

    def _begun(self) -> JournalFile:
        """The journal, begun if nothing was written yet: first its own name, then LMDB's word that there may be more
        in it. Whichever of the two a crash leaves alone, nothing has been written behind it."""
        if self._journal is None:
            run, standing = secrets.token_bytes(RUN_BYTES), self._standing
            self._journal = JournalFile(journal_of(self.path), AREA_BYTES, run, standing.run)
            self._put((), Standing(run, standing.number, is_open=True))
        return self._journal

    # -- writing back ---------------------------------------------------------------------------------------------

    def _write_back(self) -> None:
        """All that was committed before this call into LMDB. From any thread."""
        with self._on_disk():
            self._put_older()
            with self._appending:
                if self._journal is not None:
                    self._turn(self._journal)
            self._put_older()

    def _turn(self, journal: JournalFile) -> None:
        """What is in memory is complete, and the other area takes what comes; unless that one still holds rows."""
        if len(self._layers) == 1:
            if self._layers[0].size:
                self._layers = (Layer(self._layers[0].number), self._layers[0])
            journal.switch()

    def _put_older(self) -> None:
        """Write the older layer, if there is one; then its area of the journal is free."""
        with self._writing_back:
            if len(self._layers) == 2:
                newest, older = self._layers
                self._put(older.items(), self._standing._replace(number=older.number))
                self._layers = (newest,)
                self.written_back += 1

    def _put(self, rows: Any, standing: Standing) -> None:
        """One transaction: these rows, and up to where the store now holds what the journal held."""
        with self._environment.begin(write=True) as writing:
            with writing.cursor(db=self._rows) as cursor:
                cursor.putmulti(list(rows))
            writing.put(STANDING, standing.encode(), db=self._meta)
        self._standing = standing

    def _empty(self, rows: Sequence[Row]) -> None:
        """Rows that no area holds, and all before them, straight into LMDB."""
        self._put_older()
        with self._writing_back:
            (layer,) = self._layers
            merged = dict(layer.items()) | dict(rows)
            self._put(sorted(merged.items()), self._standing._replace(number=layer.number))
            self._layers = (Layer(layer.number),)

    @contextmanager
    def _on_disk(self) -> Iterator[None]:
        """What a disk did not take ends the process; until it has ended, nothing is written any more."""
        if self._has_failed:
            raise LocalError("the disk has failed before", "Look at what was said first.")
        try:
            yield
        except (lmdb.Error, OSError) as error:
            self._has_failed = True
            raise disk_failed(error) from None

    # -- copies and the end ---------------------------------------------------------------------------------------

    def copy(self, path: Path) -> int:
        """A consistent copy while running, with all that was committed before; its size in bytes. It needs no journal,
        and takes none but its own."""
        self._write_back()
        self._environment.copy(str(path), compact=True)
        with lmdb.open(str(path), map_size=MAP_BYTES, max_dbs=2, subdir=False, lock=False) as copied:
            meta = copied.open_db(b"meta", create=False)
            with copied.begin(write=True, db=meta) as writing:
                writing.put(STANDING, Standing.new(standing_of(writing, meta).number).encode())
        with open(path, "rb") as file:
            os.fsync(file.fileno())
        return path.stat().st_size

    def close(self) -> None:
        """Write everything back, so that LMDB holds all there is. After a failure the next process does so."""
        try:
            if self._journal is not None and not self._has_failed:
                self._write_back()
                with self._on_disk():
                    self._put((), self._standing._replace(is_open=False))
        finally:
            if self._journal is not None:
                self._journal.close()
            self._environment.close()
