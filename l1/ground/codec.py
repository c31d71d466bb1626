"""Canonical msgpack: one meaning has one spelling.

Schemas are frozen, positional `Shape`s. Decoding is typed, bounded in size, and checked by encoding again: whatever
the decoder was lenient about (longer integers, missing or surplus fields, other headers) is refused without being
listed. Maps and floats cannot occur, since no schema has them. Source: MessagePack specification, 2013 format.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from l1.ground.faults import Fault, Refused

__all__ = ["Shape", "decoder", "encode", "hide"]

T = TypeVar("T")

_ENCODER = msgspec.msgpack.Encoder()


def hide(value: object) -> str:
    """How a value looks in a log or an error: bytes show four bytes and their length, nothing more."""
    if isinstance(value, bytes):
        return f"{value[:4].hex()}…{len(value)}" if len(value) > 4 else value.hex() or "∅"
    if isinstance(value, (list, tuple)):
        shown = ", ".join(hide(item) for item in value[:4])
        return f"[{shown}{', …' if len(value) > 4 else ''}]"
    return repr(value)


class Shape(msgspec.Struct, array_like=True, frozen=True):
    """A positional, immutable schema. Its `repr` hides identifiers: bytes show four bytes."""

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={hide(getattr(self, name))}" for name in self.__struct_fields__)
        return f"{type(self).__name__}({fields})"


def encode(value: Any) -> bytes:
    """The canonical bytes of a shape, or of nested lists of ints, bytes, text, booleans and None."""
    return _ENCODER.encode(value)


def decoder(shape: type[T], *, bytes_max: int, what: str) -> Callable[[bytes], T]:
    """A function from bytes to a value of `shape`; raises `Refused` (TOO_LARGE, MALFORMED, NOT_CANONICAL).

    `what` names the thing in the error. The decoder is built once: building costs far more than a decode.
    """
    decode_once = msgspec.msgpack.Decoder(shape).decode

    def decode(data: bytes) -> T:
        if len(data) > bytes_max:
            raise Refused(Fault.TOO_LARGE, f"{what} of {len(data)} bytes, at most {bytes_max} are allowed")
        try:
            value: T = decode_once(data)
        except (msgspec.DecodeError, RecursionError, OverflowError, UnicodeDecodeError) as error:
            raise Refused(Fault.MALFORMED, f"{what} does not decode ({error})") from None
        if _ENCODER.encode(value) != data:
            raise Refused(Fault.NOT_CANONICAL, f"{what} is not in canonical form")
        return value

    return decode
