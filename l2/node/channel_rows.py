"""One channel's rows as they are read: out of the layers that are in memory, and out of LMDB below them.

A reader takes hold of the layers before it begins to read LMDB: a layer is only let go once LMDB has it, so what is not
in the one is in the other.
"""

from collections.abc import Callable, Iterator, Sequence
from heapq import merge
from typing import Any

from l2.node.overlay import Layer
from l2.protocol.rows import CHANNEL_BYTES, open_row

__all__ = ["ChannelRows", "channels_in"]


class ChannelRows:
    """One channel's rows, as `l2.protocol.rows.Rows` wants them. Each read raises `Damaged` for a damaged row.

    `layers`: the newest first. `begin`: a reading transaction of LMDB's table of rows.
    """

    def __init__(self, layers: Callable[[], Sequence[Layer]], begin: Callable[[], Any], channel: bytes) -> None:
        assert len(channel) == CHANNEL_BYTES
        self._layers, self._begin, self._channel = layers, begin, channel

    def get(self, key: bytes) -> bytes | None:
        place = self._channel + key
        for layer in self._layers():
            if (stored := layer.get(self._channel, key)) is not None:
                return open_row(place, stored)
        with self._begin() as reading:
            found: bytes | None = reading.get(place)
        return None if found is None else open_row(place, found)

    def floor(self, key: bytes) -> tuple[bytes, bytes] | None:
        found = [layer.floor(self._channel, key) for layer in self._layers()]
        if found[0] is None or found[0][0] != key:
            found.append(self._stored_floor(self._channel + key))
        best = max((one for one in found if one is not None), key=lambda one: one[0], default=None)
        return None if best is None else (best[0], open_row(self._channel + best[0], best[1]))

    def _stored_floor(self, wanted: bytes) -> tuple[bytes, bytes] | None:
        with self._begin() as reading, reading.cursor() as cursor:
            found = cursor.set_range(wanted)
            if found and cursor.key() != wanted:
                found = cursor.prev()
            elif not found:
                found = cursor.last()
            if not found or not cursor.key().startswith(self._channel):
                return None
            return bytes(cursor.key()[CHANNEL_BYTES:]), bytes(cursor.value())

    def is_empty(self) -> bool:
        """Whether nothing at all is stored of the channel."""
        return self.floor(b"\xff") is None

    def scan(self, first: bytes, last: bytes) -> Iterator[tuple[bytes, bytes]]:
        newest: dict[bytes, bytes] = {}
        for layer in reversed(self._layers()):
            newest.update(layer.between(self._channel, first, last))
        with self._begin() as reading, reading.cursor() as cursor:
            below = (row for row in self._stored(cursor, first, last) if row[0] not in newest)
            for key, stored in merge(sorted(newest.items()), below):
                yield key, open_row(self._channel + key, stored)

    def _stored(self, cursor: Any, first: bytes, last: bytes) -> Iterator[tuple[bytes, bytes]]:
        end = self._channel + last
        if not cursor.set_range(self._channel + first):
            return
        for place, stored in cursor:
            if place >= end:
                return
            yield bytes(place[CHANNEL_BYTES:]), bytes(stored)


def channels_in(layers: Sequence[Layer], reading: Any) -> list[bytes]:
    """Ids of all channels that have rows."""
    found = {channel for layer in layers for channel in layer.channels()}
    with reading.cursor() as cursor:
        at_one = cursor.first()
        while at_one:
            channel = bytes(cursor.key()[:CHANNEL_BYTES])
            found.add(channel)
            at_one = cursor.set_range(channel + b"\xff" * 32)
    return sorted(found)
