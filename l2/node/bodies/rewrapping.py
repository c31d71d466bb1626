"""A new epoch: every key to a cell is boxed anew, and the old epochs' keys are forgotten. Safe to be cut anywhere.

Heads are overwritten in place, so that no old box stays. What is about to be written lies in a journal beside, for as
long as it takes: a head that a power cut has torn is written again by the next process. The journal is overwritten
before it is removed. docs/spec/records.md, REST-7 and REST-8.
"""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from l1.ground.codec import Shape, decoder, encode
from l1.ground.faults import Refused
from l2.node.bodies.cells import Cell, Cells
from l2.node.bodies.files import overwrite, remove, write_whole
from l2.node.bodies.incoming import ONE_TIME_KEY, Incoming
from l2.node.bodies.intake import RECORD_KEY
from l2.node.bodies.ring import Ring
from l2.node.bodies.store import RecordStore
from l2.records.keys import KEY_BYTES

__all__ = ["Rewrapping"]

HEADS_AT_ONCE = 1_024


class _Journal(Shape, frozen=True):
    heads: tuple[tuple[Cell, bytes], ...]


_decode = decoder(_Journal, bytes_max=4 * 1024 * 1024, what="journal of heads")


class Rewrapping:
    """Synchronous, for one thread, while nothing else writes heads."""

    def __init__(self, journal: Path, cells: Cells, records: RecordStore, incoming: Incoming) -> None:
        self._journal, self._cells, self._records, self._incoming = journal, cells, records, incoming

    def finish(self) -> None:
        """Write again what a crash may have torn."""
        if self._journal.exists():
            heads = _decode(self._journal.read_bytes()).heads
            self._cells.set_heads((cell, head) for cell, head in heads if self._cells.has(cell))
            self._forget()

    def _forget(self) -> None:
        overwrite(self._journal, bytes(os.path.getsize(self._journal)))
        remove(self._journal)

    def rewrap(self, kek: bytes) -> int:
        """Begin an epoch with a key of its own, box every key anew under it, and put the ring under this key-encryption
        key. How many heads were written. What a crash cuts is done by calling it again."""
        index = self._cells.index
        index.keep_keys(kek, index.ring.grown(self._cells.entropy(KEY_BYTES)))
        count = 0
        heads = self._heads()
        while crowd := tuple(islice(heads, HEADS_AT_ONCE)):
            write_whole(self._journal, [encode(_Journal(crowd))])
            self._cells.set_heads(crowd)
            self._forget()
            count += len(crowd)
        index.keep_keys(kek, Ring(index.ring.keys[-1:]))
        return count

    def _heads(self) -> Iterator[tuple[Cell, bytes]]:
        """New heads for every cell that there is."""
        for what, cell in [*((RECORD_KEY, c) for c in self._records.cells_in_use()), *self._downloads()]:
            if self._cells.has(cell):
                yield cell, self._cells.head(self._cells.key(cell, what), what, cell.place)

    def _downloads(self) -> Iterator[tuple[bytes, Cell]]:
        for cell in self._incoming.cells_in_use():
            try:
                self._cells.key(cell, ONE_TIME_KEY)
            except Refused:
                yield RECORD_KEY, cell  # its release has come, and a crash cut what follows
            else:
                yield ONE_TIME_KEY, cell
