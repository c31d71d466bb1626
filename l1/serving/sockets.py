"""WebSockets of hypercorn's, bounded: what a client sends costs a few messages of memory, whatever it is.

hypercorn's own reads on past the limit into memory, unpacks 64 KiB into 64 MiB where the client wishes so, forgets its
application where bytes come before the handshake is over, and closes a connection a ping later than it could.
"""

from contextlib import suppress
from copy import copy
from dataclasses import replace
from math import inf
from typing import Any

import trio
from hypercorn.config import Config
from hypercorn.protocol import h2, h11
from hypercorn.protocol.events import Event, Request, StreamClosed
from hypercorn.protocol.ws_stream import FrameTooLargeError, WebsocketBuffer, WSStream
from starlette.websockets import WebSocket, WebSocketState
from wsproto.events import Message, Ping
from wsproto.frame_protocol import CloseReason

__all__ = ["CLOSE_S", "SOCKET_BYTES_MAX", "bound_sockets", "close"]

SOCKET_BYTES_MAX = 64 * 1024  # of a message; who takes larger ones says so
MESSAGES_WAITING_MAX = 1  # for the application: one more is being read, and one is in its hands
CLOSE_S = 2.0  # for a client to answer that a socket is closed
COMPRESSION = b"sec-websocket-extensions"  # the only extension that there is


def bound_sockets() -> None:
    """Have hypercorn make these sockets; it asks nobody which."""
    for protocol in (h11, h2):
        protocol.WSStream = BoundedSocket  # type: ignore[attr-defined]


async def close(socket: WebSocket, code: int, reason: str, *, wait_s: float = CLOSE_S) -> None:
    """Say why a socket is closed, and have the client hear it: what he still sends meanwhile is read and dropped, for
    a connection that is closed before is reset, and what was on its way to him may be lost."""
    if WebSocketState.DISCONNECTED in (socket.client_state, socket.application_state):
        return
    with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_S):
        await socket.close(code, reason)
        with trio.move_on_after(wait_s):
            while (await socket.receive())["type"] == "websocket.receive":
                pass


class _Buffer(WebsocketBuffer):
    """The message that is being read. Of one over the limit a byte more than that is kept: who gets it refuses it."""

    def extend(self, event: "Message[Any]") -> None:
        room = self.max_length + 1 - self.length
        if room > 0:
            with suppress(FrameTooLargeError):
                super().extend(replace(event, data=event.data[:room]))


class BoundedSocket(WSStream):
    """See the module."""

    def __init__(self, app: Any, config: Config, *rest: Any) -> None:
        config = copy(config)
        config.max_app_queue_size = MESSAGES_WAITING_MAX
        super().__init__(app, config, *rest)
        self.buffer = _Buffer(config.websocket_max_message_size)
        self._is_over = trio.Event()

    async def handle(self, event: Event) -> None:
        if isinstance(event, Request):
            headers = [(name, value) for name, value in event.headers if name.lower() != COMPRESSION]
            event = replace(event, headers=headers)
        was_closed = self.closed
        await super().handle(event)
        if self.closed:
            self._is_over.set()
        if self.closed and not was_closed and not isinstance(event, StreamClosed):
            if self.app_put is not None:
                await self.app_put({"type": "websocket.disconnect", "code": CloseReason.PROTOCOL_ERROR.value})
            await self.send(StreamClosed(stream_id=self.stream_id))

    async def _send_pings(self) -> None:
        while not self.closed:
            await self._send_wsproto_event(Ping())
            with trio.move_on_after(self.config.websocket_ping_interval or inf):
                await self._is_over.wait()
