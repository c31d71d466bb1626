"""FHIR R4 JSON as pieces: a Bundle of any type, a bulk export or a single resource, cut into the raw bytes of each
resource, with the outside of each. Nothing is ever written anew: a piece is a slice of what was received."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from l1.ground.codes import Label, MediaType, RecordClass
from l1.ground.faults import Fault, Refused
from l2.records.classes import CLASS_OF
from l2.records.dates import join_spans
from l2.records.info import RecordInfo
from l2.records.limits import NAMES_MAX, SUBJECTS_MAX, TEXT_MAX
from l2.records.resource import Outside, look_at_resource, marks_of

__all__ = ["Piece", "Slice", "is_divisible", "look_at_json", "look_at_ndjson", "pieces_of", "slices_of"]

_SPACE = b" \t\r\n"  # what JSON allows around a value
_NOTHING = msgspec.Raw(b"")
_BAD = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)


class _Outer(msgspec.Struct):
    resourceType: str  # noqa: N815 - FHIR's own spelling
    type: Any = None
    meta: Any = None
    entry: list[msgspec.Raw] | None = None


class _Entry(msgspec.Struct):
    resource: msgspec.Raw = _NOTHING
    fullUrl: Any = None  # noqa: N815


_outer = msgspec.json.Decoder(_Outer).decode
_entry = msgspec.json.Decoder(_Entry).decode


class Slice(NamedTuple):
    """A resource's raw bytes, and the `fullUrl` by which others refer to it, where it has one."""

    url: str
    raw: bytes


class Piece(NamedTuple):
    """[PIECE-1] A resource of a record, and its outside."""

    slice: Slice
    outside: Outside


def is_divisible(media_type: int) -> bool:
    """Whether content of that type consists of resources."""
    return media_type in (MediaType.FHIR_JSON, MediaType.FHIR_NDJSON)


def slices_of(content: bytes, media_type: int) -> list[Slice]:
    """[PIECE-1] The resources of a Bundle or NDJSON as raw slices; a single resource as itself.

    Raises `msgspec.DecodeError` for content that `look_at_json` or `look_at_ndjson` would not take.
    """
    if media_type == MediaType.FHIR_NDJSON:
        return [Slice("", line.strip(_SPACE)) for line in content.splitlines() if line.strip(_SPACE)]
    outer = _outer(content)
    if outer.resourceType != "Bundle":
        return [Slice("", content.strip(_SPACE))]
    slices: list[Slice] = []
    for raw in outer.entry or []:
        entry = _entry(raw)
        resource = bytes(entry.resource)
        if resource not in (b"", b"null"):
            slices.append(Slice(entry.fullUrl if isinstance(entry.fullUrl, str) else "", resource))
    return slices


def pieces_of(content: bytes, media_type: int) -> list[Piece]:
    """Every resource with its outside. Content that is no FHIR has no pieces."""
    if not is_divisible(media_type):
        return []
    try:
        slices = slices_of(content, media_type)
        least = Label.U if media_type == MediaType.FHIR_NDJSON else _bundle_label(content)
    except _BAD:
        return []
    return _look(slices, least)


def _bundle_label(content: bytes) -> Label:
    outer = _outer(content)
    return marks_of(outer.meta) if outer.resourceType == "Bundle" else Label.U


def _look(slices: Sequence[Slice], least: Label) -> list[Piece]:
    """`least` is what the Bundle itself is marked with: it holds for everything in it."""
    looked = [look_at_resource(piece.raw) for piece in slices]
    # In a Bundle a reference names a fullUrl (R4, section 2.36.4), which need not end in the patient's id.
    known = {
        piece.url.removeprefix("urn:uuid:"): outside.patient
        for piece, outside in zip(slices, looked, strict=True)
        if outside.patient and piece.url
    }
    pieces: list[Piece] = []
    for piece, outside in zip(slices, looked, strict=True):
        subjects = (outside.patient,) if outside.patient else tuple(known.get(name, name) for name in outside.subjects)
        label = max(outside.label, least)
        is_same = subjects == outside.subjects and label == outside.label
        pieces.append(Piece(piece, outside if is_same else outside._replace(subjects=subjects, label=label)))
    return pieces


