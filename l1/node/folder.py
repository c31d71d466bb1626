"""A chain node's folder: genesis, sealed keys, config, the lock, the chain's file. It makes and opens them.

Layout: `genesis.json`, `config.toml`, `authority.key`, `registrar.key` (both sealed under the password; a follower has
neither), `chain.mdb`, `lock`. Everything that starts from it holds the lock, so a folder has one process.
"""

import os
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import tomli_w

from l1.ground.faults import Fault, LocalError, Refused
from l1.ground.limits import VERSION
from l1.ground.sealed import ENTROPY_BYTES, MODERATE, Cost, open_sealed, seal
from l1.ground.signing import PrivateKey
from l1.reader.genesis_file import dump_genesis, load_genesis
from l1.rules.genesis import Allocation, Genesis, Parameters
from l1.rules.transactions import account_of
from l1.serving import hold_lock, write_new

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


def _write_config(folder: Path, config: Config) -> None:
    write_new(folder / _CONFIG, tomli_w.dumps(msgspec.structs.asdict(config)).encode())


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
    _make(folder)
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
    _write_config(folder, Config())
    write_new(folder / _GENESIS, text)
    return genesis


def join_chain(folder: Path, genesis_file: bytes, source: str) -> Genesis:
    """Make a follower's folder, unless it is one of the same chain already."""
    genesis = load_genesis(genesis_file)
    _make(folder)
    if (folder / _GENESIS).exists():
        if read_genesis(folder) != genesis:
            raise LocalError(f"{folder} follows another chain", "Choose another folder")
        return genesis
    _write_config(folder, Config(port=0, source=source))
    write_new(folder / _GENESIS, dump_genesis(genesis))
    return genesis


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LocalError(f"{folder} cannot be made ({error.strerror})", "Choose another folder") from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise LocalError(
            f"{path} cannot be read ({error.strerror})", "Make a chain with init, or name its folder"
        ) from None


def read_genesis(folder: Path) -> Genesis:
    path = folder / _GENESIS
    try:
        return load_genesis(_read(path))
    except Refused as refusal:
        raise LocalError(f"{path}: {refusal}", "Get the genesis file again from the chain's founder") from None


def read_config(folder: Path) -> Config:
    path = folder / _CONFIG
    try:
        config = msgspec.convert(tomllib.loads(_read(path).decode()), Config)
    except (ValueError, msgspec.ValidationError) as error:
        raise LocalError(f"{path}: {error}", "Correct the line it names") from None
    return config


def open_key(folder: Path, name: str, password: str) -> PrivateKey:
    """A sealed key. Raises `LocalError` for a wrong password or a damaged file."""
    path = folder / name
    try:
        return PrivateKey(open_sealed(_read(path), password))
    except Refused as refusal:
        wrong = refusal.fault is Fault.BAD_CIPHERTEXT
        cause = f"{path} does not open: {refusal.detail}"
        raise LocalError(
            cause, "Set INTERWARD_PASSWORD to its password" if wrong else "Restore it from a backup"
        ) from None


@contextmanager
def hold(folder: Path) -> Iterator[Path]:
    """The folder for this process alone; the path of the chain's file in it."""
    if not folder.is_dir():
        raise LocalError(f"there is no folder {folder}", "Make a chain with init, or name its folder")
    with hold_lock(folder):
        yield folder / CHAIN_FILE
