"""A thin look at what hospitals have besides FHIR and DICOM: HL7 v2 messages and CDA documents, by their heads."""

import re

from l1.ground.codes import MediaType, RecordClass, mask
from l1.ground.faults import Fault, require
from l2.records.dates import join_spans, packed_span
from l2.records.info import RecordInfo
from l2.records.labels import Coding, find_sensitivity, label_from
from l2.records.limits import NAMES_MAX, SUBJECTS_MAX, TEXT_MAX

__all__ = ["is_cda", "is_hl7v2", "look_at_cda", "look_at_hl7v2"]

_HEAD_BYTES = 256 * 1024  # a header stands in the first lines; a CDA body may be megabytes of narrative

_CLASS_OF_MESSAGE: dict[str, RecordClass] = {
    "ADT": RecordClass.ENCOUNTER,
    "SIU": RecordClass.ENCOUNTER,
    "ORU": RecordClass.OBSERVATION,
    "OUL": RecordClass.OBSERVATION,
    "ORM": RecordClass.CARE_PLAN,
    "OML": RecordClass.CARE_PLAN,
    "VXU": RecordClass.IMMUNIZATION,
    "RDE": RecordClass.MEDICATION,
    "MDM": RecordClass.DOCUMENT,
    "DFT": RecordClass.CLAIM,
}

# C-CDA R2.1: the sections by their LOINC codes, and which class of record each holds.
_CLASS_OF_SECTION: dict[str, RecordClass] = {
    "48765-2": RecordClass.ALLERGY,
    "10160-0": RecordClass.MEDICATION,
    "10183-2": RecordClass.MEDICATION,  # discharge medications
    "29549-3": RecordClass.MEDICATION,  # medications administered
    "11450-4": RecordClass.CONDITION,
    "10157-6": RecordClass.CONDITION,  # family history
    "47519-4": RecordClass.PROCEDURE,
    "30954-2": RecordClass.OBSERVATION,  # results
    "8716-3": RecordClass.OBSERVATION,  # vital signs
    "29762-2": RecordClass.OBSERVATION,  # social history
    "11369-6": RecordClass.IMMUNIZATION,
    "46240-8": RecordClass.ENCOUNTER,
    "18776-5": RecordClass.CARE_PLAN,
    "48768-6": RecordClass.CLAIM,  # payers
}

_CODED = re.compile(r"<(?:\w+:)?(?:code|value|translation)\b[^>]{0,1000}>")
_CODE = re.compile(r"\bcode=[\"']([^\"']{1,64})[\"']")
_CODE_SYSTEM = re.compile(r"\bcodeSystem=[\"']([0-9.]{1,64})[\"']")
_HL7_CODED = re.compile(
    r"(?:^|[|~^])([^|^~&\s]{1,20})\^[^|^~\r\n]{0,200}\^([A-Za-z0-9-]{2,12})(?=[|~^\r\n]|$)", re.MULTILINE
)
_PATIENT_ROLE = re.compile(r"<patientRole\b.*?</patientRole>", re.DOTALL)
_ID = re.compile(r"<id\b[^>]*?\bextension=\"([^\"]+)\"")
_GIVEN = re.compile(r"<given\b[^>]*>([^<]+)</given>")
_FAMILY = re.compile(r"<family\b[^>]*>([^<]+)</family>")
_TITLE = re.compile(r"<title\b[^>]*>([^<]+)</title>")
_TIME = re.compile(r"<effectiveTime\b[^>]*?\bvalue=\"(\d{4,})")
_CONFIDENTIALITY = re.compile(r"<confidentialityCode\b[^>]*?\bcode=\"([A-Z])\"")


def is_hl7v2(content: bytes) -> bool:
    return content[:12].lstrip(b"\xef\xbb\xbf\x0b\r\n ").startswith((b"MSH|", b"FHS|", b"BHS|"))


