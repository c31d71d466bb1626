"""Items that came together, kept together: one row, one seal and one write for hundreds of short bodies.

Which row an item stands in is remembered, and read once at a start: a hundred bytes for each that still waits. An item
that is done is cut out of its row; the last takes the row with it. Knows tables, not what the items mean.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import Generic, TypeVar

from l1.ground.codec import encode
from l2.node.bodies.entropy import Entropy
from l2.node.bodies.index import Change, Table

__all__ = ["Crowds"]

_NAME_BYTES = 16
_READ_MAX = 8  # rows that are kept in memory, of at most half a megabyte each: what comes is soon done

Item = TypeVar("Item")
Rows = tuple[tuple[bytes, Item], ...]


class Crowds(Generic[Item]):
    """Items by key. Synchronous and safe in worker threads. What is written is for `Index.write`, together with other
    rows; an item counts once the `with` has ended well."""

    def __init__(self, table: Table, decode: "Callable[[bytes], Rows[Item]]", entropy: Entropy) -> None:
        self._table, self._decode, self._entropy = table, decode, entropy
        self._lock, self._writing = Lock(), Lock()
        self._read: OrderedDict[bytes, dict[bytes, Item]] = OrderedDict()
        self._where = {key: name for name, row in table.scan() for key, _ in decode(row)}

    @contextmanager
    def adding(self, items: Mapping[bytes, Item]) -> Iterator[list[Change]]:
        """The row that holds these. None of them may be here yet."""
        name = self._entropy(_NAME_BYTES)
        yield [(self._table, name, encode(tuple(items.items())))] if items else []
        with self._lock:
            self._keep(name, dict(items))
            self._where.update(dict.fromkeys(items, name))

    @contextmanager
    def removing(self, keys: Iterable[bytes]) -> Iterator[list[Change]]:
        """The rows without these; keys that are not here are passed over."""
        with self._writing:  # two that cut one row at once would each put back what the other took
            gone = [key for key in keys if key in self._where]
            left = {name: dict(self._row(name)) for name in {self._where[key] for key in gone}}
            for key in gone:
                left[self._where[key]].pop(key, None)
            yield [(self._table, name, encode(tuple(items.items())) if items else None) for name, items in left.items()]
            with self._lock:
                for name, items in left.items():
                    self._keep(name, items)
                for key in gone:
                    self._where.pop(key, None)

    def get(self, key: bytes) -> Item | None:
        name = self._where.get(key)
        return None if name is None else self._row(name).get(key)

    def __contains__(self, key: bytes) -> bool:
        return key in self._where

    def keys(self) -> list[bytes]:
        return list(self._where)

    def items(self) -> Iterator[tuple[bytes, Item]]:
        """All of them, as of when the first was taken."""
        for _, row in self._table.scan():
            yield from self._decode(row)

    def _row(self, name: bytes) -> dict[bytes, Item]:
        with self._lock:
            if (known := self._read.get(name)) is not None:
                return known
        row = self._table.get(name)
        items = {} if row is None else dict(self._decode(row))
        with self._lock:
            self._keep(name, items)
        return items

    def _keep(self, name: bytes, items: dict[bytes, Item]) -> None:
        self._read.pop(name, None)
        if items:
            self._read[name] = items
        while len(self._read) > _READ_MAX:
            self._read.popitem(last=False)
