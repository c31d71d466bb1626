"""The workers' events as one stream: whole events of each, as they come. A worker that ended is listened to again."""

from collections.abc import AsyncIterator, Sequence

import httpx
import msgspec
import trio
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from l1.ground.faults import LocalError
from l2.node.api.streams import INBOX_EVENTS_MAX, LISTENERS_MAX
from l2.node.hub.workers import Workers

__all__ = ["Streams"]

AGAIN_S = 0.5
EVENT_BYTES_MAX = 64 * 1024  # an event has some hundred
LISTENING = b": listening"
_END = b"\n\n"
_LOST = b'event: lost\ndata: {"what":"lost","channel":"","detail":"this listener was too slow"}'


class Streams:
    """The open streams of a hub."""

    def __init__(self, workers: Workers, clients: Sequence[httpx.AsyncClient]) -> None:
        self._workers, self._clients = workers, clients
        self.open = 0

    def listen(self) -> StreamingResponse:
        """Events from now on. Raises `LocalError` while there are as many listeners as we serve."""
        if self.open >= LISTENERS_MAX:
            raise LocalError(f"{LISTENERS_MAX} desks listen already", "Close one of their streams.")
        return _Joined(self)

    async def pump(
        self,
        number: int,
        outbox: trio.MemorySendChannel[bytes],
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """One worker's events, until cancelled. Started once it listens, or is known not to be there."""
        has_started = False
        while True:
            was_heard = False
            try:
                self._workers.check_ready(number)
                async with self._clients[number].stream("GET", "/v1/events", timeout=None) as answer:
                    async for event in _events(answer):
                        was_heard = True
                        if not has_started:
                            has_started = True
                            task_status.started()
                        if event != LISTENING:
                            outbox.send_nowait(event)
            except (httpx.HTTPError, LocalError):
                pass  # it has ended, or is being started again
            if was_heard:
                outbox.send_nowait(_missed(number))
            if not has_started:
                has_started = True
                task_status.started()
            await trio.sleep(AGAIN_S)

    @property
    def count(self) -> int:
        return self._workers.count


async def _events(answer: httpx.Response) -> AsyncIterator[bytes]:
    rest = b""
    async for piece in answer.aiter_raw():
        *whole, rest = (rest + piece).split(_END)
        for event in whole:
            yield event
        if len(rest) > EVENT_BYTES_MAX:
            return


def _missed(number: int) -> bytes:
    """News that nobody heard are not told; that there may have been some is."""
    detail = f"worker {number} ended: what happens until it runs again is not told"
    return b"event: news\ndata: " + msgspec.json.encode({"what": "worker", "channel": "", "detail": detail})


class _Joined(StreamingResponse):
    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._outbox, self._inbox = trio.open_memory_channel[bytes](INBOX_EVENTS_MAX)
        super().__init__(self._all(), media_type="text/event-stream")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._streams.open += 1
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._pump_all)
                await super().__call__(scope, receive, send)
                nursery.cancel_scope.cancel()
        finally:
            self._streams.open -= 1

    async def _pump_all(self) -> None:
        """Say that we listen once all do. A listener that does not keep up is told so and let go."""
        try:
            async with trio.open_nursery() as nursery:
                for number in range(self._streams.count):
                    await nursery.start(self._streams.pump, number, self._outbox)
                self._outbox.send_nowait(LISTENING)
        except* trio.WouldBlock:
            self._outbox.close()

    async def _all(self) -> AsyncIterator[bytes]:
        async for event in self._inbox:
            yield event + _END
        yield _LOST + _END
