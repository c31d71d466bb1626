"""One FHIR resource from outside: whose it is, of which class, from when, how sensitive.

Read from the parsed resource without a model: whatever has an unexpected shape is passed over. Codes are looked for
everywhere below the resource, contained and nested ones included, since a label must not depend on where somebody put
a code. Sources: FHIR R4, sections 2.36 (patient compartment), 2.24 (dates), 6.1.1 (security labels).
"""

from collections.abc import Container, Iterator
from typing import Any, NamedTuple

import msgspec

from l1.ground.codes import Label, RecordClass, mask
from l2.records.classes import CLASS_OF
from l2.records.dates import ONGOING_MS, Span, fhir_span
from l2.records.labels import Coding, find_sensitivity, label_from
from l2.records.limits import TEXT_MAX

__all__ = ["NOT_READ", "Outside", "look_at_resource", "marks_of", "patient_of", "security_of"]

_HOLDERS = ("Bundle", "Parameters")
NESTING_MAX = 64  # bundles within bundles; deeper ones are somebody's joke


class Outside(NamedTuple):
    """[PIECE-2] What policy knows of one resource. `span` is None where it has no date, `subjects` empty where it
    names nobody; `patient` is its own id where it is a Patient."""

    kind: str
    id: str
    classes: int
    patient: str
    subjects: tuple[str, ...]
    names: tuple[str, ...]
    span: Span | None
    label: Label
    sensitivity: frozenset[str]


NOT_READ = Outside("", "", 1 << RecordClass.OTHER, "", (), (), None, Label.N, frozenset())

# When the care was: what a period of data is about (FHIR R4, Patient/$everything: "care dates, not record currency").
_CARE = frozenset(
    (
        *("effectiveDateTime", "effectivePeriod", "effectiveInstant", "performedDateTime", "performedPeriod"),
        *("occurrenceDateTime", "occurrencePeriod", "occurredDateTime", "occurredPeriod", "period", "started"),
        *("onsetDateTime", "onsetPeriod", "abatementDateTime", "abatementPeriod", "lastOccurrence", "billablePeriod"),
        *("servicedDate", "servicedPeriod", "start", "end", "startDate", "whenHandedOver", "executionPeriod"),
        *("identifiedDateTime", "identifiedPeriod"),
    )
)
# When it was written down: only where nothing says when it was.
_WRITTEN = frozenset(
    (
        *("authoredOn", "authored", "recordedDate", "recorded", "issued", "created", "date", "dateTime", "sent"),
        *("received", "receivedTime", "statusDate", "whenPrepared", "timestamp", "indexed", "assertedDate"),
    )
)
# ... and one level down: of a Specimen, of a DocumentReference.
_CARE_INSIDE = (("collection", ("collectedDateTime", "collectedPeriod")), ("context", ("period",)))
_STILL = frozenset(("active", "recurrence", "relapse"))  # clinicalStatus of what goes on without an end
# Who it is about: where the R4 patient compartment looks.
_ABOUT = frozenset(("subject", "patient", "beneficiary", "for", "individual"))
# The same one level down: of an Appointment, of an AuditEvent or Provenance, of a Group.
_ABOUT_INSIDE = (("participant", "actor"), ("entity", "what"), ("member", "entity"))

_decode = msgspec.json.Decoder().decode


def look_at_resource(raw: bytes) -> Outside:
    """The outside of the resource that these bytes are; `NOT_READ` where they are none."""
    try:
        resource = _decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return NOT_READ
    if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
        return NOT_READ
    kind = resource["resourceType"]
    inside = list(_nested(resource)) if kind in _HOLDERS else [resource]
    sensitivity = find_sensitivity(_codings(resource))
    marks = [mark for part in (*inside, *_contained(inside)) if "meta" in part for mark in security_of(part["meta"])]
    spans = [span for part in inside if (span := _span_of(part)) is not None]
    return Outside(
        kind=kind[:TEXT_MAX],
        id=_text(resource.get("id")),
        classes=mask([CLASS_OF.get(str(part.get("resourceType")), RecordClass.OTHER) for part in inside]),
        patient=_text(resource.get("id")) if kind == "Patient" else "",
        subjects=tuple(dict.fromkeys([name for part in inside for name in _subjects(part)])),
        names=tuple([name for part in inside if part.get("resourceType") == "Patient" for name in _names(part)]),
        span=(min(spans)[0], max([end for _, end in spans])) if spans else None,
        label=label_from(marks, sensitivity),
        sensitivity=frozenset(sensitivity),
    )


