"""Single files and folders: read, made or refused in a line that names the cause and the remedy.

It knows no library, so that a command that reads one file loads nothing for it.
"""

import os
from pathlib import Path

from l1.ground.faults import LocalError

__all__ = ["make_directory", "read_file", "write_new"]


def read_file(path: Path, remedy: str) -> bytes:
    """Raises `LocalError` with that remedy for a file that cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise LocalError(f"{path} cannot be read ({error.strerror})", remedy) from None


def write_new(path: Path, data: bytes, mode: int = 0o644) -> None:
    """A new file, synced. Raises `LocalError` when there is one already."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise LocalError(f"{path} exists already", "Choose another folder; nothing was overwritten") from None
    with os.fdopen(file, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def make_directory(path: Path) -> None:
    """A folder, if there is none yet. Raises `LocalError`."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LocalError(f"{path} cannot be made ({error.strerror})", "Choose another folder.") from None
