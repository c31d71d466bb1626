"""The one LMDB environment of records: small rows about bodies whose bytes lie in files beside it.

Rows are sealed under an index key, which lies here under the hospital's key-encryption key, beside the ring of keys
that the records' own keys are boxed under: so the hospital's key can change without touching a row or a record. Every
write is synced when it returns. Knows tables and keys, not what rows mean.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self

import lmdb

from l1.ground.codec import encode
from l1.ground.faults import LocalError, Refused
from l1.serving.schema import bring_up_to_date
from l1.serving.whole import check_whole
from l2.node.bodies.entropy import Entropy
from l2.node.bodies.ring import Ring, decode_ring
from l2.node.layouts import index_migrations
from l2.node.store import disk_failed
from l2.records.keys import KEY_BYTES, NONCE_BYTES, box, unbox

__all__ = ["Change", "Index", "Table", "number_key"]

_MAP_BYTES = 64 * 1024**3  # of address space, not of disk: about 50 million records
_TABLES = (
    *("records", "subjects", "origins", "places", "outgoing", "incoming", "people", "shared", "papers"),
    *("holds", "erasures", "openings", "parts", "crowds in", "crowds out"),
)
READERS_MAX = 1_024  # reads at one time, of all workers of a hub: some sixty threads each
_REMEDY = "Restore the folder `bodies` from a backup."
_KEY_LABEL, _RING_LABEL = b"interward index key", b"interward ring"


class Index:
    """The environment. Open it once per process; `is_shared` by processes that are at work in it together."""

    def __init__(self, path: Path, kek: bytes, entropy: Entropy, *, is_shared: bool = False) -> None:
        """Raises `LocalError` for a newer schema, a wrong key or a file that is none of ours."""
        assert len(kek) == KEY_BYTES
        self._entropy, self._is_shared = entropy, is_shared
        if not is_shared:  # while others write, pages change under who reads them raw; who opens it alone has looked
            check_whole(path, _REMEDY)
        try:
            self._env = lmdb.open(
                str(path),
                subdir=False,
                map_size=_MAP_BYTES,
                max_dbs=len(_TABLES) + 1,
                mode=0o600,
                max_readers=READERS_MAX,
            )
            self._env.reader_check()  # a process that was killed in the middle of a read holds pages no longer
        except lmdb.Error as error:
            raise LocalError(f"{path} cannot be opened ({error})", "Is it a record index of this hospital?") from None
        try:
            fresh = {b"clean": b"1"} | self._keys(kek, Ring().grown(entropy(KEY_BYTES)), entropy(KEY_BYTES))
            layouts = index_migrations(fresh)
            self._tables = bring_up_to_date(self._env, path, ("meta", *_TABLES), layouts, fresh)
            self._meta = self._tables["meta"]
            self._key = self._open_keys(path, kek)
        except lmdb.Error as error:
            self._env.close()
            full = isinstance(error, lmdb.DiskError)
            raise disk_failed(error) if full else LocalError(f"{path} is damaged ({error})", _REMEDY) from None
        except BaseException:
            self._env.close()
            raise

    def _open_keys(self, path: Path, kek: bytes) -> bytes:
        with self._env.begin(self._meta, write=True) as txn:
            # Of processes that share it none knows whether all ended well: the next one alone looks.
            self.was_clean = self._is_shared or bool(txn.delete(b"clean"))
            try:
                self.ring = decode_ring(unbox(kek, bytes(txn.get(b"ring", b"")), _RING_LABEL))
                return unbox(kek, bytes(txn.get(b"key", b"")), _KEY_LABEL)
            except Refused:
                raise LocalError(
                    f"{path} belongs to another hospital's key", "Restore the matching key file."
                ) from None

    def _keys(self, kek: bytes, ring: Ring, key: bytes) -> dict[bytes, bytes]:
        """The facts that hold the index key and the ring, under a key-encryption key."""
        return {
            b"key": box(kek, key, _KEY_LABEL, self._entropy(NONCE_BYTES)),
            b"ring": box(kek, encode(ring), _RING_LABEL, self._entropy(NONCE_BYTES)),
        }

    def keep_keys(self, kek: bytes, ring: Ring) -> None:
        """[REST-7] Put the index key and the ring under this key-encryption key, durably."""
        self.ring = ring
        with self._env.begin(self._meta, write=True) as txn:
            for name, boxed in self._keys(kek, ring, self._key).items():
                txn.put(name, boxed)

    def table(self, name: str) -> "Table":
        return Table(self._env, self._tables[name], name.encode(), self._key, self._entropy)

    def write(self, changes: "Iterable[Change]") -> None:
        """Put rows, or delete those that are None: all or nothing, with one sync."""
        tables: dict[Any, dict[bytes, bytes | None]] = defaultdict(dict)
        for table, key, row in changes:
            tables[table.handle][key] = None if row is None else table.seal(key, row)
        with self._env.begin(write=True) as txn:
            for handle, rows in tables.items():
                with txn.cursor(handle) as cursor:
                    cursor.putmulti(sorted((key, row) for key, row in rows.items() if row is not None))
                for key in (key for key, row in rows.items() if row is None):
                    txn.delete(key, db=handle)

    def keyed_hash(self, *parts: bytes) -> bytes:
        """16 bytes that name something without telling what: only this hospital can compute them."""
        data = b"".join([half for part in parts for half in (len(part).to_bytes(8, "big"), part)])
        return blake2b(data, key=self._key, digest_size=16).digest()

    def copy(self, path: Path) -> None:
        """A consistent copy of the environment, made while it is in use."""
        with open(path, "xb") as file:
            self._env.copyfd(file.fileno(), compact=True)

    def close(self, *, is_clean: bool = True) -> None:
        """Also notes, if so, that nothing was under way: `was_clean` of the next process."""
        if is_clean and not self._is_shared:
            with suppress(lmdb.Error), self._env.begin(self._meta, write=True) as txn:
                txn.put(b"clean", b"1")
        self._env.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def number_key(number: int) -> bytes:
    """The key of a row that is numbered."""
    return number.to_bytes(8, "big")


class Table:
    """[REST-5] Sealed rows by key. A row opens only in its own table, under its own key."""

    def __init__(self, env: Any, table: Any, name: bytes, key: bytes, entropy: Entropy) -> None:
        self.handle = table
        self._env, self._name, self._key, self._entropy = env, name, key, entropy

    def get(self, key: bytes) -> bytes | None:
        with self._env.begin(self.handle) as txn:
            sealed = txn.get(key)
        return None if sealed is None else self._unseal(key, sealed)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The same for many, as of one moment."""
        with self._env.begin(self.handle) as txn:
            found = [txn.get(key) for key in keys]
        return [None if row is None else self._unseal(key, row) for key, row in zip(keys, found, strict=True)]

    def put(self, key: bytes, row: bytes) -> None:
        with self._env.begin(self.handle, write=True) as txn:
            txn.put(key, self.seal(key, row))

    def seal(self, key: bytes, row: bytes) -> bytes:
        """An empty row says nothing but its key, and stays empty."""
        return row and box(self._key, row, self._label(key), self._entropy(NONCE_BYTES))

    def grow(self, make: Callable[[int, bytes | None], bytes]) -> None:
        """Put the next of rows that are numbered from 0: `make` gets its number and the row before it. Whoever else
        would do so waits, in other processes too."""
        with self._env.begin(self.handle, write=True) as txn:
            number = int(txn.stat(self.handle)["entries"])
            last, key = (number_key(at) for at in (number - 1 if number else 0, number))
            before = self._unseal(last, bytes(txn.get(last))) if number else None
            txn.put(key, self.seal(key, make(number, before)))

    def delete(self, key: bytes) -> None:
        with self._env.begin(self.handle, write=True) as txn:
            txn.delete(key)

    def scan(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Rows whose key starts so, in the order of their keys, as of when the scan began."""
        with self._env.begin(self.handle) as txn, txn.cursor() as cursor:
            if not (cursor.set_range(prefix) if prefix else cursor.first()):
                return
            for key, sealed in cursor:
                if not key.startswith(prefix):
                    return
                yield bytes(key), self._unseal(bytes(key), bytes(sealed))

    def has(self, prefix: bytes) -> bool:
        """Whether there is a row whose key starts so."""
        with self._env.begin(self.handle) as txn, txn.cursor() as cursor:
            return bool(cursor.set_range(prefix)) and bytes(cursor.key()).startswith(prefix)

    def has_many(self, keys: Sequence[bytes]) -> list[bool]:
        """Whether there is a row under each of these very keys."""
        with self._env.begin(self.handle) as txn:
            return [txn.get(key) is not None for key in keys]

    def count(self) -> int:
        with self._env.begin(self.handle) as txn:
            return int(txn.stat(self.handle)["entries"])

    def _label(self, key: bytes) -> bytes:
        return self._name + b"\x00" + key

    def _unseal(self, key: bytes, sealed: bytes) -> bytes:
        return sealed and unbox(self._key, sealed, self._label(key))


Change = tuple[Table, bytes, bytes | None]
"""A row to be put under a key, or None to delete it."""
