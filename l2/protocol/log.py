"""Reading a stored log: entries by index, and the Merkle nodes that proofs are made of.

Batches are stored as they travelled. Of the tree only every eighth level is stored; the rest is hashed again from at
most 256 entries or nodes when a proof needs it, so the tree costs an eighth of a byte per entry on disk.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from l1.ground.many import node_hashes
from l1.ground.merkle import Frontier
from l1.rules.log.entries import Entry, Terms
from l1.rules.log.leaves import decode_stored, leaf_hashes, pick_parts
from l2.protocol.batch import Batch, Salts, open_stored
from l2.protocol.limits import BATCHES_KEPT, SALT_BLOCK, TILE_LEVELS, WHOLE_BATCHES_KEPT
from l2.protocol.rows import Damaged, Rows, batch_key, node_key, number_of

__all__ = ["LogReader", "tiles"]


class _Stored(NamedTuple):
    """A stored batch, its parts not yet decoded."""

    first: int
    end: int
    batch: Batch

    def parts(self, indices: Sequence[int]) -> tuple[bytes, bytes]:
        """Those of these entries of the log."""
        return pick_parts(self.batch.publics, self.batch.privates, [index - self.first for index in indices])


class LogReader:
    """One side's stored log. The batches last read are kept, so that neighbours cost a bisection and one decode."""

    def __init__(self, rows: Rows, side: int, salts: Salts) -> None:
        self._rows, self.side, self.salts = rows, side, salts
        self._kept: list[_Stored] = []  # in the order of the log
        self._firsts: list[int] = []
        self._whole = lru_cache(maxsize=WHOLE_BATCHES_KEPT)(self._decode)
        self._last_block: tuple[int, list[bytes]] = (-1, [])

    def _find(self, index: int) -> _Stored:
        """The batch that holds an entry."""
        at = bisect_right(self._firsts, index) - 1
        if at >= 0 and index < self._kept[at].end:
            return self._kept[at]
        found = self._rows.floor(batch_key(self.side, index))
        if found is None or found[0][:2] != batch_key(self.side, 0)[:2]:
            raise self._lacks(index)
        first, batch = number_of(found[0]), open_stored(found[1])
        stored = _Stored(first, first + batch.size, batch)
        if index >= stored.end:
            raise self._lacks(index)
        at = bisect_right(self._firsts, first)
        if len(self._kept) >= BATCHES_KEPT:  # the one farthest away makes room
            far = 0 if at > BATCHES_KEPT // 2 else -1
            del self._kept[far], self._firsts[far]
            at = bisect_right(self._firsts, first)
        self._firsts.insert(at, first)
        self._kept.insert(at, stored)
        return stored

    def _lacks(self, index: int) -> Damaged:
        return Damaged(f"entry {index} of side {self.side} is not there")

    def first_of(self, index: int) -> int:
        """Where the batch that holds entry `index` begins."""
        return self._find(index).first

    def _decode(self, first: int) -> tuple[Batch, list[Entry], list[Terms | None]]:
        batch = self._find(first).batch
        decoded = decode_stored(batch.publics, batch.privates)
        return batch, [entry for entry, _ in decoded], [terms for _, terms in decoded]

    def batch(self, first: int) -> tuple[Batch, list[Entry], list[Terms | None]]:
        """A whole stored batch, decoded: message, entries, and their terms or None."""
        return self._whole(first)

    def message(self, first: int) -> Batch:
        """A stored batch whose entries nobody asks for."""
        return self._find(first).batch

    def entry(self, index: int) -> tuple[Entry, Terms | None]:
        (found,) = self.entries((index,))
        return found

    def entries(self, indices: Sequence[int]) -> list[tuple[Entry, Terms | None]]:
        """Entries in the order of the log. Those of one batch cost little more than one of it."""
        found: list[tuple[Entry, Terms | None]] = []
        at = 0
        while at < len(indices):
            stored = self._find(indices[at])
            upto = bisect_left(indices, stored.end, at)
            found += decode_stored(*stored.parts(indices[at:upto]))
            at = upto
        return found

    def parts(self, index: int) -> tuple[bytes, bytes]:
        """Public and private part of an entry, as they stand in the log."""
        stored = self._find(index)
        public, private = stored.parts((index,))
        return public[1:], private[1:]  # without the headers of their arrays

    def forget(self) -> None:
        """Stored batches were signed anew."""
        self._kept.clear()
        self._firsts.clear()
        self._whole.cache_clear()

    def leaves(self, start: int, end: int) -> list[bytes]:
        """The leaf hashes of entries start .. end."""
        found: list[bytes] = []
        while start < end:
            stored = self._find(start)
            upto = min(end, stored.end)
            found += leaf_hashes(*stored.parts(range(start, upto)), self.salts.span(start, upto - start))
            start = upto
        return found

    def node(self, level: int, index: int) -> bytes:
        """The hash of the complete subtree of 2**level entries from index * 2**level on."""
        if level in TILE_LEVELS:
            stored = self._rows.get(node_key(self.side, level, index))
            if stored is None:  # a complete tile is always stored
                raise Damaged(f"node {index} of level {level} of side {self.side} is not there")
            return stored
        below = max((stored for stored in (0, *TILE_LEVELS) if stored < level), default=0)
        if below == 0:
            row = self._block(index << level >> 8)
            width = 1 << level
            start = index * width % SALT_BLOCK
            row = row[start : start + width]
        else:
            row = [self.node(below, at) for at in range(index << level - below, index + 1 << level - below)]
        while len(row) > 1:
            row = node_hashes(row)
        return row[0]

    def _block(self, block: int) -> list[bytes]:
        """The leaf hashes of a block; the last block of a log may be short."""
        if self._last_block[0] == block:
            return self._last_block[1]
        start = block * SALT_BLOCK
        last = self._rows.floor(batch_key(self.side, start + SALT_BLOCK - 1))
        if last is None:
            raise self._lacks(start)
        leaves = self.leaves(start, min(start + SALT_BLOCK, self._find(number_of(last[0])).end))
        if len(leaves) == SALT_BLOCK:  # a short block will grow
            self._last_block = (block, leaves)
        return leaves


def tiles(side: int, before: Frontier, made: list[list[bytes]]) -> list[tuple[bytes, bytes]]:
    """The rows of the tile levels among the nodes that `Frontier.extend` made."""
    return [
        (node_key(side, level, (before.size >> level) + at), node)
        for level in TILE_LEVELS
        if level < len(made)
        for at, node in enumerate(made[level])
    ]
