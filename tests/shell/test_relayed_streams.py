"""Append streams through the front of a hub: they reach the home of their channel whole, and end as it ends them."""

from pathlib import Path
from socket import AF_UNIX

import msgspec
import pytest
import trio
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from l1.ground.faults import Fault, LocalError, Refused
from l1.serving import listening
from l1.serving.connections import Connection
from l1.serving.sockets import close
from l2.desk import words
from l2.desk.appending import AppendStream
from l2.desk.desk import Desk
from l2.desk.drafts import WithdrawDraft, decode_drafts
from l2.desk.problem import error_of
from tests.shell.test_relay import TOKEN, folder, open_front

__all__ = ["folder"]

CHANNELS = ["00" * 32, "01" * 32]  # at home with worker 0, with worker 1


def written(number: int, draft: int) -> str:
    return msgspec.json.encode(words.Written(first=draft, last=number, written=1)).decode()


async def obey(socket: WebSocket) -> None:
    """A worker that writes what it is told to."""
    await socket.accept()
    number = socket.app.state.number
    async for message in socket.iter_bytes():
        (draft,) = decode_drafts(message)
        assert isinstance(draft, WithdrawDraft)
        await socket.send_text(written(number, draft.consent))


async def append(stream: AppendStream, number: int) -> words.Written:
    return await stream.append([WithdrawDraft(number)])


async def test_each_stream_reaches_the_home_of_its_channel(folder: Path) -> None:
    asked: list[str] = []

    async def note(socket: WebSocket) -> None:
        asked.append(f"{socket.url.path}?{socket.url.query}")
        await obey(socket)

    async with open_front(folder) as front, Desk(front.url, TOKEN) as desk:
        front.talks[:] = [note, note]
        for home, channel in enumerate(CHANNELS):
            async with desk.appending(channel, wait="durable") as stream:
                for number in range(20):
                    answer = await append(stream, number)
                    assert (answer.first, answer.last) == (number, home)
    assert asked == [f"/v1/channels/{channel}/entries/stream?wait=durable" for channel in CHANNELS]


async def test_what_a_worker_does_not_open_is_refused_in_its_words(folder: Path) -> None:
    async def refuse(socket: WebSocket) -> None:
        body = error_of(Refused(Fault.UNKNOWN_CHANNEL, "no such channel"))
        await socket.send_denial_response(Response(body, 404))

    async with open_front(folder) as front, Desk(front.url, TOKEN) as desk:
        front.talks[:] = [refuse, refuse]
        with pytest.raises(Refused, match="no such channel"):
            async with desk.appending(CHANNELS[0]):
                pass


async def test_a_stream_ends_as_its_worker_ends_it(folder: Path) -> None:
    async def settle(socket: WebSocket) -> None:
        await socket.accept()
        await socket.receive()
        await close(socket, 1000, "the channel is settled")

    async with open_front(folder) as front, Desk(front.url, TOKEN) as desk:
        front.talks[:] = [settle, settle]
        async with desk.appending(CHANNELS[1]) as stream:
            with pytest.raises(LocalError, match="the channel is settled"):
                await append(stream, 1)


async def test_a_worker_that_ends_without_a_word_is_told_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[trio.SocketStream] = []

    class Noted(Connection):
        def __init__(self, stream: trio.SocketStream) -> None:
            super().__init__(stream)
            lines.append(stream)

    async def fall(socket: WebSocket) -> None:
        await socket.accept()
        await socket.receive()
        for line in lines:
            if line.socket.family == AF_UNIX:
                await trio.aclose_forcefully(line)

    monkeypatch.setattr(listening, "Connection", Noted)
    async with open_front(folder) as front, Desk(front.url, TOKEN) as desk:
        front.talks[:] = [fall, fall]
        async with desk.appending(CHANNELS[1]) as stream:
            with pytest.raises(LocalError, match=r"worker does not answer.*Read the log"):
                await append(stream, 1)


async def test_a_worker_that_is_away_or_does_not_accept_is_told_of(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(_: WebSocket) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr("l2.desk.socket.OPEN_S", 1.0)
    async with open_front(folder) as front, Desk(front.url, TOKEN) as desk:
        front.talks[:] = [hang, hang]
        with pytest.raises(LocalError, match="answer"):
            async with desk.appending(CHANNELS[0]):
                pass
        front.workers._all[0].is_ready = False
        with pytest.raises(LocalError, match="worker 0 is being started again"):
            async with desk.appending(CHANNELS[0]):
                pass


async def test_a_worker_hears_that_a_desk_has_gone(folder: Path) -> None:
    ended = trio.Event()

    async def wait(socket: WebSocket) -> None:
        await socket.accept()
        with pytest.raises(WebSocketDisconnect):
            await socket.receive_bytes()
        ended.set()

    async with open_front(folder) as front, Desk(front.url, TOKEN) as desk:
        front.talks[:] = [wait, wait]
        async with desk.appending(CHANNELS[0]):
            pass
        await ended.wait()


async def test_without_the_token_no_worker_is_asked(folder: Path) -> None:
    async with open_front(folder) as front, Desk(front.url, TOKEN + "x") as desk:
        with pytest.raises(Refused, match="token"):
            async with desk.appending(CHANNELS[0]):
                pass
