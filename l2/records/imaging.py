"""A thin look at DICOM: the header's own words, never the pixels. Files are shared as they are, to the last byte."""

import zlib
from collections.abc import Sequence
from io import BytesIO
from typing import Any

from l1.ground.codes import MediaType, RecordClass, mask
from l2.records.dates import join_spans, packed_span
from l2.records.info import RecordInfo
from l2.records.limits import HEADER_BYTES_MAX, TEXT_MAX

__all__ = ["is_dicom", "look_at_dicom", "read_header"]

_PREAMBLE_BYTES = 128
_META_LENGTH, _META_BEGIN = 140, 144  # (0002,0000): the length of what follows it (PS3.10, section 7.1)
_META_BYTES_MAX = 4096
_DEFLATED = b"1.2.840.10008.1.2.1.99"  # Deflated Explicit VR Little Endian
_DATES = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")
_TAGS = ["PatientID", "PatientName", "Modality", "StudyDescription", "SeriesDescription", "NumberOfFrames", *_DATES]


def is_dicom(content: bytes) -> bool:
    """Whether the file has DICOM's mark (PS3.10, section 7.1)."""
    return content[_PREAMBLE_BYTES : _PREAMBLE_BYTES + 4] == b"DICM"


def look_at_dicom(content: bytes) -> RecordInfo:
    """The outside of a DICOM file; of a damaged header, whatever can be read."""
    header = read_header(content, _TAGS)
    spans = [span for name in _DATES if (span := packed_span(_text(header, name))) is not None]
    from_ms, until_ms = join_spans(spans)
    words = [_text(header, name) for name in ("Modality", "StudyDescription", "SeriesDescription")]
    patient, name = _text(header, "PatientID"), _text(header, "PatientName").replace("^", " ").strip()
    return RecordInfo(
        media_type=MediaType.DICOM,
        record_class=RecordClass.IMAGING,
        classes=mask([RecordClass.IMAGING]),
        subjects=(patient,) if patient else (),
        names=(name,) if name else (),
        from_ms=from_ms,
        until_ms=until_ms,
        resources=_frames(header),
        title=" ".join(word for word in words if word)[:TEXT_MAX],
    )


def read_header(content: bytes, names: Sequence[str]) -> Any:
    """The elements of those names, as pydicom has them, whatever can be read. Never raises, and never opens more of a
    deflated file than `limits.HEADER_BYTES_MAX`."""
    # pydicom takes a third of a second to import; most records are FHIR.
    from pydicom import dcmread
    from pydicom.dataset import Dataset

    try:
        deflated = _deflated(content)
        if deflated is not None:
            return _read_deflated(deflated, names)
        return dcmread(BytesIO(content), stop_before_pixels=True, specific_tags=list(names))
    except Exception:  # a parser of other people's files; a bad header is no reason to refuse bytes
        return Dataset()


def _deflated(content: bytes) -> bytes | None:
    """What comes after the file meta information of a deflated file; None for any other."""
    meta_end = _META_BEGIN + int.from_bytes(content[_META_LENGTH : _META_LENGTH + 4], "little")
    meta = content[_META_BEGIN : min(meta_end, _META_BEGIN + _META_BYTES_MAX)]
    return content[meta_end:] if _DEFLATED in meta else None


def _read_deflated(data: bytes, names: Sequence[str]) -> Any:
    # pydicom would open all of it at once, and a bomb with it.
    from pydicom.datadict import tag_for_keyword
    from pydicom.filereader import read_dataset
    from pydicom.tag import BaseTag

    tags: list[BaseTag | int] = [BaseTag(tag) for name in names if (tag := tag_for_keyword(name)) is not None]
    opened = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, HEADER_BYTES_MAX)
    return read_dataset(BytesIO(opened), False, True, specific_tags=tags)


def _text(header: Any, name: str) -> str:
    try:
        return str(header.get(name) or "").strip()[:TEXT_MAX]
    except Exception:  # values are decoded when they are asked for
        return ""


def _frames(header: Any) -> int:
    frames = _text(header, "NumberOfFrames")
    return max(1, int(frames)) if frames.isascii() and frames.isdigit() else 1
