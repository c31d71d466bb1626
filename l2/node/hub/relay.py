"""The desk of a hub: the same API as one hospital's. Each question goes to the worker that can answer it, or to all.

It holds the token and no key; it looks into a question only as far as to find the channel that it is about. What a
worker answers is passed on as it comes, byte for byte. While a worker is being started again, questions to it are
refused: half a list would not be told from a whole one. `status` alone answers without it, and says so.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import structlog
import trio
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from l1.ground.faults import LocalError, Refused
from l1.ground.limits import HASH_BYTES, SIZE_MAX
from l1.serving.answers import json_answer
from l1.serving.figures import FIGURES_TYPE
from l1.serving.requests import body_of, number
from l2.desk import words
from l2.desk.problem import error_from
from l2.desk.watch_words import ProofShown
from l2.link import slot_of
from l2.node.api.asking import WORD_BYTES_MAX
from l2.node.api.endpoints import ENDPOINTS, Endpoint
from l2.node.api.handlers import ENTRIES_PER_ANSWER
from l2.node.api.openapi import document
from l2.node.api.refusals import HANDLERS, refusal
from l2.node.api.server import DOCUMENT, Door, check_token, routes
from l2.node.hub import merging
from l2.node.hub.appending import pass_on
from l2.node.hub.routes import ROUTES, Where
from l2.node.hub.streams import Streams
from l2.node.hub.worker import socket_of
from l2.node.hub.workers import WorkerAway, Workers
from l2.node.parts import home_of_slot
from l2.protocol.proof_file import proof_from_json

__all__ = ["Relay", "make_front"]

ANSWER_S = 130.0  # a little more than a desk waits
LIST_S = 60.0  # for what waits for no block and no peer: before the desk gives up, and does not hear why
STATUS_S = 5.0  # a worker that hangs is to be told of, not waited for
CONNECTIONS_MAX = 256  # to one worker
_ASKED = {b"authorization", b"content-type", b"content-length", b"x-interward-name", b"x-interward-label"}
_ANSWERED = ("content-type", "content-length")

log = structlog.get_logger()

Handler = Callable[[Request], Awaitable[Response]]


class _Named(msgspec.Struct):
    """A question in JSON that names a channel, whatever else it says."""

    channel: str


class _Shared(msgspec.Struct):
    share: _Named


class _Passed(StreamingResponse):
    """A worker's answer on its way; whoever goes away in the middle leaves nothing open."""

    def __init__(self, answer: httpx.Response) -> None:
        self._answer, self._pieces = answer, answer.aiter_raw()
        kept = {name: answer.headers[name] for name in _ANSWERED if name in answer.headers}
        super().__init__(self._pieces, status_code=answer.status_code, headers=kept)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except httpx.TransportError as error:  # what was not finished is closed: half an answer is seen to be one
            log.warning("a worker's answer was cut", path=scope["path"], why=str(error) or type(error).__name__)
        finally:
            with trio.CancelScope(shield=True):
                if isinstance(self._pieces, AsyncGenerator):
                    await self._pieces.aclose()
                await self._answer.aclose()


