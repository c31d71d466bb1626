"""The desk's server: the ASGI application over a hospital, the token at its door, and its place in the process."""

import hmac
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from operator import attrgetter
from typing import Any

import lmdb
import trio
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketState

from l1.ground.faults import Fault, LocalError, Refused
from l1.serving.answers import json_answer
from l1.serving.listening import serve
from l1.serving.requests import body_of
from l2.desk.drafts import DRAFTS_BYTES_MAX
from l2.node.api.endpoints import ENDPOINTS, Endpoint
from l2.node.api.handlers import Handlers
from l2.node.api.openapi import document
from l2.node.api.refusals import HANDLERS, answer_to, on_failed_disk, refusal
from l2.node.exchange import Exchange
from l2.node.hospital import Hospital
from l2.node.operations import Operations

__all__ = ["Door", "SIBLINGS", "check_token", "make_app", "routes", "serve_desk"]

DOCUMENT = "/openapi.json"  # the only page that needs no token: it is the same for every hospital
TOKEN_CHARS_MIN = 16
SIBLINGS = "/workers/{what}"  # where workers of a hub ask one another; their front relays nothing to it
QUESTION_BYTES_MAX = 64 * 1024 * 1024  # copies of a record that went to a hundred thousand patients


class Door:
    """Lets in who shows the token. Compared in constant time, before anything of the request is read."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan" and scope["path"] != DOCUMENT and not self._knows(scope):
            said = refusal(Refused(Fault.NOT_AUTHORISED, "the desk's token is missing or wrong"), 401)
            said.headers["www-authenticate"] = "Bearer"
            await said(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _knows(self, scope: Scope) -> bool:
        shown = [value for name, value in scope["headers"] if name == b"authorization"]
        return len(shown) == 1 and hmac.compare_digest(shown[0], self._expected)


def check_token(token: str) -> None:
    """Raises `LocalError` for a token that could be guessed."""
    if len(token) < TOKEN_CHARS_MIN:
        raise LocalError("the desk's token is too short", f"Put {TOKEN_CHARS_MIN} letters or more into desk.token.")


def routes(endpoints: Sequence[Endpoint], handler_of: Callable[[Endpoint], Any]) -> list[BaseRoute]:
    """The way to each endpoint's handler."""
    return [
        WebSocketRoute(endpoint.path, denying(handler_of(endpoint)))
        if endpoint.is_stream
        else Route(endpoint.path, handler_of(endpoint), methods=[endpoint.method])
        for endpoint in endpoints
    ]


def denying(handler: Callable[[WebSocket], Awaitable[None]]) -> Callable[[WebSocket], Awaitable[None]]:
    """The same, where what goes wrong before a socket is accepted is answered as any other question's refusal."""

    async def handle(socket: WebSocket) -> None:
        try:
            await handler(socket)
        except Exception as error:
            if socket.application_state is not WebSocketState.CONNECTING:
                raise
            await socket.send_denial_response(await answer_to(error, socket))

    return handle


def make_app(hospital: Hospital, exchange: Exchange, operations: Operations, *, token: str) -> Starlette:
    """The application. Raises `LocalError` for a token that could be guessed."""
    check_token(token)
    handlers = Handlers(hospital, exchange, operations)
    said = document(ENDPOINTS)

    async def openapi(_: Request) -> Response:
        return json_answer(said)

    def handler_of(endpoint: Endpoint) -> Any:
        return attrgetter(endpoint.handler)(handlers)

    async def ask(request: Request) -> Response:
        body = await body_of(request, QUESTION_BYTES_MAX)
        return Response(await hospital.siblings.answer(request.path_params["what"], body))

    asked = [Route(SIBLINGS, ask, methods=["POST"])] if hospital.part.workers > 1 else []
    return Starlette(
        routes=[Route(DOCUMENT, openapi), *routes(ENDPOINTS, handler_of), *asked],
        middleware=[Middleware(Door, token=token)],
        exception_handlers={**HANDLERS, lmdb.Error: on_failed_disk(hospital.end)},
    )


async def serve_desk(
    hospital: Hospital,
    exchange: Exchange,
    operations: Operations,
    *,
    listener: socket.socket,
    token: str,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled. The listener is handed over and closed."""
    app = make_app(hospital, exchange, operations, token=token)
    async with trio.open_nursery() as nursery:
        serving = partial(serve, socket_bytes_max=DRAFTS_BYTES_MAX)
        await nursery.start(serving, app, listener, trio.sleep_forever)
        task_status.started()
