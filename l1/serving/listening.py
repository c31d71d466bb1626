"""Listening: a bound socket, hypercorn on it, an orderly end. It knows no application."""

import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import hypercorn.trio
import trio
from hypercorn.config import Config

from l1.ground.faults import LocalError

__all__ = ["bind", "serve"]

BACKLOG = 512  # connections that wait to be accepted
GRACE_S = 2.0  # for answers under way when the node stops
READ_S = 60.0  # for a client to send its next bytes
KEEP_ALIVE_S = 60.0  # far longer than clients keep idle connections (httpx: 5 s): else both end one at one moment, and
# the question that was just being asked on it is lost


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
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `stop` returns. The listener is handed over and closed."""
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.accesslog = None
    config.errorlog = logging.getLogger(__name__)
    config.graceful_timeout = GRACE_S
    config.read_timeout = int(READ_S)
    config.keep_alive_timeout = KEEP_ALIVE_S
    config.include_server_header = False
    await hypercorn.trio.serve(app, config, shutdown_trigger=stop, task_status=task_status, mode="asgi")
