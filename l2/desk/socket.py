"""A WebSocket from the client's side, over a stream that it closes in any case. Used by a desk, and by a hub's front.

trio-websocket leaves a stream open whose other end closed first, and waits for ever for a handshake that nobody ends.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio
from trio_websocket import ConnectionRejected, WebSocketConnection, wrap_client_stream

__all__ = ["Stream", "beside", "open_socket"]

Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]

OPEN_S = 10.0  # for a hospital that is busy to accept
CLOSE_S = 5.0
ANSWER_BYTES_MAX = 1024 * 1024  # twenty thousand drafts, each in a stretch of its own


@asynccontextmanager
async def open_socket(
    stream: Stream, host: str, target: str, authorization: str, *, waiting_max: int
) -> AsyncIterator[WebSocketConnection]:
    """At most so many messages wait to be taken. Raises `ConnectionRejected`, and `TooSlowError` where nobody accepts;
    what is raised inside is raised as it is."""
    rejected: list[ConnectionRejected] = []
    socket: WebSocketConnection | None = None
    error: Exception | None = None
    async with stream:
        try:
            async with trio.open_nursery() as nursery:
                with trio.move_on_after(OPEN_S):
                    socket = await wrap_client_stream(
                        nursery,
                        stream,
                        host,
                        target,
                        extra_headers=[(b"authorization", authorization.encode())],
                        message_queue_size=waiting_max,
                        max_message_size=ANSWER_BYTES_MAX,
                    )
                if socket is not None:
                    try:
                        yield socket
                    except Exception as raised:
                        error = raised
                    with trio.move_on_after(CLOSE_S):
                        await socket.aclose()
                nursery.cancel_scope.cancel()
        except* ConnectionRejected as group:
            rejected += [one for one in group.exceptions if isinstance(one, ConnectionRejected)]
    if rejected or error is not None:
        raise error or rejected[0]
    if socket is None:
        raise trio.TooSlowError


@asynccontextmanager
async def beside(task: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run a task beside what is done inside; what is raised there is raised as it is, and in no group."""
    error: Exception | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(task)
        try:
            yield
        except Exception as raised:
            error = raised
        nursery.cancel_scope.cancel()
    if error is not None:
        raise error