def _nested(resource: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The resource, and the full ones that a Bundle or Parameters holds. Not `contained` ones: they are parts of it."""
    waiting = [(resource, 0)]
    while waiting:
        part, depth = waiting.pop()
        yield part
        if part.get("resourceType") not in _HOLDERS or depth >= NESTING_MAX:
            continue
        below = _list(part.get("entry")) + _list(part.get("parameter"))
        while below:
            holder = below.pop()
            if isinstance(found := _get(holder, "resource"), dict):
                waiting.append((found, depth + 1))
            below += _list(_get(holder, "part"))


def _contained(parts: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for part in parts:
        if "contained" in part:
            yield from (inner for inner in _list(part["contained"]) if isinstance(inner, dict))


def _codings(value: object) -> list[Coding]:
    """Every system with its code below a value. A stack, not recursion: the depth is the sender's choice."""
    found: list[Coding] = []
    stack = [value]
    while stack:
        here = stack.pop()
        if type(here) is dict:
            if type(code := here.get("code")) is str and type(system := here.get("system")) is str:
                found.append((system, code))
            stack += here.values()
        elif type(here) is list:
            stack += here
    return found


def security_of(meta: object) -> list[Coding]:
    """What a sender has marked: the codings of `meta.security`."""
    return [
        (system, code)
        for coding in _list(_get(meta, "security"))
        if isinstance(system := _get(coding, "system"), str) and isinstance(code := _get(coding, "code"), str)
    ]


def marks_of(meta: object) -> Label:
    """The label that a Bundle's own marks ask for, for everything in it; U without one."""
    marks = security_of(meta)
    return label_from(marks, find_sensitivity(marks)) if marks else Label.U


def _span_of(part: dict[str, Any]) -> Span | None:
    spans = _dates(part, _CARE) or _dates(part, _WRITTEN)
    for holder, fields in _CARE_INSIDE:
        if holder in part and isinstance(inner := part[holder], dict):
            spans = _dates(inner, fields) or spans
    if not spans:
        return None
    start, end = min(spans)[0], max([last for _, last in spans])
    ended = "abatementDateTime" in part or "abatementPeriod" in part
    return start, end if ended or not _goes_on(part) else ONGOING_MS


def _goes_on(part: dict[str, Any]) -> bool:
    if "clinicalStatus" not in part:
        return False
    status = _get(part["clinicalStatus"], "coding")
    return any(_get(coding, "code") in _STILL for coding in _list(status))


def _dates(part: dict[str, Any], fields: Container[str]) -> list[Span]:
    spans: list[Span] = []
    for value in [value for name, value in part.items() if name in fields]:
        if isinstance(value, dict):
            start, end = fhir_span(value.get("start")), fhir_span(value.get("end"))
            if start is not None:
                # R4, section 2.24.0.13: a period without an end goes on.
                spans.append((start[0], ONGOING_MS if end is None else end[1]))
            elif end is not None:
                spans.append(end)
        elif (span := fhir_span(value)) is not None:
            spans.append(span)
    return spans


def _subjects(part: dict[str, Any]) -> Iterator[str]:
    named = [value for field, value in part.items() if field in _ABOUT]
    for field, inner in _ABOUT_INSIDE:
        if field in part:
            named += [_get(one, inner) for one in _list(part[field])]
    for field in named:
        for reference in field if isinstance(field, list) else [field]:
            if isinstance(text := _get(reference, "reference"), str) and (found := patient_of(text)):
                yield found


def patient_of(reference: str) -> str:
    """The local patient id of a reference; empty where it points at something else, such as a group or location."""
    if reference.startswith("urn:uuid:"):
        return reference[len("urn:uuid:") :][:TEXT_MAX]
    kind, _, name = reference.partition("/_history/")[0].rpartition("/")
    return name[:TEXT_MAX] if kind == "Patient" or kind.endswith("/Patient") else ""


def _names(part: dict[str, Any]) -> Iterator[str]:
    for name in _list(part.get("name")):
        given, family = _list(_get(name, "given")), _get(name, "family")
        spoken = " ".join(word for word in (*given, family) if isinstance(word, str)) or _get(name, "text")
        if isinstance(spoken, str) and spoken:
            yield spoken[:TEXT_MAX]


def _get(value: object, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _list(value: object) -> list[Any]:
    return list(value) if isinstance(value, list) else []


def _text(value: object) -> str:
    return value[:TEXT_MAX] if isinstance(value, str) else ""
