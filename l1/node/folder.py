"""A chain node's folder: genesis, sealed keys, config, the lock, the chain's file. It makes and opens them.

Layout: `genesis.json`, `config.toml`, `authority.key`, `registrar.key` (both sealed under the password; a follower has
neither), `chain.mdb`, `lock`. Everything that starts from it holds the lock, so a folder has one process.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from l1.ground.faults import LocalError
from l1.ground.limits import VERSION
from l1.ground.sealed import ENTROPY_BYTES, MODERATE, Cost, seal
from l1.ground.signing import PrivateKey
from l1.reader.genesis_file import dump_genesis, load_genesis, open_genesis
from l1.rules.genesis import Allocation, Genesis, Parameters
from l1.rules.transactions import account_of
from l1.serving.files import make_directory, write_new
from l1.serving.folders import FileReader, write_config
from l1.serving.process import hold_lock

__all__ = [
    "AUTHORITY",
    "REGISTRAR",
    "Config",
    "found_chain",
    "hold",
    "join_chain",
    "open_key",
    "read_config",
    "read_genesis",
]

AUTHORITY = "authority.key"
REGISTRAR = "registrar.key"
CHAIN_FILE = "chain.mdb"

_GENESIS, _CONFIG = "genesis.json", "config.toml"


class Config(msgspec.Struct, forbid_unknown_fields=True):
    """What the operator may change. Port 0 takes any free one. `source` is the node that a follower pulls from."""

    host: str = "127.0.0.1"
    port: int = 8800
    source: str = ""


def _files(folder: Path) -> FileReader:
    return FileReader(folder, "Make a chain with init, or name its folder.")


def found_chain(
    folder: Path,
    *,
    name: str,
    credits_total: int,
    parameters: Parameters,
    password: str,
    time_ms: int,
    entropy: Callable[[int], bytes] = os.urandom,
    cost: Cost = MODERATE,
) -> Genesis:
    """Make a new chain in the folder: its keys, its genesis, a config. The registrar's account gets all credits."""
    make_directory(folder)
    secrets = {AUTHORITY: entropy(32), REGISTRAR: entropy(32)}
    authority, registrar = (PrivateKey(secret).public_key for secret in secrets.values())
    genesis = Genesis(
        version=VERSION,
        name=name,
        time_ms=time_ms,
        salt=entropy(32),
        authority=authority,
        registrars=(registrar,),
        allocations=(Allocation(account=account_of(registrar), credits=credits_total),),
        parameters=parameters,
    )
    text = dump_genesis(genesis)
    if load_genesis(text) != genesis:
        raise AssertionError("a genesis file says what it was made from")
    for file, secret in secrets.items():
        write_new(folder / file, seal(secret, password, entropy(ENTROPY_BYTES), cost), 0o600)
    write_config(folder / _CONFIG, Config())
    write_new(folder / _GENESIS, text)
    return genesis


def join_chain(folder: Path, genesis_file: bytes, source: str) -> Genesis:
    """Make a follower's folder, unless it is one of the same chain already."""
    genesis = open_genesis(genesis_file, "the genesis file")
    make_directory(folder)
    if (folder / _GENESIS).exists():
        if read_genesis(folder) != genesis:
            raise LocalError(f"{folder} follows another chain", "Choose another folder")
        return genesis
    write_config(folder / _CONFIG, Config(port=0, source=source))
    write_new(folder / _GENESIS, dump_genesis(genesis))
    return genesis


def read_genesis(folder: Path) -> Genesis:
    return open_genesis(_files(folder).bytes_of(_GENESIS), folder / _GENESIS)


def read_config(folder: Path) -> Config:
    return _files(folder).config(_CONFIG, Config)


def open_key(folder: Path, name: str, password: str) -> PrivateKey:
    """A sealed key. Raises `LocalError` for a wrong password or a damaged file."""
    return PrivateKey(_files(folder).secret(name, password, "Restore it from a backup."))


@contextmanager
def hold(folder: Path) -> Iterator[Path]:
    """The folder for this process alone; the path of the chain's file in it."""
    if not folder.is_dir():
        raise LocalError(f"there is no folder {folder}", "Make a chain with init, or name its folder")
    with hold_lock(folder):
        yield folder / CHAIN_FILE
