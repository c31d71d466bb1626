"""Files that are whole or absent: written beside, synced, renamed, and the folder synced. Knows nothing of records."""

import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

__all__ = [
    "STAYS_BYTES",
    "make_folder",
    "open_private",
    "overwrite",
    "remove",
    "sweep",
    "sync",
    "write_out",
    "write_whole",
]

_UNFINISHED = ".part"
STAYS_BYTES = 32 * 1024 * 1024  # of a file that is being written, in memory: what is shorter is read again from there


def make_folder(folder: Path) -> Path:
    """The folder, readable by its owner alone."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def sweep(folder: Path) -> None:
    """Remove what a crash left half-written."""
    for path in folder.glob(f"*{_UNFINISHED}"):
        path.unlink(missing_ok=True)


def write_whole(path: Path, parts: Iterable[bytes]) -> None:
    """[REST-4] Write a file that is durable, and visible only when it is whole."""
    beside = path.with_name(f"{path.name}.{secrets.token_hex(4)}{_UNFINISHED}")
    try:
        with open(beside, "xb", opener=_private) as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        beside.rename(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def overwrite(path: Path, data: bytes) -> None:
    """Overwrite the start of a file in place, durably: how a key is destroyed."""
    with open(path, "r+b") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def remove(path: Path) -> None:
    """Remove a file, durably; it may be gone already."""
    path.unlink(missing_ok=True)
    _sync_folder(path.parent)


def sync(path: Path) -> None:
    """Make a file that was written in pieces durable."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
    _sync_folder(path.parent)


def write_out(path: Path, data: memoryview, offset: int) -> None:
    """Write into a file that is there. The disk begins at once, so that a sync has little left to wait for; what lies
    far behind leaves the memory again: a long file would push out what others read. Source: posix_fadvise(2)."""
    handle = os.open(path, os.O_WRONLY)
    try:
        begin = offset
        while data:
            written = os.pwrite(handle, data, offset)
            data, offset = data[written:], offset + written
        os.posix_fadvise(handle, begin, offset - begin, os.POSIX_FADV_DONTNEED)
        if begin > STAYS_BYTES:
            os.posix_fadvise(handle, 0, begin - STAYS_BYTES, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(handle)


def open_private(path: Path) -> BinaryIO:
    """A file to be written in pieces, readable by its owner alone; what is in it already stays."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, mode=0o600), "r+b")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, mode=0o600)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
