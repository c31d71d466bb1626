"""A disk: rows survive to the last sync, whole groups at a time, unless it lies; then a start must notice."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from l2.protocol.rows import open_row, seal_row

__all__ = ["Copy", "Disk", "Group", "MemoryRows"]

Group = list[tuple[bytes, Sequence[tuple[bytes, bytes]]]]
"""Rows by channel, written in one transaction with one sync."""

_EXPLAINS_ONLY = b"nvjc"  # nodes, reasons, journal: nothing is decided by them


class MemoryRows:
    """One channel's rows, in order, each with the product's own checksum."""

    def __init__(self, channel: bytes) -> None:
        self._channel = channel
        self._keys: list[bytes] = []
        self._values: dict[bytes, bytes] = {}
        self.hurt: set[bytes] = set()  # keys of damaged rows

    def put(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        for key, value in rows:
            if key not in self._values:
                self._keys.insert(bisect_left(self._keys, key), key)
            self._values[key] = seal_row(self._channel + key, value)
            self.hurt.discard(key)

    def _open(self, key: bytes) -> bytes:
        return open_row(self._channel + key, self._values[key])

    def get(self, key: bytes) -> bytes | None:
        """Raises `Damaged`, as the others do."""
        return self._open(key) if key in self._values else None

    def floor(self, key: bytes) -> tuple[bytes, bytes] | None:
        at = bisect_right(self._keys, key)
        return (self._keys[at - 1], self._open(self._keys[at - 1])) if at else None

    def scan(self, first: bytes, last: bytes) -> Iterator[tuple[bytes, bytes]]:
        for key in self._keys[bisect_left(self._keys, first) : bisect_left(self._keys, last)]:
            yield key, self._open(key)

    def flip(self, key: bytes, rng: Random) -> None:
        """Turn one bit of a stored row."""
        value = bytearray(self._values[key])
        value[rng.randrange(len(value))] ^= 1 << rng.randrange(8)
        self._values[key] = bytes(value)
        self.hurt.add(key)

    def __contains__(self, key: bytes) -> bool:
        return key in self._values

    def keys(self) -> list[bytes]:
        return self._keys

    def copy(self) -> "MemoryRows":
        made = MemoryRows(self._channel)
        made._keys, made._values, made.hurt = list(self._keys), dict(self._values), set(self.hurt)
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MemoryRows) and self._values == other._values

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Copy:
    """What an operator has on a shelf: rows by channel, the public halves of the keys in the ring of that day, and when
    it was made, on the chain clock."""

    channels: dict[bytes, MemoryRows]
    keys: frozenset[bytes]
    made_ms: int


class Disk:
    """What is durable of every channel of a hospital."""

    def __init__(self) -> None:
        self.channels: dict[bytes, MemoryRows] = {}
        self.is_full = False

    def rows(self, channel: bytes) -> MemoryRows:
        if channel not in self.channels:
            self.channels[channel] = MemoryRows(channel)
        return self.channels[channel]

    def is_hurt(self, channel: bytes) -> bool:
        return channel in self.channels and bool(self.channels[channel].hurt)

    def write(self, group: Group) -> None:
        for channel, rows in group:
            self.rows(channel).put(rows)

    def copy(self) -> dict[bytes, MemoryRows]:
        return {channel: rows.copy() for channel, rows in self.channels.items()}

    def tear(self, group: Group, rng: Random) -> bytes | None:
        """Write only some rows of a group, as no honest disk does. The channel that is hurt, if any is."""
        candidates = [(channel, list(rows)) for channel, rows in group if len(rows) > 1]
        if not candidates:
            return None
        channel, rows = rng.choice(candidates)
        before = self.rows(channel).copy()
        kept = [row for row in rows if row[0][0] in _EXPLAINS_ONLY or rng.random() < 0.5]
        whole = before.copy()
        whole.put(rows)
        self.rows(channel).put(kept)
        return None if self.rows(channel) in (before, whole) else channel

    def damage(self, rng: Random) -> bytes | None:
        """Flip one bit of one row. The channel that is hurt, if there is any."""
        if not self.channels:
            return None
        channel = rng.choice(list(self.channels))
        rows = self.channels[channel]
        keys = [key for key in rows.keys() if key[0] not in _EXPLAINS_ONLY]  # noqa: SIM118
        if not keys:
            return None
        rows.flip(rng.choice(keys), rng)
        return channel
