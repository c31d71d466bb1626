"""A decoded entry in words: codes by their names, bytes as hex, the fields of its public and private part together.

The hospital's node shows its logs so, and an auditor's client what a proof shows. Knows no channel and no people.
"""

from enum import IntEnum
from typing import Any

from l1.ground.codec import Shape
from l1.ground.codes import DenyReason, Label, MediaType, Obligation, PurposeOfUse, RecordClass, Role, unmask
from l1.rules.log.entries import Entry, Terms

__all__ = ["entry_words"]

_CODES: dict[str, type[IntEnum]] = {
    "purpose": PurposeOfUse,
    "role": Role,
    "label": Label,
    "media_type": MediaType,
    "record_class": RecordClass,
    "reason": DenyReason,
}
_SETS: dict[str, type[IntEnum]] = {"purposes": PurposeOfUse, "classes": RecordClass, "obligations": Obligation}
_BASES = ("consent", "request", "emergency")


def entry_words(entry: Entry, terms: Terms | None) -> dict[str, Any]:
    """The fields by name; `terms` is None where the private part is not shown."""
    return {
        ("time_ms" if name == "time" else name): _plain(part, name)
        for part in (entry, terms)
        if part is not None
        for name in part.__struct_fields__
    }


def _plain(part: Shape, name: str) -> Any:
    value = getattr(part, name)
    if isinstance(value, bytes):
        return value.hex()
    if name in _CODES:
        return _name_of(_CODES[name], value)
    if name in _SETS:
        return [_name_of(_SETS[name], code) for code in unmask(value)]
    return _BASES[value] if name == "basis" else value


def _name_of(codes: type[IntEnum], value: int) -> str:
    """The code's name; its number where a hospital wrote one that we do not know."""
    try:
        return codes(value).name
    except ValueError:
        return str(value)
