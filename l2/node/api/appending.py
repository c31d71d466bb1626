"""The append stream: what a POST of drafts asks, message after message over one WebSocket, without the requests around.

Each message is the body of such a POST, each answer what it would have been answered, in the order of the messages. One
task queues the entries of a message after those of the one before; one waits for what became of each and says so.
Beyond `UNDER_WAY_MAX` messages nothing is read until answers are taken. Whoever goes away is answered no more; what was
queued is written. docs/decisions/append-stream.md.
"""

from dataclasses import dataclass

import msgspec
import trio
from starlette.types import Message
from starlette.websockets import WebSocket

from l1.ground.faults import Fault, LocalError, Refused, require
from l1.serving.sockets import CLOSE_S, close
from l2.desk.drafts import DRAFTS_MAX, UNDER_WAY_MAX, Draft, Wait, decode_drafts
from l2.node.api.refusals import answer_to
from l2.node.exchange import Exchange
from l2.node.exchange.appending import Appended
from l2.node.keeper import Keeper
from l2.protocol.phases import Phase

__all__ = ["AppendStreams", "drafts_of"]

STREAMS_MAX = 256  # of one hospital: each may hold some messages of 4 MiB


def drafts_of(body: bytes) -> tuple[Draft, ...]:
    """The drafts of a body or of a message. Raises `Refused`."""
    drafts = decode_drafts(body)
    require(len(drafts) <= DRAFTS_MAX, Fault.TOO_LARGE, f"{len(drafts)} drafts; at most {DRAFTS_MAX} go at once")
    return drafts


@dataclass(frozen=True)
class _End:
    """Why the hospital ends a stream: a code of RFC 6455, section 7.4, and a reason."""

    code: int
    reason: str


_STOPPED = _End(1001, "the hospital stops")
_SETTLED = _End(1000, "the channel is settled")
_NOT_BINARY = _End(1003, "drafts are sent as binary messages")
_MALFORMED = _End(1007, "the message does not decode")
_TOO_LARGE = _End(1009, "the message is too large")
_FAILED = _End(1011, "the hospital failed inside")

_Answer = Appended | Exception | _End
"""What is to be said next: what becomes of entries, why there are none, or that there is nothing more."""


class AppendStreams:
    """The open streams of one hospital."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._open = 0

    def check_room(self) -> None:
        """Raises `LocalError` while there are as many as we serve."""
        if self._open >= STREAMS_MAX:
            raise LocalError(f"{STREAMS_MAX} append streams are open already", "Close one of them.")

    async def serve(self, socket: WebSocket, keeper: Keeper, wait: Wait) -> None:
        """One stream, to its end."""
        self._open += 1
        try:
            await socket.accept()
            await _Stream(socket, self._exchange, keeper, wait).run()
        finally:
            self._open -= 1


class _Stream:
    """One of them. `_end` is what its client is told at its end."""

    def __init__(self, socket: WebSocket, exchange: Exchange, keeper: Keeper, wait: Wait) -> None:
        self._socket, self._exchange, self._keeper, self._wait = socket, exchange, keeper, wait
        self._end = _STOPPED

    async def run(self) -> None:
        # With the message whose entries are being queued, and that which is being answered, these are all.
        outbox, inbox = trio.open_memory_channel[_Answer](UNDER_WAY_MAX - 2)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read, outbox, nursery.cancel_scope)
                nursery.start_soon(self._until_settled, nursery.cancel_scope)
                await self._answer(inbox)
                nursery.cancel_scope.cancel()
        except Exception:
            self._end = _FAILED
            raise
        finally:
            is_stopping = self._end is _STOPPED  # then nothing is read any more, a client's goodbye least of all
            await close(self._socket, self._end.code, self._end.reason, wait_s=0 if is_stopping else CLOSE_S)

    async def _read(self, outbox: trio.MemorySendChannel[_Answer], scope: trio.CancelScope) -> None:
        """Until the client goes away, or sends what no client sends."""
        while (message := await self._socket.receive())["type"] == "websocket.receive":
            try:
                drafts = _drafts_in(message)
            except Refused as refused:
                await outbox.send(refused)
                await outbox.send(_end_after(message, refused))
                break
            await outbox.send(await self._queue(drafts))
        else:
            scope.cancel()

    async def _queue(self, drafts: tuple[Draft, ...]) -> Appended | Exception:
        try:
            return await self._exchange.queue_drafts(self._keeper.channel.id, drafts)
        except Exception as error:  # as with a POST: it is answered, and the next one may fare better
            return error

    async def _answer(self, inbox: trio.MemoryReceiveChannel[_Answer]) -> None:
        async for answer in inbox:
            if isinstance(answer, _End):
                self._end = answer
                return
            await self._socket.send_text((await self._said(answer)).decode())

    async def _said(self, answer: Appended | Exception) -> bytes:
        if isinstance(answer, Appended):
            try:
                return msgspec.json.encode(await answer.written(self._wait))
            except Exception as error:
                answer = error
        return bytes((await answer_to(answer, self._socket)).body)

    async def _until_settled(self, scope: trio.CancelScope) -> None:
        settled = trio.Event()

        def hear(keeper: Keeper, _what: str, _detail: str) -> None:
            if keeper.channel.phase is Phase.SETTLED:
                settled.set()

        self._keeper.told.append(hear)
        try:
            hear(self._keeper, "", "")
            await settled.wait()
        finally:
            self._keeper.told.remove(hear)
        self._end = _SETTLED
        scope.cancel()


def _drafts_in(message: Message) -> tuple[Draft, ...]:
    body: bytes | None = message.get("bytes")
    require(body is not None, Fault.MALFORMED, _NOT_BINARY.reason)
    assert body is not None
    return drafts_of(body)


def _end_after(message: Message, refused: Refused) -> _End:
    if message.get("bytes") is None:
        return _NOT_BINARY
    return _TOO_LARGE if refused.fault is Fault.TOO_LARGE else _MALFORMED
