"""The file of a write-ahead journal: two areas of fixed size that alternate, written ahead of an LMDB store.

The room is reserved with real zeros, so that a flush writes what was appended and nothing about the file: one flush
where a transaction of LMDB takes two. It knows neither what the rows mean nor when the store has them.
"""

import os
from pathlib import Path

from l1.serving.journal import PAGE_BYTES, Place, encode_place

__all__ = ["JournalFile"]

_CHUNK_BYTES = 1 << 20


class JournalFile:
    """Open for one run. Every call raises `OSError` where the disk does not take it; then the process must end."""

    def __init__(self, path: Path, area_bytes: int, run: bytes, before: bytes) -> None:
        """Begin a run: whatever stood in the file must be in the store by now. A file that is lacking, or of another
        size, is made anew, under another name until it is whole."""
        assert area_bytes % PAGE_BYTES == 0
        self._area_bytes, self._area, self._at = area_bytes, 0, 0
        file_bytes = PAGE_BYTES + 2 * area_bytes
        place = encode_place(Place(run, before, file_bytes))
        if not path.exists() or path.stat().st_size != file_bytes:
            _make(path, place, file_bytes)
        self._file = os.open(path, os.O_RDWR)
        try:
            self._put(place, 0)
        except OSError:
            self.close()
            raise

    def fits(self, size: int) -> bool:
        """Whether the area at hand has so much room left."""
        return self._at + size <= self._area_bytes

    def append(self, record: bytes) -> None:
        """Whole pages, on the disk when it returns."""
        assert self.fits(len(record))
        self._put(record, PAGE_BYTES + self._area * self._area_bytes + self._at)
        self._at += len(record)

    def switch(self) -> None:
        """Go on in the other area, of which the store must hold everything by now."""
        self._area, self._at = 1 - self._area, 0

    def close(self) -> None:
        os.close(self._file)

    def _put(self, data: bytes, at: int) -> None:
        written = os.pwrite(self._file, data, at)
        while written < len(data):
            written += os.pwrite(self._file, memoryview(data)[written:], at + written)
        os.fdatasync(self._file)


def _make(path: Path, place: bytes, file_bytes: int) -> None:
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    try:
        with open(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(place)
            for at in range(len(place), file_bytes, _CHUNK_BYTES):
                file.write(bytes(min(_CHUNK_BYTES, file_bytes - at)))
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
