"""How a refusal travels over HTTP: one JSON object on the server's side, the same exception on the client's.

Knows the wire form of errors and nothing else. `{"error": {"fault", "number", "detail", "remedy"}}`; number 0 is a
mistake of the caller (`LocalError`), any other a numbered `Fault`.
"""

import msgspec

from l1.ground.faults import Fault, LocalError, Refused

__all__ = ["error_from", "error_of"]


class _Problem(msgspec.Struct, frozen=True):
    fault: str
    detail: str
    number: int = 0
    remedy: str = ""


class _Envelope(msgspec.Struct, frozen=True):
    error: _Problem


_decode = msgspec.json.Decoder(_Envelope).decode


def error_of(error: Refused | LocalError) -> bytes:
    """The JSON body that says what was wrong."""
    if isinstance(error, Refused):
        word = error.fault.name.lower().replace("_", " ")
        problem = _Problem(fault=word, number=int(error.fault), detail=error.detail)
    else:
        problem = _Problem(fault="local", detail=error.cause, remedy=error.remedy)
    return msgspec.json.encode(_Envelope(error=problem))


def error_from(status: int, body: bytes) -> Refused | LocalError:
    """The exception that an answer with an error status stands for. Any bytes give one."""
    try:
        problem = _decode(body).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return LocalError(f"the node answered HTTP {status} without saying why", "Read the node's own log.")
    if problem.number in Fault.__members__.values():
        detail = f"{problem.detail} ({problem.remedy})" if problem.remedy else problem.detail
        return Refused(Fault(problem.number), detail)
    return LocalError(problem.detail, problem.remedy)
