"""Reading what a desk asks: words out of JSON bodies, channels and indices out of paths, filters out of queries."""

from functools import cache
from typing import Any, TypeVar

import msgspec
from starlette.requests import HTTPConnection, Request

from l1.ground.faults import Fault, Refused, require
from l1.ground.limits import HANDLE_BYTES, HASH_BYTES, SIZE_MAX
from l1.serving.requests import body_of, hex_in_path, unhex
from l2.desk import words

__all__ = [
    "WORD_BYTES_MAX",
    "asked",
    "channel_in_path",
    "channel_of",
    "choice",
    "index_in_path",
    "record_in_path",
    "text",
]

WORD_BYTES_MAX = 1024 * 1024  # a FHIR Consent with scanned signatures stays below; the rest is far smaller
RECORD_ID_BYTES = 16  # as the store names its records
TEXT_CHARS_MAX = 256  # names of patients and practitioners, codes

T = TypeVar("T", bound=words.Word)


@cache
def _decoder(shape: type[words.Word]) -> msgspec.json.Decoder[Any]:
    """Built once for each word: building costs far more than a decode."""
    return msgspec.json.Decoder(shape)


async def asked(request: Request, shape: type[T]) -> T:
    """The word in the body. Raises `Refused` (MALFORMED, TOO_LARGE)."""
    body = await body_of(request, WORD_BYTES_MAX)
    try:
        word: T = _decoder(shape).decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(Fault.MALFORMED, f"the body is no {shape.__name__} in JSON ({error})") from None
    return word


def channel_in_path(request: HTTPConnection) -> bytes:
    return hex_in_path(request, "channel", HASH_BYTES)


def channel_of(text: str) -> bytes:
    """A channel that a body or a query names."""
    return unhex(text, "channel", HASH_BYTES)


def record_in_path(request: HTTPConnection) -> bytes:
    return hex_in_path(request, "record", HANDLE_BYTES)


def index_in_path(request: HTTPConnection) -> int:
    index: int = request.path_params["index"]
    require(index < SIZE_MAX, Fault.MALFORMED, "no log has so many entries")
    return index


def text(request: HTTPConnection, name: str) -> str | None:
    """A query parameter; an empty one counts as none."""
    found = request.query_params.get(name) or None
    require(found is None or len(found) <= TEXT_CHARS_MAX, Fault.TOO_LARGE, f"{name} has over {TEXT_CHARS_MAX} letters")
    return found


def choice(request: HTTPConnection, name: str, allowed: tuple[str, ...]) -> str:
    """A query parameter that is one of a few words; the first of them by default."""
    found = request.query_params.get(name, allowed[0])
    require(found in allowed, Fault.MALFORMED, f"{name} is {' or '.join(allowed)}")
    return found
