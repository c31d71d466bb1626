"""How what goes wrong is answered: one status for each kind of wrong, and the same JSON for all of them."""

from collections.abc import Awaitable, Callable

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.responses import Response

from l1.ground.faults import Fault, LocalError, Refused
from l1.reader.transport import ChainUnreachable
from l2.desk.problem import error_of
from l2.node.store import disk_failed

__all__ = ["HANDLERS", "answer_to", "on_failed_disk", "refusal"]

STATUS_OF = {
    Fault.NOT_AUTHORISED: 403,
    Fault.NOT_GRANTED: 403,
    Fault.UNKNOWN_ACCOUNT: 404,
    Fault.UNKNOWN_CHANNEL: 404,
    Fault.UNKNOWN_HOSPITAL: 404,
    Fault.UNKNOWN_KEY: 404,
    Fault.AFTER_CLOSING: 409,
    Fault.ALREADY_DONE: 409,
    Fault.WINDOW_OPEN: 409,
    Fault.WINDOW_OVER: 409,
    Fault.WRONG_PHASE: 409,
    Fault.CLOCK: 503,
    Fault.MEMPOOL_FULL: 503,
}
"""Every other fault is 400."""

log = structlog.get_logger()


def refusal(error: Refused | LocalError, status: int | None = None) -> Response:
    """The answer that says what was wrong."""
    if status is None and isinstance(error, Refused):
        status = STATUS_OF.get(error.fault, 400)
    elif status is None:
        status = 503 if isinstance(error, ChainUnreachable) else 400
    return Response(error_of(error), status_code=status, media_type="application/json")


async def _on_refusal(_: HTTPConnection, error: Exception) -> Response:
    assert isinstance(error, (Refused, LocalError))
    return refusal(error)


async def _on_group(_: HTTPConnection, error: Exception) -> Response:
    """What a nursery raised: the one refusal in it, if that is all there is."""
    assert isinstance(error, ExceptionGroup)
    inner: Exception = error
    while isinstance(inner, ExceptionGroup) and len(inner.exceptions) == 1:
        inner = inner.exceptions[0]
    if isinstance(inner, (Refused, LocalError)):
        return refusal(inner)
    raise error


async def _on_http(_: HTTPConnection, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    said = Refused(Fault.UNEXPECTED, f"{str(error.detail).lower()}; see /openapi.json")
    return refusal(said, error.status_code)


async def _on_system(_: HTTPConnection, error: Exception) -> Response:
    """A file that could not be written or read: nothing half-written is ever shown, and the process goes on."""
    return refusal(LocalError(f"the system refused ({error})", "Look at the disk's space and rights."), 503)


async def _on_gone(request: HTTPConnection, _: Exception) -> Response:
    """Whoever asked went away in the middle of the question; there is nobody to answer."""
    log.debug("a desk went away", path=request.url.path)
    return Response(status_code=400)


async def _on_bug(request: HTTPConnection, error: Exception) -> Response:
    """Ours, not the desk's: it goes to the log with its trace, and to the desk without."""
    method = request.scope.get("method", "WebSocket")
    log.error("a request failed inside", path=request.url.path, method=method, exc_info=error)
    return refusal(LocalError("the hospital failed inside", "Its log says where; report it."), 500)


def on_failed_disk(end: Callable[[LocalError], None]) -> Callable[[HTTPConnection, Exception], Awaitable[Response]]:
    """A handler for a store that did not take or give what it should: the desk hears so, and the process ends."""

    async def answer(_: HTTPConnection, error: Exception) -> Response:
        failed = disk_failed(error)
        end(failed)
        return refusal(failed, 503)

    return answer


async def answer_to(error: Exception, asked: HTTPConnection) -> Response:
    """What a question that failed so is answered with, where starlette does not see to it: on a WebSocket."""
    handlers = asked.app.exception_handlers
    handler = next(handlers[kind] for kind in type(error).__mro__ if kind in handlers)
    answer: Response = await handler(asked, error)
    return answer


HANDLERS = {
    Refused: _on_refusal,
    LocalError: _on_refusal,
    ExceptionGroup: _on_group,
    HTTPException: _on_http,
    OSError: _on_system,
    ClientDisconnect: _on_gone,
    Exception: _on_bug,
}
