"""The front of a hub over workers that answer, refuse, hang and die: whoever asks hears which, soon and whole."""

import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import trio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from l1.serving.listening import bind, serve
from l2.desk import words
from l2.node.folder import Begun, Config, Folder
from l2.node.hub import relay as module
from l2.node.hub import workers as processes
from l2.node.hub.relay import Relay, make_front
from l2.node.hub.worker import Secrets, socket_of
from l2.node.hub.workers import Workers

TOKEN = "a token that nobody guesses"
FAR_S = 60.0
READY = "import json, time; print(json.dumps({'ready': True}), flush=True); time.sleep(1000)"
PROBLEM = {"error": {"fault": "local", "number": 0, "detail": "no chain", "remedy": "wait"}}

Answer = Callable[[Request], Awaitable[Response]]
Talk = Callable[[WebSocket], Awaitable[None]]


def status(**changes: Any) -> bytes:
    fields: dict[str, Any] = dict.fromkeys(("hospital", "name", "chain", "endpoint", "url"), "ab")
    fields |= dict.fromkeys(("height", "clock_ms", "channels", "records", "started_ms", "line_bytes"), 3)
    return msgspec.json.encode(words.Status(**fields | {"warnings": ()} | changes))


async def echo(request: Request) -> Response:
    """What came: the path to the byte."""
    if request.url.path == "/v1/status":
        return Response(status(), media_type="application/json")
    path = request.scope["raw_path"] + b"?" + request.scope["query_string"]
    return JSONResponse({"path": path.decode(), "worker": request.app.state.number})


async def hang(_: Request) -> Response:
    await trio.sleep_forever()
    raise AssertionError


async def unavailable(_: Request) -> Response:
    return JSONResponse(PROBLEM, status_code=503)


