"""A tower's folder: its sealed key, genesis, config, rows, the lock. It makes and opens them.

Layout: `tower.toml` (what the operator may change), `tower.key` (sealed under the password), `genesis.json`,
`headers` (a cache), `tower.mdb`, `tower.url` (while it runs), `lock`.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from l1.ground.faults import LocalError
from l1.ground.sealed import ENTROPY_BYTES, MODERATE, Cost, seal
from l1.ground.signing import PrivateKey
from l1.reader import HeaderFile, dump_genesis, open_genesis
from l1.rules.genesis import Genesis
from l1.rules.transactions import account_of
from l1.serving.files import make_directory, write_new
from l1.serving.folders import FileReader, write_config
from l1.serving.process import hold_lock
from l2.tower.store import TowerStore
from l2.vigil import URL_FILE

__all__ = ["Config", "Folder", "make_folder"]

_CONFIG, _KEY, _GENESIS, _HEADERS, _ROWS = "tower.toml", "tower.key", "genesis.json", "headers", "tower.mdb"


class Config(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What the operator may change. `serves`: ids of the hospitals that may hand over; empty: all that name us."""

    name: str
    chain_url: str
    host: str = "127.0.0.1"
    port: int = 8870
    serves: list[str] = []


@dataclass(frozen=True)
class Folder:
    """An existing folder, whoever runs on it."""

    path: Path

    @property
    def _files(self) -> FileReader:
        return FileReader(self.path, "Make a tower with `interward tower init`, or name its folder.")

    def config(self) -> Config:
        config = self._files.config(_CONFIG, Config)
        try:
            for hospital in config.serves:
                bytes.fromhex(hospital)
        except ValueError as error:
            raise LocalError(f"{self.path / _CONFIG}: {error}", "Correct the line it names.") from None
        return config

    def genesis(self) -> Genesis:
        return open_genesis(self._files.bytes_of(_GENESIS), self.path / _GENESIS)

    def key(self, password: str) -> PrivateKey:
        """Raises `LocalError` for a wrong password or a damaged file."""
        return PrivateKey(self._files.secret(_KEY, password, "Make a new tower, and name it instead."))

    def store(self) -> TowerStore:
        return TowerStore(self.path / _ROWS)

    def headers(self) -> HeaderFile:
        return HeaderFile(self.path / _HEADERS)

    def say_url(self, url: str) -> None:
        (self.path / URL_FILE).write_text(url + "\n")

    def forget_url(self) -> None:
        (self.path / URL_FILE).unlink(missing_ok=True)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """The folder for this process alone."""
        if not (self.path / _KEY).is_file():
            raise LocalError(f"{self.path} is not a tower's folder", "Make one with `interward tower init`.")
        with hold_lock(self.path):
            yield


def make_folder(path: Path, config: Config, genesis_file: bytes, password: str, cost: Cost = MODERATE) -> bytes:
    """Make a new tower; its account. Raises `LocalError` where there is one already."""
    genesis = open_genesis(genesis_file, "the genesis file")
    make_directory(path)
    secret = secrets.token_bytes(32)
    write_new(path / _KEY, seal(secret, password, secrets.token_bytes(ENTROPY_BYTES), cost), 0o600)
    write_new(path / _GENESIS, dump_genesis(genesis))
    write_config(path / _CONFIG, config)
    return account_of(PrivateKey(secret).public_key)
