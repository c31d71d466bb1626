"""A hospital whose append streams are asked by clients that say, and keep silent about, what they like."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from l2.desk import words
from l2.desk.desk import Desk
from l2.desk.drafts import Draft, Wait, WithdrawDraft, encode_drafts
from l2.desk.socket import open_socket
from l2.node.api import handlers
from l2.node.api.appending import AppendStreams
from l2.node.exchange import Exchange
from l2.node.exchange.appending import Appended
from tests.unit.l2.node.api.world import TOKEN, World, open_world


@pytest.fixture(name="_soon")
async def soon() -> AsyncIterator[None]:
    """No test waits for ever."""
    with trio.fail_after(60):
        yield


def drafts(number: int) -> bytes:
    return encode_drafts([WithdrawDraft(number)])


def written(number: int) -> words.Written:
    return words.Written(first=number, last=number, written=1)


class Queue:
    """Stands for the exchange: what was queued, in its order; each is answered once it is told to be."""

    def __init__(self) -> None:
        self.queued: list[int] = []
        self.told: dict[int, trio.Event] = {}
        self.errors: dict[int, Exception] = {}
        self.waits: set[str] = set()
        self.is_prompt = True
        self.streams: AppendStreams | None = None
        self.refused: tuple[words.RefusedDraft, ...] = ()

    @property
    def open(self) -> int:
        """Streams that the hospital serves."""
        assert self.streams is not None
        return self.streams._open

    async def queue_drafts(self, channel: bytes, drafts: Sequence[Draft]) -> Appended:
        number = drafts[0].consent  # type: ignore[union-attr]
        assert isinstance(number, int)
        if number in self.errors:
            raise self.errors[number]
        self.queued.append(number)
        self.told.setdefault(number, trio.Event())
        return _Queued(self, number)


class _Queued(Appended):
    def __init__(self, queue: Queue, number: int) -> None:
        self._queue, self._number = queue, number

    async def written(self, wait: Wait) -> words.Written:
        self._queue.waits.add(wait)
        if not self._queue.is_prompt:
            await self._queue.told[self._number].wait()
        return msgspec.structs.replace(written(self._number), refused=self._queue.refused)


@asynccontextmanager
async def open_hospital(folder: Path) -> AsyncIterator[tuple[World, Queue, Desk]]:
    with open_world(folder) as world:
        queue = Queue()
        world.exchange.queue_drafts = queue.queue_drafts  # type: ignore[method-assign]

        def streams(exchange: Exchange) -> AppendStreams:
            queue.streams = AppendStreams(exchange)
            return queue.streams

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(handlers, "AppendStreams", streams)
            async with world.desk() as desk:
                yield world, queue, desk


async def connected(desk: Desk) -> trio.SocketStream:
    host, _, port = desk.url.removeprefix("http://").partition(":")
    return await trio.open_tcp_stream(host, int(port))


@asynccontextmanager
async def raw(desk: Desk, channel: str, query: str = "", token: str = TOKEN) -> AsyncIterator[WebSocketConnection]:
    """A client that says what it likes."""
    stream = await connected(desk)
    target = f"/v1/channels/{channel}/entries/stream{query}"
    async with open_socket(stream, "desk", target, f"Bearer {token}", waiting_max=1_000) as socket:
        yield socket


async def closed_with(socket: WebSocketConnection) -> tuple[int, str | None]:
    with pytest.raises(ConnectionClosed) as closed:
        await socket.get_message()
    assert closed.value.reason is not None
    return closed.value.reason.code, closed.value.reason.reason


HANDSHAKE = (
    "GET /v1/channels/{channel}/entries/stream HTTP/1.1\r\nhost: desk\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    "sec-websocket-key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nsec-websocket-version: 13\r\n"
    "sec-websocket-extensions: permessage-deflate\r\nauthorization: Bearer " + TOKEN + "\r\n\r\n"
)


@asynccontextmanager
async def shaken(desk: Desk, channel: str) -> AsyncIterator[trio.SocketStream]:
    """A connection on which a stream is open, and whose client reads nothing unasked."""
    async with await connected(desk) as line:
        await line.send_all(HANDSHAKE.format(channel=channel).encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += await line.receive_some()
        assert answer.startswith(b"HTTP/1.1 101")
        assert b"sec-websocket-extensions" not in answer.lower()  # 64 KiB could hold 64 MiB
        yield line


def frame(body: bytes, first: int = 0x82) -> bytes:
    """As a client sends one, under a mask that hides nothing."""
    assert len(body) < 126
    return bytes([first, 0x80 | len(body)]) + bytes(4) + body


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await trio.lowlevel.checkpoint()
