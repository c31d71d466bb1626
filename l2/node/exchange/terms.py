"""Code lists between the desk's words and an entry's numbers: purposes, classes, labels, roles by their HL7 names."""

from collections.abc import Iterable
from enum import IntEnum
from typing import TypeVar

from l1.ground.codes import mask, unmask
from l1.ground.faults import LocalError

__all__ = ["code_of", "mask_of", "name_of", "names_of"]

Code = TypeVar("Code", bound=IntEnum)


def code_of(codes: type[Code], name: str) -> Code:
    """Raises `LocalError` for a name that the list does not have."""
    try:
        return codes[name.upper().replace("-", "_")]
    except KeyError:
        cause = f"there is no {codes.__name__} {name!r}"
        raise LocalError(cause, f"Choose from: {', '.join(code.name for code in codes)}.") from None


def mask_of(codes: type[Code], names: Iterable[str]) -> int:
    """Raises `LocalError` for an unknown name, and for none at all."""
    bits = mask(code_of(codes, name) for name in names)
    if not bits:
        raise LocalError(f"no {codes.__name__} is named", "Name at least one.")
    return bits


def name_of(codes: type[Code], code: int) -> str:
    """A code of the peer's that this program does not know shows as its number."""
    return codes(code).name if code in codes.__members__.values() else str(code)


def names_of(codes: type[Code], bits: int) -> tuple[str, ...]:
    return tuple(name_of(codes, code) for code in unmask(bits))
