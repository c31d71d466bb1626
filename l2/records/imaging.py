"""A thin look at DICOM: the header's own words, never the pixels. Files are shared as they are, to the last byte."""

from io import BytesIO
from typing import Any

from l1.ground.codes import MediaType, RecordClass, mask
from l2.records.dates import join_spans, packed_span
from l2.records.info import RecordInfo
from l2.records.limits import TEXT_MAX

__all__ = ["is_dicom", "look_at_dicom"]

_PREAMBLE_BYTES = 128
_DATES = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")
_TAGS = ["PatientID", "PatientName", "Modality", "StudyDescription", "SeriesDescription", "NumberOfFrames", *_DATES]


def is_dicom(content: bytes) -> bool:
    """Whether the file has DICOM's mark (PS3.10, section 7.1)."""
    return content[_PREAMBLE_BYTES : _PREAMBLE_BYTES + 4] == b"DICM"


def look_at_dicom(content: bytes) -> RecordInfo:
    """The outside of a DICOM file; of a damaged header, whatever can be read."""
    header = _read_header(content)
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


def _read_header(content: bytes) -> Any:
    # pydicom takes a third of a second to import; most records are FHIR.
    from pydicom import dcmread
    from pydicom.dataset import Dataset

    try:
        return dcmread(BytesIO(content), stop_before_pixels=True, specific_tags=list(_TAGS))
    except Exception:  # a parser of other people's files; a bad header is no reason to refuse bytes
        return Dataset()


def _text(header: Any, name: str) -> str:
    try:
        return str(header.get(name) or "").strip()[:TEXT_MAX]
    except Exception:  # values are decoded when they are asked for
        return ""


def _frames(header: Any) -> int:
    frames = _text(header, "NumberOfFrames")
    return max(1, int(frames)) if frames.isascii() and frames.isdigit() else 1
