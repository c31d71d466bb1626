"""Rows that are durable in the journal and not yet in LMDB, in memory: what every read consults first.

A layer takes rows from one thread at a time; any thread may read it meanwhile, each row whole, as it was or as it is.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from threading import Lock

from l1.serving.journal import Row
from l2.protocol.rows import CHANNEL_BYTES

__all__ = ["Layer"]

_GROUP_BYTES = 2  # kind and side: rows of one group come in rising order, so that one more is put at the end


class _Channel:
    """One channel's rows by key, and the keys of each group in order."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.groups: dict[bytes, list[bytes]] = {}

    def put(self, key: bytes, stored: bytes) -> int:
        """By how many bytes it has grown."""
        before = self.rows.get(key)
        self.rows[key] = stored  # first, so that whoever finds the key finds the row
        if before is not None:
            return len(stored) - len(before)
        insort(self.groups.setdefault(key[:_GROUP_BYTES], []), key)
        return CHANNEL_BYTES + len(key) + len(stored)

    def floor(self, key: bytes) -> bytes | None:
        group = self.groups.get(key[:_GROUP_BYTES], [])
        if place := bisect_right(group, key):
            return group[place - 1]
        return max((keys[-1] for kind, keys in list(self.groups.items()) if kind < key[:_GROUP_BYTES]), default=None)

    def between(self, first: bytes, last: bytes) -> list[tuple[bytes, bytes]]:
        kinds = sorted(kind for kind in self.groups if first[:_GROUP_BYTES] <= kind <= last[:_GROUP_BYTES])
        groups = [self.groups[kind] for kind in kinds]
        keys = [key for group in groups for key in group[bisect_left(group, first) : bisect_left(group, last)]]
        return [(key, self.rows[key]) for key in keys]


class Layer:
    """Rows by their place (channel ‖ key), as they are to be stored. `size` is in bytes, places with them; `number` is
    that of the last record whose rows it holds."""

    def __init__(self, number: int) -> None:
        self.number, self.size = number, 0
        self._channels: dict[bytes, _Channel] = {}
        self._lock = Lock()  # a commit is seen by a scan whole or not at all

    def put(self, rows: Iterable[Row], number: int) -> None:
        with self._lock:
            for place, stored in rows:
                channel = place[:CHANNEL_BYTES]
                if (kept := self._channels.get(channel)) is None:
                    kept = self._channels[channel] = _Channel()
                self.size += kept.put(place[CHANNEL_BYTES:], stored)
            self.number = number

    def get(self, channel: bytes, key: bytes) -> bytes | None:
        kept = self._channels.get(channel)
        return None if kept is None else kept.rows.get(key)

    def floor(self, channel: bytes, key: bytes) -> tuple[bytes, bytes] | None:
        """The row with the greatest key that is at most `key`."""
        kept = self._channels.get(channel)
        found = None if kept is None else kept.floor(key)
        return None if kept is None or found is None else (found, kept.rows[found])

    def between(self, channel: bytes, first: bytes, last: bytes) -> list[tuple[bytes, bytes]]:
        """Rows from `first` to before `last`, in order."""
        kept = self._channels.get(channel)
        if kept is None:
            return []
        with self._lock:
            return kept.between(first, last)

    def channels(self) -> list[bytes]:
        return list(self._channels)

    def items(self) -> Iterator[Row]:
        """All rows, in the order of their places."""
        for channel, kept in sorted(self._channels.items()):
            for key in sorted(kept.rows):
                yield channel + key, kept.rows[key]
