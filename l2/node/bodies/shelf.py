"""Everything a hospital keeps of records, in one folder: the store, what was granted, what comes in, their index."""

import os
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from l2.node.bodies.cells import Cells
from l2.node.bodies.entropy import Entropy, Pool
from l2.node.bodies.files import make_folder
from l2.node.bodies.incoming import Incoming
from l2.node.bodies.index import Index
from l2.node.bodies.opening import Opener, Released
from l2.node.bodies.outgoing import Outgoing
from l2.node.bodies.rewrapping import Rewrapping
from l2.node.bodies.store import Record, RecordStore

__all__ = ["Bodies"]

INDEX, CELLS, JOURNAL = "records.mdb", "records", "heads.journal"


class Bodies:
    """`records`, `outgoing` and `incoming` of one folder. Open once per process; close when done."""

    def __init__(
        self, folder: Path, kek: bytes, *, entropy: Entropy = secrets.token_bytes, is_shared: bool = False
    ) -> None:
        """`kek` is 32 bytes out of the hospital's key store. `is_shared`: other processes are at work in the folder, so
        what a crash has left is not looked for; who opens it alone does. Raises `LocalError` for another hospital's
        folder."""
        self._folder = make_folder(folder)
        entropy = Pool(entropy)
        self.index = Index(folder / INDEX, kek, entropy, is_shared=is_shared)
        self.cells = Cells(folder / CELLS, self.index, entropy)
        self.records = RecordStore(self.cells, self.index)
        self.outgoing = Outgoing(self.records)
        self.incoming = Incoming(self.cells)
        self._rewrapping = Rewrapping(folder / JOURNAL, self.cells, self.records, self.incoming)
        self._opener = Opener(self.cells, self.incoming, self.records)
        if not is_shared:
            self._recover()

    def _recover(self) -> None:
        self.cells.sweep_unfinished()
        if not self.index.was_clean:
            self.cells.sweep_orphans()
        self._rewrapping.finish()
        self._sweep_parts()

    def _sweep_parts(self) -> None:
        """Erase extracts that no grant needs any more: a crash came before."""
        parts = self.records.parts()
        if parts:
            needed = self.outgoing.records()
            self.records.erase(part for part in parts if part.id not in needed)

    def drop_granted(self, channel: bytes, locks: Sequence[bytes]) -> None:
        """Forget bodies whose releases are durable, or whose grants were never written or have ended. Extracts that
        were made for them are erased."""
        parts: list[Record] = []
        if self.records.has_parts():
            ids = [self.outgoing.record_of(channel, lock) for lock in locks]
            found = [self.records.find(record_id) for record_id in ids if record_id is not None]
            parts = [record for record in found if record is not None and record.part_of is not None]
        self.outgoing.drop(channel, locks)
        if parts:
            self.records.erase(parts)

    def keep_received(
        self, channel: bytes, grant: int, *, secret: bytes, custodian: bytes, name: str = "", now_ms: int
    ) -> Record:
        """[PULL-7] On release: decrypt, verify, and it is a record. Safe to repeat.

        The record keeps at least the label that its grant says. Raises `LocalError` while the ciphertext is not here,
        `Refused` when it does not open to what was granted.
        """
        released = [Released(grant, secret)]
        kept = self._opener.keep(channel, released, custodian=custodian, name=name, now_ms=now_ms)[grant]
        if isinstance(kept, Exception):
            raise kept
        return kept

    def keep_all_received(
        self, channel: bytes, released: Sequence[Released], *, custodian: bytes, now_ms: int
    ) -> dict[int, Record | Exception]:
        """The same for many, with two syncs: each grant's record, or why there is none."""
        return dict(self._opener.keep(channel, released, custodian=custodian, now_ms=now_ms))

    def rewrap(self, kek: bytes) -> int:
        """[REST-8] A new epoch under this key-encryption key: every key to a cell is boxed anew, and no older one opens
        any of them. How many there are. While nothing else is done; a crash in the middle is finished by calling it
        again, and either key-encryption key may be the one in force until then."""
        return self._rewrapping.rewrap(kek)

    def backup(self, folder: Path) -> None:
        """A consistent copy, made while in use: first the index, then the files that it names. A file that was erased
        meanwhile is in no copy."""
        make_folder(folder)
        self.index.copy(folder / INDEX)
        copy = make_folder(folder / CELLS)
        for entry in os.scandir(self._folder / CELLS):
            if not entry.name.endswith(".part"):
                _copy(Path(entry.path), copy / entry.name)

    def close(self, *, is_clean: bool = True) -> None:
        """`is_clean`: nothing was under way, here or in a process that shares the folder."""
        self.index.close(is_clean=is_clean)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _copy(path: Path, to: Path) -> None:
    try:
        shutil.copyfile(path, to)
        to.chmod(0o600)
    except FileNotFoundError:
        to.unlink(missing_ok=True)
