"""What is this? The outside of any bytes, for policy and for finding them again. Never changes them."""

from codecs import BOM_UTF16_BE, BOM_UTF16_LE, getincrementaldecoder

from msgspec.structs import replace

from l1.ground.codes import MediaType, RecordClass
from l2.records import limits
from l2.records.extract import read_extract
from l2.records.fhir import look_at_json, look_at_ndjson
from l2.records.imaging import is_dicom, look_at_dicom
from l2.records.info import RecordInfo
from l2.records.messages import is_cda, is_hl7v2, look_at_cda, look_at_hl7v2

__all__ = ["identify", "look_bytes_max"]

_SPACE = b" \t\r\n"
_PROBE_BYTES = 4096
_TEXT_PROBE_BYTES = 64 * 1024


def identify(content: bytes) -> RecordInfo:
    """[INFO-1] The outside of a record. Anything unknown is a record too: bytes of class OTHER and label N.

    Raises `Refused` (TOO_LARGE) for a record of more patients than can be found again.
    """
    if is_dicom(content):
        return look_at_dicom(content)
    if is_hl7v2(content):
        return look_at_hl7v2(content)
    start = content[:_PROBE_BYTES].lstrip(_SPACE)
    if start[:1] == b"{" and (info := look_at_json(content) or look_at_ndjson(content)) is not None:
        return _with_proof(info, content) if info.record_class == RecordClass.BUNDLE else info
    if is_cda(content):
        return look_at_cda(content)
    return RecordInfo(media_type=_plain_type(content[:_TEXT_PROBE_BYTES], start))


def look_bytes_max(begin: bytes | bytearray) -> int:
    """How much of a content's begin is looked at; `begin` is `LOOK_OTHER_BYTES` of it, or all."""
    probe = bytes(begin[:_PROBE_BYTES])
    if probe.lstrip(_SPACE)[:1] in (b"{", b""):
        return limits.LOOK_BYTES_MAX
    is_text = b"\x00" not in probe or probe.startswith((BOM_UTF16_LE, BOM_UTF16_BE))
    return limits.LOOK_HEAD_BYTES if is_text or is_dicom(probe) else limits.LOOK_OTHER_BYTES


def _with_proof(info: RecordInfo, content: bytes) -> RecordInfo:
    extract = read_extract(content)
    return info if extract is None else replace(info, root=extract.root, unproven=extract.fault)


def _plain_type(probe: bytes, start: bytes) -> MediaType:
    try:
        getincrementaldecoder("utf-8")().decode(probe)  # a letter cut at the end of the probe is no fault
    except UnicodeDecodeError:
        return MediaType.OCTET_STREAM
    if b"\x00" in probe or not probe:
        return MediaType.OCTET_STREAM
    return MediaType.JSON if start[:1] in (b"{", b"[") else MediaType.TEXT
