"""Where a reader keeps the headers it has verified, so that it need not begin at the genesis again.

A store holds signed headers by height, from 1 on without a gap. Two of them: in memory, and in a file of fixed
records in which a height is a place, so that a chain of years costs no memory.
"""

import os
from pathlib import Path
from typing import Protocol

from l1.ground.faults import Fault, require

__all__ = ["HeaderFile", "HeaderStore", "MemoryHeaders"]

RECORD_BYTES = 320  # a signed header takes at most 280 bytes; two more for its length


class HeaderStore(Protocol):
    """Signed headers by height."""

    def height(self) -> int:
        """The newest height held; 0 for none."""

    def get(self, height: int) -> bytes | None:
        """The canonical signed header."""

    def append(self, signed: bytes) -> None:
        """Keep the header of the next height."""


class MemoryHeaders:
    """For short lives: tests, one command of the client."""

    def __init__(self) -> None:
        self._headers: list[bytes] = []

    def height(self) -> int:
        return len(self._headers)

    def get(self, height: int) -> bytes | None:
        return self._headers[height - 1] if 1 <= height <= len(self._headers) else None

    def append(self, signed: bytes) -> None:
        self._headers.append(signed)


class HeaderFile:
    """For processes that come back. It is a cache: a torn last record is cut off and fetched again, unsynced."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        self._height = os.fstat(self._file).st_size // RECORD_BYTES
        os.ftruncate(self._file, self._height * RECORD_BYTES)

    def height(self) -> int:
        return self._height

    def get(self, height: int) -> bytes | None:
        if not 1 <= height <= self._height:
            return None
        record = os.pread(self._file, RECORD_BYTES, (height - 1) * RECORD_BYTES)
        size = int.from_bytes(record[:2], "big")
        require(size <= RECORD_BYTES - 2, Fault.MALFORMED, "the header file is damaged; delete it, it is a cache")
        return record[2 : 2 + size]

    def append(self, signed: bytes) -> None:
        assert len(signed) <= RECORD_BYTES - 2
        record = (len(signed).to_bytes(2, "big") + signed).ljust(RECORD_BYTES, b"\0")
        os.pwrite(self._file, record, self._height * RECORD_BYTES)
        self._height += 1

    def close(self) -> None:
        os.close(self._file)
