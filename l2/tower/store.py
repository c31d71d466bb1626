"""A tower's rows on disk, in one LMDB environment: what is held, what was answered, how far the chain was followed.

Every change is one transaction with one sync: what a hospital was told is held, is on the disk. It knows keys and bytes
and how to open them, not what is done with them.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import lmdb

from l1.ground.codec import encode
from l1.ground.faults import LocalError, Refused
from l1.serving.schema import Migration, bring_up_to_date
from l1.serving.whole import check_whole
from l2.protocol.rows import seal_row, unseal_row
from l2.tower.rows import Answer, Held, Known, decode_answer_row, decode_held, decode_known, watched_key

__all__ = ["Change", "StoreFailed", "TowerStore"]

MAP_BYTES = 1 << 38  # address space, not disk
DAMAGED = "Move the file away: the hospitals hand everything over again, what was answered is on the chain."

T = TypeVar("T")

ID_BYTES = 16
_SEALED = ("held", "known", "answers")  # the others have keys alone, which what they lead to confirms
_DATABASES = ("meta", "held", "watched", "known", "answers", "waiting", "due")


def _place(database: str, key: bytes) -> bytes:
    return database.encode() + b"/" + key


def _add_checksums(environment: Any, writing: Any) -> None:
    """1 → 2: a row gets its checksum. What an older program wrote is taken at its word."""
    for database in _SEALED:
        with writing.cursor(db=environment.open_db(database.encode(), txn=writing)) as cursor:
            at_one = cursor.first()
            while at_one:
                key, value = bytes(cursor.key()), bytes(cursor.value())
                cursor.put(key, seal_row(_place(database, key), value))
                at_one = cursor.next()


MIGRATIONS: tuple[Migration, ...] = (_add_checksums,)  # from each schema to the next, in order


class StoreFailed(LocalError):  # noqa: N818 - it says what is so
    """The disk did not take or give what it must. The process ends: only what a new one reads can be believed."""


class Change:
    """Reads and writes of one transaction. Keys are those of `l2.tower.rows`."""

    def __init__(self, transaction: Any, databases: dict[str, Any]) -> None:
        self._transaction, self._databases = transaction, databases

    def held(self, key: bytes) -> Held | None:
        return self._row("held", key, decode_held)

    def hold(self, key: bytes, held: Held) -> None:
        self._put("held", key, encode(held))
        self._put("watched", watched_key(held.hospital, key[:32], key[32]), b"")

    def forget(self, key: bytes) -> None:
        held = self.held(key)
        if held is not None:
            self._delete("held", key)
            self._delete("watched", watched_key(held.hospital, key[:32], key[32]))

    def forget_hospital(self, hospital: bytes) -> int:
        """Everything that was handed over for it; how many commitments."""
        keys = [key[20:] for key in self._keys("watched", hospital, hospital + b"\xff" * 34)]
        for key in keys:
            self.forget(key)
        return len(keys)

    def known(self, hospital: bytes) -> Known | None:
        return self._row("known", hospital, decode_known)

    def know(self, known: Known) -> None:
        self._put("known", known.hospital.id, encode(known))

    def unknow(self, hospital: bytes) -> None:
        self._delete("known", hospital)

    def answer(self, key: bytes) -> Answer | None:
        return self._row("answers", key, decode_answer_row)

    def put_answer(self, key: bytes, answer: Answer, *, waits: bool) -> None:
        """`waits`: something is still to be done about it."""
        self._put("answers", key, encode(answer))
        if waits:
            self._put("waiting", key, b"")
        else:
            self._delete("waiting", key)

    def answers(self, after: bytes, count: int) -> list[tuple[bytes, Answer]]:
        with self._cursor("answers") as cursor:
            found: list[tuple[bytes, Answer]] = []
            at_one = cursor.set_range(after + b"\0")
            while at_one and len(found) < count:
                key = bytes(cursor.key())
                found.append((key, self._opened("answers", key, bytes(cursor.value()), decode_answer_row)))
                at_one = cursor.next()
        return found

    def waiting(self) -> list[bytes]:
        """Keys of the answers about which something is still to be done."""
        return list(self._keys("waiting", b"", b"\xff" * 34))

    def put_due(self, key: bytes) -> None:
        self._put("due", key, b"")

    def delete_due(self, key: bytes) -> None:
        self._delete("due", key)

    def due(self, clock_ms: int) -> list[bytes]:
        """Due keys whose windows end at or before this chain clock."""
        return list(self._keys("due", b"", (clock_ms + 1).to_bytes(8, "big")))

    @property
    def height(self) -> int | None:
        """The last block that was taken in whole; None for a tower that has never run."""
        row = self._get("meta", b"height")
        return None if row is None else int.from_bytes(row, "big")

    def put_height(self, height: int) -> None:
        self._put("meta", b"height", height.to_bytes(8, "big"))

    def count(self, database: str) -> int:
        entries: int = self._transaction.stat(self._databases[database])["entries"]
        return entries

    def _row(self, database: str, key: bytes, decode: Callable[[bytes], T]) -> T | None:
        row = self._get(database, key)
        return None if row is None else self._opened(database, key, row, decode)

    def _opened(self, database: str, key: bytes, row: bytes, decode: Callable[[bytes], T]) -> T:
        value = unseal_row(_place(database, key), row)
        if value is None:
            raise StoreFailed(f"a row of the tower is damaged: {database} {key[:4].hex()}…", DAMAGED)
        try:
            return decode(value)
        except Refused as refused:
            raise StoreFailed(f"a row of the tower is damaged ({refused.detail})", DAMAGED) from None

    def _get(self, database: str, key: bytes) -> bytes | None:
        value = self._transaction.get(key, db=self._databases[database])
        return None if value is None else bytes(value)

    def _put(self, database: str, key: bytes, value: bytes) -> None:
        row = seal_row(_place(database, key), value) if database in _SEALED else value
        self._transaction.put(key, row, db=self._databases[database])

    def _delete(self, database: str, key: bytes) -> None:
        self._transaction.delete(key, db=self._databases[database])

    def _cursor(self, database: str) -> Any:
        return self._transaction.cursor(db=self._databases[database])

    def _keys(self, database: str, first: bytes, end: bytes) -> Iterator[bytes]:
        with self._cursor(database) as cursor:
            at_one = cursor.set_range(first) if first else cursor.first()
            while at_one and (key := bytes(cursor.key())) < end:
                yield key
                at_one = cursor.next()


class TowerStore:
    """The environment. One process at a time."""

    def __init__(self, path: Path) -> None:
        """Open or create. Raises `LocalError` for a damaged file or a newer schema."""
        self.path = path
        self.id = os.urandom(ID_BYTES)  # [HAND-6] of this opening: a copy that was put back would bear a stored one too
        check_whole(path, DAMAGED)
        try:
            self._environment = lmdb.open(str(path), map_size=MAP_BYTES, max_dbs=len(_DATABASES), subdir=False)
            self._databases = bring_up_to_date(self._environment, path, _DATABASES, MIGRATIONS)
        except lmdb.Error as error:
            raise LocalError(f"{path} cannot be opened ({error})", DAMAGED) from None

    @contextmanager
    def reading(self) -> Iterator[Change]:
        with self._environment.begin() as transaction:
            yield Change(transaction, self._databases)

    @contextmanager
    def changing(self) -> Iterator[Change]:
        """Durable when this ends. Raises `StoreFailed` for a disk that does not take it; then nothing has changed."""
        try:
            with self._environment.begin(write=True) as transaction:
                yield Change(transaction, self._databases)
        except lmdb.Error as error:
            cause = f"the disk did not take what had to be written ({error})"
            raise StoreFailed(
                cause, "Free space or replace the disk, then start again: nothing was promised."
            ) from None

    def size_bytes(self) -> int:
        return self.path.stat().st_size

    def close(self) -> None:
        self._environment.close()
