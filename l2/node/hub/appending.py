"""Append streams on their way through the front: each message to the worker, each answer back, one of each at a time.

It reads none of them. Whichever side ends, the other is ended in the same words. docs/decisions/append-stream.md.
"""

from pathlib import Path

import trio
from starlette.responses import Response
from starlette.websockets import WebSocket
from trio_websocket import ConnectionClosed, ConnectionRejected, WebSocketConnection

from l1.serving.sockets import CLOSE_S, close
from l2.desk.socket import open_socket

__all__ = ["pass_on"]

STOPPED = (1001, "the hospital stops")
LOST = (1013, "the channel's worker does not answer: it is started again if it has ended")
_NO_CODES = (1005, 1006)  # what stands for a connection that was cut; never sent


async def pass_on(socket: WebSocket, worker: Path, target: str, token: str) -> None:
    """Relay one stream to its end. Raises `OSError` or `TooSlowError` where the worker does not answer."""
    stream = await trio.open_unix_socket(worker)
    try:
        async with open_socket(stream, "worker", target, f"Bearer {token}", waiting_max=1) as answering:
            await _Passing(socket).run(answering)
    except ConnectionRejected as rejected:
        answer = Response(rejected.body or b"", status_code=rejected.status_code, media_type="application/json")
        await socket.send_denial_response(answer)


class _Passing:
    """A stream that is being relayed."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._end = STOPPED

    async def run(self, worker: WebSocketConnection) -> None:
        await self._socket.accept()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._ask, worker, nursery.cancel_scope)
                await self._answer(worker)
                nursery.cancel_scope.cancel()
        finally:
            await close(self._socket, *self._end, wait_s=0 if self._end is STOPPED else CLOSE_S)

    async def _ask(self, worker: WebSocketConnection, scope: trio.CancelScope) -> None:
        try:
            while (message := await self._socket.receive())["type"] == "websocket.receive":
                body: bytes | None = message.get("bytes")
                await worker.send_message(message["text"] if body is None else body)
        except ConnectionClosed:
            return  # whoever waits for answers hears of it, too, after the last of them
        with trio.move_on_after(CLOSE_S):
            await worker.aclose()
        scope.cancel()

    async def _answer(self, worker: WebSocketConnection) -> None:
        try:
            while True:
                await self._socket.send_text(str(await worker.get_message()))
        except ConnectionClosed as closed:
            why = closed.reason
            self._end = LOST if why is None or why.code in _NO_CODES else (why.code, why.reason or "")
