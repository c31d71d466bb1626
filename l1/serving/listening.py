"""Listening: a bound socket, hypercorn on it, an orderly end. It knows no application."""

import logging
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import structlog
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState

from l1.ground.faults import LocalError
from l1.serving.connections import Connection
from l1.serving.sockets import SOCKET_BYTES_MAX, bound_sockets

__all__ = ["bind", "serve"]

BACKLOG = 512  # connections that wait to be accepted
GRACE_S = 2.0  # for answers under way when the node stops
READ_S = 60.0  # for a client to send its next bytes
KEEP_ALIVE_S = 60.0  # far longer than clients keep idle connections (httpx: 5 s): else both end one at one moment, and
# the question that was just being asked on it is lost
PING_S = 20.0  # between pings on a WebSocket: its client's answers are bytes, too, so that `READ_S` is not over

log = structlog.get_logger()


def bind(host: str, port: int) -> tuple[socket.socket, str]:
    """A listening socket and its URL. Raises `LocalError` when the port is taken or the host is not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        raise LocalError(
            f"cannot listen on {host}:{port} ({error})", "Choose another port; 0 takes a free one"
        ) from None
    listener.setblocking(False)
    name = f"[{host}]" if family == socket.AF_INET6 else host
    return listener, f"http://{name}:{listener.getsockname()[1]}"


async def serve(
    app: Any,
    listener: socket.socket,
    stop: Callable[[], Awaitable[None]],
    *,
    socket_bytes_max: int = SOCKET_BYTES_MAX,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `stop` returns. The listener is handed over and closed. A WebSocket's messages have at most so many
    bytes, and one more where they have more. `app` needs no lifespan."""
    bound_sockets()
    context = WorkerContext(None)
    serving: Any = partial(TCPServer, ASGIWrapper(app), config_of(socket_bytes_max), context, ConnectionState({}))
    open_now: set[Connection] = set()

    async def keep(stream: trio.SocketStream) -> None:
        connection = Connection(stream)
        open_now.add(connection)
        try:
            await serving(connection)
        except Exception:  # whatever a client sent, and whatever hypercorn makes of it, the others are served
            log.exception("a connection failed inside")
        finally:
            open_now.discard(connection)

    listeners = [trio.SocketListener(trio.socket.from_stdlib_socket(listener))]
    async with trio.open_nursery() as connections:
        try:
            async with trio.open_nursery() as accepting:
                accepting.start_soon(partial(trio.serve_listeners, keep, listeners, handler_nursery=connections))
                task_status.started()
                await stop()
                accepting.cancel_scope.cancel()
        finally:
            await context.terminated.set()
            connections.cancel_scope.deadline = end_s = trio.current_time() + GRACE_S
            for connection in open_now:
                connection.end_by(end_s)


def config_of(socket_bytes_max: int) -> Config:
    """What hypercorn is told."""
    config = Config()
    config.accesslog = None
    config.errorlog = logging.getLogger(__name__)
    config.read_timeout = int(READ_S)
    config.keep_alive_timeout = KEEP_ALIVE_S
    config.include_server_header = False
    config.websocket_max_message_size = socket_bytes_max
    config.websocket_ping_interval = PING_S
    return config
