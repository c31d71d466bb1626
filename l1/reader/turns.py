"""Who signs with one key takes turns for its nonce: tasks of one process, and processes that share the key."""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

import trio

__all__ = ["NONCE_TRIES", "Turn", "Turns"]

NONCE_TRIES = 5  # another process may use the same key at the same moment, and take no turns with us

Turn = Callable[[], AbstractAsyncContextManager[None]]


class Turns:
    """`among` are the turns among processes, if there are any that share a key."""

    def __init__(self, among: Turn = nullcontext) -> None:
        self._among = among
        self._locks: defaultdict[bytes, trio.Lock] = defaultdict(trio.Lock)

    @asynccontextmanager
    async def of(self, account: bytes) -> AsyncIterator[None]:
        """The turn of this account's key."""
        async with self._locks[account], self._among():
            yield
