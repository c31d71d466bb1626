"""What lies in folders: every path is accounted for, whether it is a file to take in or something to be named.

Knows the file system, not records. Follows no link to a folder, and opens nothing that could block.
"""

import os
import stat
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import trio

__all__ = ["Found", "find_files", "read_pieces"]

PIECE_BYTES = 1024 * 1024


class Found(NamedTuple):
    """A path, its size, and why it is not to be taken in; `refused` says that somebody should look at it."""

    path: Path
    size: int = 0
    why_not: str = ""
    refused: bool = False


def find_files(paths: Sequence[Path]) -> Iterator[Found]:
    """Every file named and every path below the folders named, in order. One path is given once."""
    given: set[Path] = set()
    for path in paths:
        for found in _walk(path) if path.is_dir() else [_look(path)]:
            if found.path not in given:
                given.add(found.path)
                yield found


def _walk(folder: Path) -> Iterator[Found]:
    failed: list[OSError] = []
    for here, folders, names in os.walk(folder, onerror=failed.append):
        for name in sorted(folders):
            path = Path(here, name)
            if path.is_symlink():
                yield Found(path, why_not="a link to a folder")
            elif name.startswith("."):
                yield Found(path, why_not="a hidden folder")
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (_look(Path(here, name)) for name in sorted(names))
        while failed:
            error = failed.pop()
            yield Found(Path(str(error.filename)), why_not=_said(error), refused=True)


def _look(path: Path) -> Found:
    try:
        status = path.stat()
    except OSError as error:
        return Found(path, why_not=_said(error), refused=True)
    if path.name.startswith("."):
        return Found(path, status.st_size, "a hidden file")
    if not stat.S_ISREG(status.st_mode):
        return Found(path, why_not="no regular file", refused=True)
    return Found(path, status.st_size, "" if status.st_size else "empty")


def _said(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


async def read_pieces(path: Path) -> AsyncIterator[bytes]:
    """A file's bytes, some at a time. Raises `OSError`."""
    async with await trio.open_file(path, "rb") as file:
        while piece := await file.read(PIECE_BYTES):
            yield piece
