"""Lines that record bodies travel on, kept for a while and used again: a handshake costs more than a small record.

A bounded number to each peer; one that broke is replaced once, silently, since it may have died while it lay idle.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio

from l2.link import Line, LineClosed
from l2.node.bodies import Download, pull

__all__ = ["Pulls"]

LINES_PER_PEER = 4
IDLE_S = 15.0

Connect = Callable[[bytes], Awaitable[Line]]


class Pulls:
    """`run` closes what lies idle."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._idle: dict[bytes, list[tuple[float, Line]]] = {}
        self._rooms: dict[bytes, trio.CapacityLimiter] = {}

    async def pull(self, peer: bytes, download: Download) -> None:
        """Fetch what is missing of a download. Raises `Refused`, `LineClosed`, `LocalError`."""
        room = self._rooms.setdefault(peer, trio.CapacityLimiter(LINES_PER_PEER))
        async with room:
            idle = self._idle.get(peer)
            if idle:
                with suppress(LineClosed):
                    await self._over(peer, idle.pop()[1], download)
                    return
            await self._over(peer, await self._connect(peer), download)

    async def _over(self, peer: bytes, line: Line, download: Download) -> None:
        try:
            await pull(line, download)
        except BaseException:
            # Also after a denial: what else the peer may still be sending is nobody's business to sort out.
            await line.aclose()
            raise
        self._idle.setdefault(peer, []).append((trio.current_time(), line))

    async def run(self) -> None:
        """Close idle lines until cancelled, and then all."""
        try:
            while True:
                await trio.sleep(IDLE_S)
                await self._close(trio.current_time() - IDLE_S)
        finally:
            with trio.CancelScope(shield=True):
                await self._close(trio.current_time())

    async def _close(self, before_s: float) -> None:
        for idle in list(self._idle.values()):
            old = [line for since, line in idle if since <= before_s]
            idle[:] = [(since, line) for since, line in idle if since > before_s]
            for line in old:
                await line.aclose()
