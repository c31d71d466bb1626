"""Reading what a request carries: bounded, typed, refused by name. It knows HTTP and no application."""

from contextlib import aclosing

from starlette.requests import HTTPConnection, Request

from l1.ground.faults import Fault, Refused, require

__all__ = ["body_of", "hex_in_path", "number", "unhex"]


def number(request: HTTPConnection, name: str, default: int, most: int) -> int:
    """A query parameter between 0 and `most`; larger ones are cut down to it."""
    text = request.query_params.get(name)
    if text is None:
        return default
    require(text.isascii() and text.isdigit() and len(text) < 20, Fault.MALFORMED, f"{name} is a whole number")
    return min(int(text), most)


def hex_in_path(request: HTTPConnection, name: str, size: int | None = None) -> bytes:
    """Bytes from the path, of `size` bytes if given."""
    return unhex(request.path_params[name], name, size)


def unhex(text: str, name: str, size: int | None = None) -> bytes:
    try:
        value = bytes.fromhex(text)
    except ValueError:
        raise Refused(Fault.MALFORMED, f"{name} is hex") from None
    fits = size is None or len(value) == size
    require(
        fits and value.hex() == text, Fault.MALFORMED, f"{name} is lower hex" + (f" of {size} bytes" if size else "")
    )
    return value


async def body_of(request: Request, bytes_max: int) -> bytes:
    """The request's body, refused as soon as it grows past the limit."""
    parts: list[bytes] = []
    room = bytes_max
    async with aclosing(request.stream()) as stream:
        async for part in stream:
            room -= len(part)
            require(room >= 0, Fault.TOO_LARGE, f"the body is over {bytes_max} bytes")
            parts.append(part)
    return b"".join(parts)