class WorkerRefused(LocalError):  # noqa: N818 - it says what is so
    """What a worker refused with, to be passed on as it is."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__(str(error_from(answer.status_code, answer.content)))
        self.answer = answer


class Relay:
    """The handlers, over the workers. Close it when done."""

    def __init__(self, workers: Workers, token: str) -> None:
        self._workers, self._token = workers, token
        self._clients = [self._client(number) for number in range(workers.count)]
        self._streams = Streams(workers, self._clients)

    def _client(self, number: int) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(
                uds=str(socket_of(self._workers.sockets, number)),
                limits=httpx.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX),
            ),
            base_url=f"http://worker-{number}",
            headers={"authorization": f"Bearer {self._token}"},
            timeout=httpx.Timeout(ANSWER_S, pool=None),
        )

    async def aclose(self) -> None:
        for client in self._clients:
            await client.aclose()

    def handler_of(self, endpoint: Endpoint) -> Handler | Callable[[WebSocket], Awaitable[None]]:
        """What answers an endpoint."""
        where = ROUTES[endpoint.handler]
        if endpoint.is_stream:
            assert where is Where.PATH
            return self._stream
        if where is Where.HERE:
            made: Handler = getattr(self, endpoint.handler.rpartition(".")[2])
            return made
        return {
            Where.PATH: self._by_path,
            Where.BODY: self._by_body,
            Where.SHARE: self._by_share,
            Where.QUERY: self._by_query,
            Where.ALL: self._joined,
            Where.FIRST: self._first,
        }[where]

    # -- to one worker

    def _home(self, channel: str) -> int:
        """The home of a channel in hex; what is none goes to the first worker, which says so."""
        try:
            named = bytes.fromhex(channel)
        except ValueError:
            return 0
        return home_of_slot(slot_of(named), self._workers.count) if len(named) == HASH_BYTES else 0

    async def _pass(self, request: Request, home: int, body: bytes | None = None) -> Response:
        """Ask one worker as we were asked, and answer as it does. Raises `WorkerAway`."""
        self._workers.check_ready(home)
        client = self._clients[home]
        headers = [(name, value) for name, value in request.headers.raw if name in _ASKED]
        async with aclosing(request.stream()) as pieces:
            content = pieces if body is None and request.method != "GET" else body
            asked = client.build_request(request.method, _target(request), headers=headers, content=content)
            try:
                return _Passed(await client.send(asked, stream=True))
            except httpx.TransportError as error:
                raise _gone(home, error) from None

    async def _by_path(self, request: Request) -> Response:
        return await self._pass(request, self._home(request.path_params["channel"]))

    async def _stream(self, socket: WebSocket) -> None:
        """A stream to the home of the channel in its path. Raises `WorkerAway`."""
        home = self._home(socket.path_params["channel"])
        self._workers.check_ready(home)
        try:
            await pass_on(socket, socket_of(self._workers.sockets, home), _target(socket), self._token)
        except (OSError, trio.TooSlowError) as error:
            raise _gone(home, error) from None

    async def _by_body(self, request: Request) -> Response:
        body = await body_of(request, WORD_BYTES_MAX)
        try:
            home = self._home(msgspec.json.decode(body, type=_Named).channel)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            home = 0
        return await self._pass(request, home, body)

    async def _by_share(self, request: Request) -> Response:
        body = await body_of(request, WORD_BYTES_MAX)
        try:
            home = self._home(msgspec.json.decode(body, type=_Shared).share.channel)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            home = 0
        return await self._pass(request, home, body)

    async def _first(self, request: Request) -> Response:
        return await self._pass(request, 0)

    async def learn(self, request: Request) -> Response:
        body = await body_of(request, WORD_BYTES_MAX)
        try:
            channel = proof_from_json(msgspec.json.decode(body, type=ProofShown).proof.encode()).channel
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, Refused, LocalError):
            return await self._pass(request, 0, body)
        return await self._pass(request, self._home(channel.hex()), body)

    async def content(self, request: Request) -> Response:
        """A received record is opened where its channel is, for there the access is written."""
        answer = await self._ask(0, f"/v1/records/{quote(request.path_params['record'], safe='')}")
        channel = msgspec.json.decode(answer, type=words.RecordView).channel
        return await self._pass(request, 0 if channel is None else self._home(channel))

    async def open_channel(self, request: Request) -> Response:
        """By the worker that has the fewest, of those that are there: it draws an id that is at home with it."""
        found = await self._ask_who_is_there("/v1/status")
        counts = {home: msgspec.json.decode(answer, type=words.Status).channels for home, answer in found.items()}
        return await self._pass(request, min(counts, key=lambda home: counts[home]))

    # -- to all workers

    async def _ask(self, home: int, target: str, within_s: float = LIST_S) -> bytes:
        """Raises `WorkerAway`, and `WorkerRefused`."""
        self._workers.check_ready(home)
        try:
            with trio.fail_after(within_s):
                answer = await self._clients[home].get(target)
        except (httpx.TransportError, trio.TooSlowError) as error:
            raise _gone(home, error) from None
        if answer.is_error:
            raise WorkerRefused(answer)
        return answer.content

    async def _ask_all(self, target: str) -> list[bytes]:
        """All at once. Raises as `_ask`."""
        return [_said(answer) for answer in await self._answers(target, LIST_S)]

    async def _answers(self, target: str, within_s: float) -> list[bytes | WorkerAway | WorkerRefused]:
        """Each worker's, in their order."""
        found: dict[int, bytes | WorkerAway | WorkerRefused] = {}

        async def ask(home: int) -> None:
            try:
                found[home] = await self._ask(home, target, within_s)
            except (WorkerAway, WorkerRefused) as why:
                found[home] = why

        async with trio.open_nursery() as nursery:
            for home in range(self._workers.count):
                nursery.start_soon(ask, home)
        return [found[home] for home in range(self._workers.count)]

    async def _joined(self, request: Request) -> Response:
        return _json(merging.join(await self._ask_all(_target(request))))

    async def _by_query(self, request: Request) -> Response:
        channel = request.query_params.get("channel")
        return await self._pass(request, self._home(channel)) if channel else await self._joined(request)

    async def audit_log(self, request: Request) -> Response:
        if channel := request.query_params.get("channel"):
            return await self._pass(request, self._home(channel))
        number(request, "from", 0, SIZE_MAX)
        most = number(request, "count", 100, ENTRIES_PER_ANSWER)
        return _json(merging.join_log(await self._ask_all(_target(request)), most))

    async def retention(self, request: Request) -> Response:
        return json_answer(merging.join_retention(await self._ask_all(_target(request))))

    async def affected(self, request: Request) -> Response:
        return json_answer(merging.join_affected(await self._ask_all(_target(request))))

    async def towers(self, request: Request) -> Response:
        return json_answer(merging.join_towers(await self._ask_all(_target(request))))

    async def _ask_who_is_there(self, target: str) -> dict[int, bytes]:
        """The answers of the workers that give one soon. Raises `WorkerAway` where none does."""
        answers = await self._answers(target, STATUS_S)
        found = {home: _said(answer) for home, answer in enumerate(answers) if not isinstance(answer, WorkerAway)}
        if not found:
            raise WorkerAway("no worker is ready", "Ask again in some seconds; the hospital's log says why.")
        return found

    async def status(self, request: Request) -> Response:
        return json_answer(merging.join_status(await self._ask_who_is_there(_target(request)), self._workers.views()))

    async def metrics(self, request: Request) -> Response:
        found = await self._ask_who_is_there(_target(request))
        return Response(merging.join_figures(found), media_type=FIGURES_TYPE)

    async def events(self, _: Request) -> Response:
        return self._streams.listen()


