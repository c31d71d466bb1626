"""Work that goes on beside other work: hashing, while the next megabyte is opened. So two cores carry one long body.

OpenSSL and hashlib let go of the interpreter: threads do run at once.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from l2.records.body import Update
from l2.records.cipher import Octets

__all__ = ["Beside"]

_THREADS = 2
_LONG_BYTES = 128 * 1024  # what is shorter is hashed before a thread would have begun


class Beside:
    """Threads that help others."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="beside")

    def spread(self, pieces: Iterable[Octets], *updates: Update) -> Iterator[Octets]:
        """The same pieces; every update has had all of them, in order, when the last was taken. A piece must not be
        changed afterwards."""
        under_way: list[Future[object]] = []
        try:
            for piece in pieces:
                _finish(under_way)
                if len(piece) < _LONG_BYTES:
                    for update in updates:
                        update(piece)
                else:
                    under_way += [self._pool.submit(update, piece) for update in updates]
                yield piece
        finally:
            _finish(under_way)

    def close(self) -> None:
        self._pool.shutdown()


def _finish(under_way: list[Future[object]]) -> None:
    while under_way:
        under_way.pop().result()