async def half(_: Request) -> Response:
    """An answer whose writer dies in the middle of it."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionResetError

    return StreamingResponse(pieces(), headers={"content-length": "8"})


class Front:
    """Asked over a real socket; each worker answers as it is told to."""

    def __init__(self, url: str, workers: Workers, answers: list[Answer], talks: list[Talk]) -> None:
        self.url, self.workers, self.answers, self.talks = url, workers, answers, talks
        self.http = httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {TOKEN}"}, timeout=FAR_S)

    async def get(self, path: str) -> httpx.Response:
        return await self.http.get(path)


@asynccontextmanager
async def open_front(folder: Path) -> AsyncIterator[Front]:
    secrets = Secrets("00" * 32, "", Begun(Config(name="Hub", chain_url="http://x"), TOKEN))
    workers = Workers(Folder(folder, secrets.begun), secrets, 2, folder, endpoint="x", url="x")
    answers: list[Answer] = [echo, echo]
    talks: list[Talk] = []
    listener, url = bind("127.0.0.1", 0)
    relay = Relay(workers, TOKEN)
    front = Front(url, workers, answers, talks)
    with trio.fail_after(FAR_S):
        async with trio.open_nursery() as nursery:
            for number in range(2):
                await nursery.start(workers.keep, number)
                await nursery.start(serve, _worker(number, answers, talks), _unix(folder, number), trio.sleep_forever)
            await nursery.start(serve, make_front(relay, token=TOKEN), listener, trio.sleep_forever)
            async with front.http:
                yield front
            nursery.cancel_scope.cancel()
    await relay.aclose()


def _worker(number: int, answers: list[Answer], talks: list[Talk]) -> Starlette:
    async def answer(request: Request) -> Response:
        return await answers[number](request)

    async def talk(socket: WebSocket) -> None:
        await talks[number](socket)

    paths = "/{path:path}"
    app = Starlette(routes=[Route(paths, answer, methods=["GET", "POST"]), WebSocketRoute(paths, talk)])
    app.state.number = number
    return app


def _unix(folder: Path, number: int) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(socket_of(folder, number)))
    listener.listen()
    listener.setblocking(False)
    return listener


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(processes, "WORK", (sys.executable, "-c", READY))
    monkeypatch.setattr(module, "STATUS_S", 1.0)
    return tmp_path


async def test_a_status_names_the_worker_that_hangs_and_does_not_wait_for_it(folder: Path) -> None:
    async with open_front(folder) as front:
        front.answers[1] = hang
        said = (await front.get("/v1/status")).json()
        assert [one["state"] for one in said["workers"]] == ["ready", "silent"]
        assert said["warnings"] == ["worker 1 does not answer: its channels wait"]
        assert (await front.get("/metrics")).status_code == 200


async def test_a_list_that_a_worker_does_not_give_is_refused_with_its_number(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LIST_S", 1.0)
    async with open_front(folder) as front:
        front.answers[1] = hang
        answer = await front.get("/v1/consents")
        assert answer.status_code == 503
        assert "worker 1 does not answer" in answer.json()["error"]["detail"]


@pytest.mark.parametrize("path", ["/v1/consents", "/v1/status", "/v1/audit/log", "/v1/records/ab/content"])
async def test_what_a_worker_refuses_with_is_passed_on_as_it_is(folder: Path, path: str) -> None:
    async with open_front(folder) as front:
        front.answers[0] = unavailable
        answer = await front.get(path)
        assert (answer.status_code, answer.json()) == (503, PROBLEM)


@pytest.mark.parametrize("path", ["/v1/records/a%3Fb%2525%23?x=%2F&y=%3F", "/v1/channels/%2e%2e?a", "/v1/keys?"])
async def test_a_path_reaches_the_worker_to_the_byte(folder: Path, path: str) -> None:
    async with open_front(folder) as front:
        assert (await front.get(path)).json()["path"] == (path if "?" in path else path + "?")


async def test_a_record_with_an_odd_name_is_asked_for_by_that_name(folder: Path) -> None:
    asked: list[bytes] = []

    async def first(request: Request) -> Response:
        asked.append(request.scope["raw_path"])
        return await unavailable(request)

    async with open_front(folder) as front:
        front.answers[0] = first
        for name in ("a%3Fb", "..%2F..", "%0A", "%25"):
            assert (await front.get(f"/v1/records/{name}/content")).status_code in (404, 503)
    assert asked == [b"/v1/records/a%3Fb", b"/v1/records/%0A", b"/v1/records/%25"]


async def test_half_an_answer_is_seen_to_be_one_and_is_no_bug_of_ours(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with open_front(folder) as front:
        front.answers[0] = half
        with pytest.raises(httpx.RemoteProtocolError):
            await front.get("/v1/records/ab")
        front.answers[0] = echo
        assert (await front.get("/v1/records/ab")).status_code == 200
    said = capfd.readouterr()
    assert "a worker's answer was cut" in said.out + said.err
    assert "a request failed inside" not in said.out + said.err


async def test_a_channel_is_opened_though_a_worker_is_away(folder: Path) -> None:
    async with open_front(folder) as front:
        front.answers[0] = hang
        answer = await front.http.post("/v1/channels", content=b"{}")
        assert answer.json()["worker"] == 1
        os.kill(front.workers.views()[1].pid, 9)
        while front.workers.views()[1].restarts == 0:  # noqa: ASYNC110 - another process does it
            await trio.sleep(0.01)
        assert (await front.http.post("/v1/channels", content=b"{}")).status_code == 503


async def test_a_listener_hears_that_a_worker_ended_for_it_may_have_missed_something(folder: Path) -> None:
    async def news(request: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            yield b": listening\n\n"
            if request.app.state.number == 0:
                yield b'event: news\ndata: {"what":"x"}\n\n'
            else:
                await trio.sleep_forever()

        return StreamingResponse(pieces())

    async with open_front(folder) as front:
        front.answers[:] = [news, news]
        said = b""
        async with front.http.stream("GET", "/v1/events") as answer:
            async for piece in answer.aiter_raw():
                said += piece
                if b"worker 0 ended" in said:
                    break
        assert said.index(b'{"what":"x"}') < said.index(b'{"what":"worker"')
