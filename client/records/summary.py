"""What a record says, for a person to read: of FHIR how much of what, and the newest of it; of DICOM its header; of the
others what their heads say. Text comes from anybody, so it is data here and never a format. Knows no terminal.
"""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from client.wording import day
from l1.ground.codes import MediaType
from l2.records import Piece, RecordInfo, identify, pieces_of, read_header

__all__ = ["Summary", "summarise"]

NEWEST = 12
TEXT_MAX = 120

_HEADER = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyDescription", "Modality"),
    *("SeriesDescription", "BodyPartExamined", "Manufacturer", "InstitutionName", "ProtocolName", "SOPClassUID"),
    *("StudyInstanceUID", "SeriesInstanceUID", "InstanceNumber", "NumberOfFrames", "Rows", "Columns"),
    *("BitsStored", "PhotometricInterpretation", "WindowCenter", "WindowWidth", "BurnedInAnnotation"),
)


class Summary(NamedTuple):
    """A title, what the columns are, and rows of text."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def summarise(content: bytes) -> list[Summary]:
    """What can be said of it; nothing for bytes of no kind that we know."""
    info = identify(content)
    match info.media_type:
        case MediaType.FHIR_JSON | MediaType.FHIR_NDJSON:
            return _fhir(pieces_of(content, info.media_type))
        case MediaType.DICOM:
            return _dicom(content)
        case MediaType.HL7V2:
            return _hl7v2(content)
        case MediaType.CDA_XML:
            return _cda(content, info)
    return []


def _fhir(pieces: list[Piece]) -> list[Summary]:
    kinds: dict[str, list[Piece]] = {}
    for piece in pieces:
        kinds.setdefault(piece.outside.kind or "?", []).append(piece)
    rows = [_kind_row(kind, some) for kind, some in sorted(kinds.items(), key=lambda pair: -len(pair[1]))]
    dated = [piece for piece in pieces if piece.outside.span is not None]
    newest = sorted(dated, key=lambda piece: piece.outside.span or (0, 0), reverse=True)[:NEWEST]
    said = [(_when(piece), piece.outside.kind, _display(piece.slice.raw), piece.outside.label.name) for piece in newest]
    columns = ("type", "count", "from", "to", "label", "sensitivity")
    found = [Summary("Resources", columns, rows)]
    return [*found, Summary("Newest", ("date", "type", "what", "label"), said)] if said else found


def _kind_row(kind: str, pieces: list[Piece]) -> tuple[str, ...]:
    spans = [piece.outside.span for piece in pieces if piece.outside.span is not None]
    sensitivity = sorted(set[str]().union(*(piece.outside.sensitivity for piece in pieces)))
    begin = day(min(start for start, _ in spans)) if spans else ""
    end = _end(max(end for _, end in spans)) if spans else ""
    label = max(piece.outside.label for piece in pieces).name
    return kind, f"{len(pieces):,}", begin, end, label, ", ".join(sensitivity)


def _when(piece: Piece) -> str:
    return day(piece.outside.span[0]) if piece.outside.span else ""


def _end(at_ms: int) -> str:
    said = day(at_ms)
    return "ongoing" if said.startswith("9999") else said


def _display(raw: bytes) -> str:
    """What a resource is about, in its own words: the first that is said of its code."""
    try:
        resource: Any = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return ""
    fields = ("code", "medicationCodeableConcept", "vaccineCode", "type", "category", "description", "status")
    for name in fields:
        value = resource.get(name) if isinstance(resource, dict) else None
        for one in value if isinstance(value, list) else [value]:
            if said := _words(one):
                return said[:TEXT_MAX]
    return ""


def _words(value: Any) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, dict):
        return ""
    codings = value.get("coding")
    said = (
        [coding.get("display") for coding in codings if isinstance(coding, dict)] if isinstance(codings, list) else []
    )
    return next((text for text in (value.get("text"), *said) if isinstance(text, str) and text), "")


def _dicom(content: bytes) -> list[Summary]:
    from pydicom.datadict import dictionary_description

    header = read_header(content, _HEADER)
    rows: list[tuple[str, ...]] = []
    for name in _HEADER:
        text = _element(header, name)
        if text:
            rows.append((dictionary_description(name), text))
    return [Summary("DICOM header", ("element", "value"), rows)] if rows else []


def _element(header: Any, name: str) -> str:
    try:
        value = header.get(name)
        text = getattr(value, "name", "") if name == "SOPClassUID" else str("" if value is None else value)
    except Exception:  # values are decoded when they are asked for
        return ""
    return text.strip()[:TEXT_MAX]


def _hl7v2(content: bytes) -> list[Summary]:
    text = content[: 256 * 1024].decode("utf-8", "replace")
    counted: dict[str, int] = {}
    for segment in re.split(r"[\r\n]+", text):
        name = segment.split("|", 1)[0].strip()[:8]
        if name:
            counted[name] = counted.get(name, 0) + 1
    return [Summary("Segments", ("segment", "count"), [(name, str(count)) for name, count in counted.items()])]


def _cda(content: bytes, info: RecordInfo) -> list[Summary]:
    titles = re.findall(r"<title\b[^>]*>([^<]{1,200})</title>", content[: 4 * 1024 * 1024].decode("utf-8", "replace"))
    sections = [title.strip()[:TEXT_MAX] for title in titles if title.strip() != info.title]
    return [Summary("Sections", ("title",), [(title,) for title in sections])]
