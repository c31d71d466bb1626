"""Code lists between the desk's words and an entry's numbers: purposes, classes, labels, roles by their HL7 names."""

from collections.abc import Iterable
from enum import IntEnum
from typing import TypeVar

from l1.ground.codes import Label, RecordClass, mask, unmask
from l1.ground.faults import LocalError
from l1.ground.limits import TIME_MS_MAX
from l2.desk import words
from l2.node.bodies import Record
from l2.protocol.policy import Asked
from l2.records import Selection

__all__ = ["code_of", "mask_of", "name_of", "names_of", "selection_of"]

_ALL = mask(RecordClass)

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


def selection_of(record: Record, wanted: words.Share, asked: Asked | None, patient: str) -> Selection | None:
    """What of a record is to be shared: the narrower of what the desk says and what was asked for. None: all of it.

    `patient` is whom the request is about, or empty. Raises `LocalError` for a record of several patients where none is
    named.
    """
    says = wanted.patient or wanted.classes or wanted.label
    if not says and wanted.data_from_ms is None and wanted.data_until_ms is None and asked is None:
        return None
    subjects = record.info.subjects
    patient = wanted.patient or patient
    if not patient and len(subjects) > 1:
        raise LocalError(f"the record is about {len(subjects)} patients", "Name the one it is shared for.")
    classes = mask_of(RecordClass, wanted.classes) if wanted.classes else _ALL
    from_ms = wanted.data_from_ms or 0
    until_ms = TIME_MS_MAX if wanted.data_until_ms is None else wanted.data_until_ms
    if asked is not None:
        classes &= asked.terms.classes
        from_ms, until_ms = max(from_ms, asked.terms.data_from_ms), min(until_ms, asked.terms.data_until_ms)
    label = code_of(Label, wanted.label) if wanted.label else Label.V
    return Selection(patient or record.info.subject, classes, from_ms, until_ms, label)
