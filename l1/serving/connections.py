"""A client's connection, as hypercorn uses one, that no client can hold up.

hypercorn shields what it sends from cancellation and sets no deadline: whoever reads nothing would keep a task for
ever, and a node from stopping. And it tells its application of a broken connection from whatever task was just sending:
where that is the one that makes room for the news, both wait for ever. So that a client is gone is noticed where he is
read from, and only there.
"""

from contextlib import suppress
from math import inf

import trio

__all__ = ["TAKES_S", "Connection"]

TAKES_S = 30.0  # for a client to take what is sent to him


class Connection:
    """Close it as a stream is closed."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.socket = stream.socket
        self._stream = stream
        self._end_s = inf
        self._sending = trio.CancelScope()

    def end_by(self, end_s: float) -> None:
        """Wait no longer than until then for anything to be taken."""
        self._end_s = end_s
        self._sending.deadline = min(self._sending.deadline, end_s)

    async def send_all(self, data: bytes) -> None:
        """Send; or close the connection, where that fails or lasts too long."""
        self._sending = trio.CancelScope(deadline=min(trio.current_time() + TAKES_S, self._end_s))
        with self._sending, suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self._stream.send_all(data)
            return
        await trio.aclose_forcefully(self._stream)

    async def receive_some(self, bytes_max: int) -> bytes:
        return await self._stream.receive_some(bytes_max)

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()
