"""Random bytes, asked of the system by the page: a nonce a row and a key a record would be a system call each.

Every byte is handed out once. Knows nothing of what it is for.
"""

from collections.abc import Callable
from threading import Lock

__all__ = ["Entropy", "Pool"]

Entropy = Callable[[int], bytes]
"""So many fresh random bytes."""

_PAGE_BYTES = 4096


class Pool:
    """Safe in threads. Not to be carried over a fork, which this program never does."""

    def __init__(self, source: Entropy) -> None:
        self._source = source
        self._page, self._at = b"", 0
        self._lock = Lock()

    def __call__(self, size: int) -> bytes:
        if size > _PAGE_BYTES // 8:
            return self._source(size)
        with self._lock:
            if self._at + size > len(self._page):
                self._page, self._at = self._source(_PAGE_BYTES), 0
            drawn = self._page[self._at : self._at + size]
            self._at += size
        return drawn
