"""A node's folder, whatever the node: files that are read, or refused in a line that names the cause and the remedy.

It knows neither chain nor hospital: who calls says what to do where a file is missing or spoilt.
"""

import tomllib
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import tomli_w

from l1.ground.faults import Fault, LocalError, Refused
from l1.ground.sealed import open_sealed
from l1.serving.files import read_file, write_new
from l1.serving.process import PASSWORD

__all__ = ["FileReader", "write_config"]

T = TypeVar("T")


class FileReader:
    """Reads the files of one folder. `absent` is the remedy where a file cannot be read.

    Everything here raises `LocalError` for a file that is missing or does not say what it should.
    """

    def __init__(self, folder: Path, absent: str) -> None:
        self.folder, self._absent = folder, absent

    def bytes_of(self, name: str) -> bytes:
        return read_file(self.folder / name, self._absent)

    def config(self, name: str, kind: type[T]) -> T:
        """A TOML file of a fixed form."""
        try:
            return msgspec.convert(tomllib.loads(self.bytes_of(name).decode()), kind)
        except ValueError as error:
            raise LocalError(f"{self.folder / name}: {error}", "Correct the line it names.") from None

    def secret(self, name: str, password: str, lost: str) -> bytes:
        """What is sealed under the password. `lost` is the remedy where the file is damaged."""
        try:
            return open_sealed(self.bytes_of(name), password)
        except Refused as refused:
            wrong = refused.fault is Fault.BAD_CIPHERTEXT
            remedy = f"Set {PASSWORD} to its password." if wrong else lost
            raise LocalError(f"{self.folder / name} does not open: {refused.detail}", remedy) from None


def write_config(path: Path, config: msgspec.Struct) -> None:
    """A new TOML file. What is not set has no line."""
    fields: dict[str, Any] = msgspec.to_builtins(config)
    write_new(path, tomli_w.dumps({name: value for name, value in fields.items() if value is not None}).encode())
