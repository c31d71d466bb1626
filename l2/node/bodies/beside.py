"""Work on a long body beside other work on it: while a megabyte is hashed the next one is opened, and one more is read.
So two cores carry one body.

The disk, OpenSSL and hashlib let go of the interpreter: threads do run at once.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import TypeVar

from l2.records.body import Update
from l2.records.cipher import Octets

__all__ = ["ahead", "beside"]

Piece = TypeVar("Piece", bound=Octets)

_AHEAD = 2  # pieces that wait to be hashed: bounds the memory
_LONG_BYTES = 128 * 1024  # what is shorter is hashed before a thread would have begun


def ahead(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """The same pieces; each is fetched in a thread while the one before it is being used."""
    source = iter(pieces)
    with ThreadPoolExecutor(1, "ahead") as lane:
        coming = lane.submit(next, source, None)
        while (piece := coming.result()) is not None:
            coming = lane.submit(next, source, None)
            yield piece


def beside(pieces: Iterable[Octets], *updates: Update) -> Iterator[Octets]:
    """The same pieces; every update has had all of them, in order, when the last was taken. Where they are long, each
    update runs in a thread of its own. A piece must not be changed afterwards."""
    lanes: list[ThreadPoolExecutor] = []
    under_way: deque[Future[object]] = deque()
    with ExitStack() as stack:
        for piece in pieces:
            if not lanes and len(piece) >= _LONG_BYTES:
                lanes = [stack.enter_context(ThreadPoolExecutor(1, "beside")) for _ in updates]
            if lanes:
                while len(under_way) >= _AHEAD * len(updates):
                    under_way.popleft().result()
                under_way.extend(lane.submit(update, piece) for lane, update in zip(lanes, updates, strict=True))
            else:
                for update in updates:
                    update(piece)
            yield piece
    for done in under_way:
        done.result()
