"""Work to be done later, each piece once however often it is asked for. As long as the logs demand, and no longer."""

import math
from collections.abc import Hashable
from typing import Generic, TypeVar

import trio

__all__ = ["Worklist"]

Item = TypeVar("Item", bound=Hashable)


class Worklist(Generic[Item]):
    """First come, first served; several tasks may take."""

    def __init__(self) -> None:
        # Unbounded, since what it holds are indices of entries that stand in a log on disk.
        self._put, self._take = trio.open_memory_channel[Item](math.inf)
        self._waiting: set[Item] = set()

    def add(self, item: Item) -> None:
        """Ask for a piece of work, unless it is waiting already."""
        if item not in self._waiting:
            self._waiting.add(item)
            self._put.send_nowait(item)

    async def take(self) -> Item:
        item = await self._take.receive()
        self._waiting.discard(item)
        return item

    async def take_many(self, most: int) -> list[Item]:
        """What waits, at least one piece."""
        items = [await self._take.receive()]
        while len(items) < most:
            try:
                items.append(self._take.receive_nowait())
            except trio.WouldBlock:
                break
        self._waiting.difference_update(items)
        return items
