"""No client holds a server up: not by reading nothing, not by breaking what hypercorn makes of him."""

import pytest
import trio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from trio.testing import MockClock, wait_all_tasks_blocked

from l1.serving import listening
from l1.serving.connections import TAKES_S, Connection
from l1.serving.listening import GRACE_S, bind, serve

ASKED = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


async def much(_: Request) -> Response:
    """More than any buffer between two sockets holds."""
    return Response(bytes(64 * 1024 * 1024))


APP = Starlette(routes=[Route("/", much)])


async def asked(url: str) -> trio.SocketStream:
    stream = await trio.open_tcp_stream("127.0.0.1", int(url.rpartition(":")[2]))
    await stream.send_all(ASKED)
    await wait_all_tasks_blocked(0.01)
    return stream


async def test_who_reads_nothing_does_not_keep_a_server_from_stopping(autojump_clock: MockClock) -> None:
    listener, url = bind("127.0.0.1", 0)
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, APP, listener, stop.wait)
        stream = await asked(url)
        began = trio.current_time()
        stop.set()
    assert trio.current_time() - began <= GRACE_S + 1
    await stream.aclose()


async def test_who_reads_nothing_is_let_go(autojump_clock: MockClock) -> None:
    ours, theirs = await _pair()
    began = trio.current_time()
    await Connection(ours).send_all(bytes(64 * 1024 * 1024))
    assert trio.current_time() - began == pytest.approx(TAKES_S, abs=1)
    with pytest.raises(trio.ClosedResourceError):
        await ours.receive_some()
    await Connection(ours).send_all(b"what is sent to nobody is lost, and noticed where he is read from")
    await theirs.aclose()


async def _pair() -> tuple[trio.SocketStream, trio.SocketStream]:
    ours, theirs = trio.socket.socketpair()
    return trio.SocketStream(ours), trio.SocketStream(theirs)


async def test_an_error_in_one_connection_ends_that_one_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fails(Connection):
        async def receive_some(self, bytes_max: int) -> bytes:
            await super().receive_some(bytes_max)
            raise ZeroDivisionError

    listener, url = bind("127.0.0.1", 0)
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, APP, listener, trio.sleep_forever)
        with monkeypatch.context() as patched:
            patched.setattr(listening, "Connection", Fails)
            async with await asked(url) as stream:
                assert await stream.receive_some() == b""
        async with await asked(url) as stream:
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")
        nursery.cancel_scope.cancel()
