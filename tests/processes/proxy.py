"""A wire between two processes that can be cut, held, or made to swallow what one end says, while it seems to stand."""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import trio

__all__ = ["Wire", "open_wire"]

CHUNK_BYTES = 65_536
BULK_BYTES = 256 * 1024  # a connection that has answered more carries bodies


class Wire:
    """Forwards every connection to a port on loopback. Made by `open_wire`."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.answered_bytes = 0  # that came from the target, over all connections
        self._scopes: set[trio.CancelScope] = set()
        self._flows = trio.Event()
        self._flows.set()
        self._swallows: bool | None = None
        self._allowed_bytes = math.inf
        self._bulk_flows = trio.Event()
        self._reached: list[tuple[float, trio.Event]] = []

    def allow(self, size: float) -> None:
        """So many bytes more may be answered; then the connections that carry bodies hold until more are allowed."""
        self._allowed_bytes = self.answered_bytes + size
        self._bulk_flows.set()
        self._bulk_flows = trio.Event()

    async def wait_answered(self, size: float) -> None:
        """Wait until so many bytes have been answered in all."""
        came = trio.Event()
        self._reached.append((size, came))
        self._note(0)
        await came.wait()

    def _note(self, size: int) -> None:
        self.answered_bytes += size
        for mark, came in list(self._reached):
            if self.answered_bytes >= mark:
                came.set()
                self._reached.remove((mark, came))

    def cut(self) -> None:
        """Every connection breaks; new ones may be made."""
        for scope in list(self._scopes):
            scope.cancel()

    def hold(self) -> None:
        """Nothing gets through, and nobody is told."""
        self._flows = trio.Event()

    def release(self) -> None:
        self._flows.set()

    def swallow(self, *, answers: bool | None) -> None:
        """From now on what the target says (`answers`), or what is said to it, vanishes, while TCP goes on well at both
        ends; None: no more, for new connections."""
        self._swallows = answers

    async def serve(self, stream: trio.SocketStream) -> None:
        with trio.CancelScope() as scope, suppress(OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            self._scopes.add(scope)
            try:
                await self._flows.wait()
                other = await trio.open_tcp_stream("127.0.0.1", self.target)
                async with stream, other, trio.open_nursery() as nursery:
                    nursery.start_soon(self._pump, stream, other, nursery.cancel_scope)
                    nursery.start_soon(self._pump, other, stream, nursery.cancel_scope, True)
            finally:
                self._scopes.discard(scope)
                await trio.aclose_forcefully(stream)

    async def _pump(
        self, source: trio.SocketStream, sink: trio.SocketStream, scope: trio.CancelScope, answers: bool = False
    ) -> None:
        with suppress(OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            here, swallowed = 0, False
            while data := await source.receive_some(CHUNK_BYTES):
                await self._flows.wait()
                swallowed = swallowed or self._swallows is answers
                if swallowed:
                    continue
                here += len(data)
                while answers and here > BULK_BYTES and self.answered_bytes >= self._allowed_bytes:
                    await self._bulk_flows.wait()
                self._note(len(data) * answers)
                await sink.send_all(data)
        scope.cancel()


@asynccontextmanager
async def open_wire(target: int) -> AsyncIterator[Wire]:
    """A wire to a port; `port` is where it begins."""
    wire = Wire(target)
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        wire.port = listener.socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, wire.serve, [listener])
        try:
            yield wire
        finally:
            nursery.cancel_scope.cancel()