def _target(request: HTTPConnection) -> str:
    """Path and query, to the byte as we were asked: a path that was unquoted once is not to be unquoted again."""
    path: bytes = request.scope["raw_path"]
    query: bytes = request.scope["query_string"]
    return (path + (b"?" + query if query else b"")).decode("latin-1")


def _said(answer: bytes | WorkerAway | WorkerRefused) -> bytes:
    """Raises what stands for no answer."""
    if isinstance(answer, bytes):
        return answer
    raise answer


def _json(content: bytes) -> Response:
    return Response(content, media_type="application/json")


def _gone(home: int, error: Exception) -> WorkerAway:
    cause = f"worker {home} does not answer ({error or type(error).__name__})"
    return WorkerAway(cause, "It is started again if it has ended; what it had acknowledged is kept.")


async def _on_refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, WorkerRefused)
    answer = error.answer
    return Response(answer.content, status_code=answer.status_code, media_type=answer.headers.get("content-type"))


async def _on_away(_: Request, error: Exception) -> Response:
    assert isinstance(error, WorkerAway)
    return refusal(error, 503)


def make_front(relay: Relay, *, token: str) -> Starlette:
    """The application. Raises `LocalError` for a token that could be guessed."""
    check_token(token)
    said = document(ENDPOINTS)

    async def openapi(_: Request) -> Response:
        return json_answer(said)

    handlers: dict[Any, Any] = {**HANDLERS, WorkerAway: _on_away, WorkerRefused: _on_refused}
    all_routes = [Route(DOCUMENT, openapi), *routes(ENDPOINTS, relay.handler_of)]
    return Starlette(routes=all_routes, middleware=[Middleware(Door, token=token)], exception_handlers=handlers)