def look_at_hl7v2(content: bytes) -> RecordInfo:
    """The outside of a message: its type from MSH-9, its patients from PID-3 and PID-5, its time from MSH-7."""
    text = content[:_HEAD_BYTES].decode("utf-8", "replace")
    segments = [segment.split("|") for segment in re.split(r"[\r\n]+", text)]
    heads = [s for s in segments if s[0].endswith("MSH") and len(s) > 8]
    people = [s for s in segments if s[0] == "PID" and len(s) > 5]
    kind = heads[0][8] if heads else ""
    own = _CLASS_OF_MESSAGE.get(kind[:3], RecordClass.DOCUMENT)
    from_ms, until_ms = join_spans([span for s in heads if (span := packed_span(s[6])) is not None])
    sensitivity = find_sensitivity((system, code) for code, system in _HL7_CODED.findall(_text(content)))
    subjects = dict.fromkeys(first for s in people if (first := s[3].split("^", 1)[0]))
    cause = f"it names {len(subjects)} patients; at most {SUBJECTS_MAX}: split it"
    require(len(subjects) <= SUBJECTS_MAX, Fault.TOO_LARGE, cause)
    names = dict.fromkeys(name for s in people if (name := _spoken(s[5])))
    return RecordInfo(
        media_type=MediaType.HL7V2,
        record_class=own,
        classes=mask([own]),
        label=label_from((), sensitivity),
        sensitivity=tuple(sorted(sensitivity)),
        subjects=tuple(s[:TEXT_MAX] for s in subjects),
        names=tuple(n[:TEXT_MAX] for n in list(names)[:NAMES_MAX]),
        from_ms=from_ms,
        until_ms=until_ms,
        resources=max(1, len(heads)),
        title=f"HL7 v2 {kind}"[:TEXT_MAX],
    )


def _spoken(name: str) -> str:
    """The first name of PID-5, `family^given`, where a family name may have parts of its own."""
    return " ".join(part.split("&")[0] for part in name.split("~", maxsplit=1)[0].split("^")[1::-1]).strip()


def is_cda(content: bytes) -> bool:
    return b"<ClinicalDocument" in content[:4096]


def look_at_cda(content: bytes) -> RecordInfo:
    """The outside of a CDA document. Patterns over the head, not an XML parser: nothing expands, nothing is fetched."""
    text = content[:_HEAD_BYTES].decode("utf-8", "replace")
    role = _PATIENT_ROLE.search(text)
    patient = role[0] if role else ""
    ids, given, family = _ID.findall(patient), _GIVEN.search(patient), _FAMILY.search(patient)
    name = " ".join(part[1].strip() for part in (given, family) if part)
    time, title, marked = _TIME.search(text), _TITLE.search(text), _CONFIDENTIALITY.search(text)
    from_ms, until_ms = join_spans([span] if time and (span := packed_span(time[1])) else [])
    codings = _cda_codings(_text(content))
    sensitivity = find_sensitivity(codings)
    marks = [("v3-Confidentiality", marked[1])] if marked else []
    sections = {_CLASS_OF_SECTION[code] for system, code in codings if code in _CLASS_OF_SECTION}
    return RecordInfo(
        media_type=MediaType.CDA_XML,
        record_class=RecordClass.DOCUMENT,
        classes=mask([RecordClass.DOCUMENT, *sections]),
        label=label_from(marks, sensitivity),
        sensitivity=tuple(sorted(sensitivity)),
        subjects=(ids[0][:TEXT_MAX],) if ids else (),
        names=(name[:TEXT_MAX],) if name else (),
        from_ms=from_ms,
        until_ms=until_ms,
        title=title[1].strip()[:TEXT_MAX] if title else "CDA",
    )


def _text(content: bytes) -> str:
    """All of it: a hint may stand anywhere."""
    return content.decode("utf-8", "replace")


def _cda_codings(text: str) -> list[Coding]:
    """Every code with its system, by OID."""
    found: list[Coding] = []
    for element in _CODED.findall(text):
        code, system = _CODE.search(element), _CODE_SYSTEM.search(element)
        if code and system:
            found.append((f"urn:oid:{system[1]}", code[1]))
    return found
