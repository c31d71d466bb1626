"""Everything a hospital keeps of records, in one folder: the store, the spool, the downloads and their index."""

import secrets
import shutil
from pathlib import Path
from typing import Self

from l1.ground.faults import LocalError
from l2.node.bodies.files import make_folder
from l2.node.bodies.incoming import Incoming
from l2.node.bodies.index import Entropy, Index
from l2.node.bodies.outgoing import Outgoing
from l2.node.bodies.store import Origin, Record, RecordStore

__all__ = ["Bodies"]


class Bodies:
    """`records`, `outgoing` and `incoming` of one folder. Open once per process; close when done."""

    def __init__(self, folder: Path, kek: bytes, *, entropy: Entropy = secrets.token_bytes) -> None:
        """`kek` is 32 bytes out of the hospital's key store. Raises `LocalError` for another hospital's folder."""
        self._folder = make_folder(folder)
        self.index = Index(folder / "records.mdb", kek, entropy)
        self.records = RecordStore(folder / "records", self.index, kek, entropy)
        self.outgoing = Outgoing(folder / "outgoing", self.index, entropy)
        self.incoming = Incoming(folder / "incoming", self.index, entropy)

    def keep_received(
        self, channel: bytes, grant: int, *, chain: bytes, secret: bytes, custodian: bytes, name: str = "", now_ms: int
    ) -> Record:
        """[PULL-7] On release: decrypt, verify, store, then forget ciphertext and one-time key. Safe to repeat.

        The record keeps at least the label that its grant says. Raises `LocalError` while the ciphertext is not here,
        `Refused` when it does not open to what was granted.
        """
        download = self.incoming.find(channel, grant)
        if download is None:
            known = self.records.find_received(channel, grant)
            if known is None:
                raise LocalError("the record's ciphertext is not here", "Fetch the grant first.")
            return known
        content = download.open(chain, secret)
        origin = Origin(channel=channel, grant=grant, custodian=custodian)
        record, _ = self.records.add(content, name=name, now_ms=now_ms, origin=origin, least_label=download.body.label)
        self.incoming.drop(channel, grant)
        return record

    def backup(self, folder: Path) -> None:
        """A consistent copy, made while in use: first the index, then the files that it names."""
        make_folder(folder)
        self.index.copy(folder / "records.mdb")
        for name in ("records", "outgoing", "incoming"):
            shutil.copytree(self._folder / name, folder / name, ignore=shutil.ignore_patterns("*.part"))

    def close(self) -> None:
        self.index.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