def look_at_json(content: bytes) -> RecordInfo | None:
    """The outside of a Bundle or resource; None where this is no FHIR. Raises `Refused` (TOO_LARGE)."""
    try:
        outer = _outer(content)
        if not outer.resourceType[:1].isupper():
            return None
        if outer.resourceType != "Bundle":
            return _look_at_one(content, outer.resourceType)
        slices = slices_of(content, MediaType.FHIR_JSON)
    except _BAD:
        return None
    least = marks_of(outer.meta)
    title = f"Bundle {outer.type}"[:TEXT_MAX]
    return _gather(_look(slices, least), MediaType.FHIR_JSON, RecordClass.BUNDLE, title, least)


def _look_at_one(content: bytes, kind: str) -> RecordInfo:
    """What `_gather` says of a single resource, at a third of the cost: most records of a hospital are one."""
    outside = look_at_resource(content)
    subjects = (outside.patient,) if outside.patient else outside.subjects
    _check_subjects(subjects)
    from_ms, until_ms = outside.span or (None, None)
    return RecordInfo(
        media_type=MediaType.FHIR_JSON,
        record_class=CLASS_OF.get(kind, RecordClass.OTHER),
        classes=outside.classes,
        label=outside.label,
        sensitivity=tuple(sorted(outside.sensitivity)),
        subjects=subjects,
        names=tuple(dict.fromkeys(outside.names))[:NAMES_MAX],
        from_ms=from_ms,
        until_ms=until_ms,
        title=kind[:TEXT_MAX],
    )


def look_at_ndjson(content: bytes) -> RecordInfo | None:
    """The outside of a bulk export; None unless every line is a resource. Raises `Refused` (TOO_LARGE)."""
    lines = slices_of(content, MediaType.FHIR_NDJSON)
    try:
        kinds = {_outer(line.raw).resourceType for line in lines}
    except _BAD:
        return None
    if len(lines) < 2:
        return None
    own = CLASS_OF.get(next(iter(kinds)), RecordClass.OTHER) if len(kinds) == 1 else RecordClass.BUNDLE
    title = f"NDJSON {', '.join(sorted(kinds))}"[:TEXT_MAX]
    return _gather(_look(lines, Label.U), MediaType.FHIR_NDJSON, own, title, Label.U)


def _gather(pieces: Sequence[Piece], media_type: MediaType, own: RecordClass, title: str, least: Label) -> RecordInfo:
    """What the resources of one record add up to."""
    outsides = [piece.outside for piece in pieces]
    patients = dict.fromkeys(outside.patient for outside in outsides if outside.patient)
    named = Counter(name for outside in outsides for name in outside.subjects)
    subjects = [*patients, *(name for name, _ in named.most_common() if name not in patients)]
    _check_subjects(subjects)
    names = dict.fromkeys(name for outside in outsides for name in outside.names)
    classes = 0
    for outside in outsides:
        classes |= outside.classes
    from_ms, until_ms = join_spans([outside.span for outside in outsides if outside.span is not None])
    return RecordInfo(
        media_type=media_type,
        record_class=own,
        classes=classes,
        label=max((outside.label for outside in outsides), default=max(least, Label.N)),
        sensitivity=tuple(sorted(set[str]().union(*(outside.sensitivity for outside in outsides)))),
        subjects=tuple(subjects),
        names=tuple(list(names)[:NAMES_MAX]),
        from_ms=from_ms,
        until_ms=until_ms,
        resources=len(pieces),
        title=title,
    )


def _check_subjects(subjects: Sequence[str]) -> None:
    if (named := len(subjects)) > SUBJECTS_MAX:
        cause = f"it names {named} patients; at most {SUBJECTS_MAX}: split it (a bulk export, by its lines)"
        raise Refused(Fault.TOO_LARGE, cause)
