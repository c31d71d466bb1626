"""A thin look at FHIR R4 JSON: a typed envelope and raw slices, never a model library, never a re-serialisation.

Knows Bundles of any type, single resources and NDJSON. Reads only what policy asks for: whose, of which class, from
when, how sensitive. Whatever has an unexpected shape is passed over: a record is shared as it is, however odd.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from l1.ground.codes import Label, MediaType, RecordClass, mask
from l2.records.classes import CLASS_OF
from l2.records.dates import Span, fhir_span, join_spans
from l2.records.info import RecordInfo
from l2.records.labels import Coding, find_sensitivity, label_from
from l2.records.limits import NAMES_MAX, SUBJECTS_MAX, TEXT_MAX

__all__ = ["look_at_json", "look_at_ndjson", "split"]


_NOTHING = msgspec.Raw(b"")


class _Bundle(msgspec.Struct):
    resourceType: str  # noqa: N815 - FHIR's own spelling
    type: Any = None
    entry: list[msgspec.Raw] | None = None


class _Entry(msgspec.Struct):
    resource: msgspec.Raw = _NOTHING


class _Head(msgspec.Struct):
    """The fields of any resource that policy reads; `Any`, since a resource may use a name for something else."""

    resourceType: str  # noqa: N815
    id: Any = None
    meta: Any = None
    name: Any = None
    # whose
    subject: Any = None
    patient: Any = None
    beneficiary: Any = None
    # what: wherever FHIR puts codes
    code: Any = None
    type: Any = None
    category: Any = None
    reasonCode: Any = None  # noqa: N815
    valueCodeableConcept: Any = None  # noqa: N815
    medicationCodeableConcept: Any = None  # noqa: N815
    vaccineCode: Any = None  # noqa: N815
    activity: Any = None
    item: Any = None
    diagnosis: Any = None
    procedure: Any = None
    # when
    period: Any = None
    effectiveDateTime: Any = None  # noqa: N815
    effectivePeriod: Any = None  # noqa: N815
    performedDateTime: Any = None  # noqa: N815
    performedPeriod: Any = None  # noqa: N815
    occurrenceDateTime: Any = None  # noqa: N815
    onsetDateTime: Any = None  # noqa: N815
    abatementDateTime: Any = None  # noqa: N815
    billablePeriod: Any = None  # noqa: N815
    recordedDate: Any = None  # noqa: N815
    authoredOn: Any = None  # noqa: N815
    started: Any = None
    issued: Any = None
    created: Any = None
    date: Any = None
    dateTime: Any = None  # noqa: N815
    recorded: Any = None


_CODED = (
    *("code", "type", "category", "reasonCode", "valueCodeableConcept", "medicationCodeableConcept"),
    *("vaccineCode", "activity", "item", "diagnosis", "procedure"),
)
_DATED = (
    *("period", "effectiveDateTime", "effectivePeriod", "performedDateTime", "performedPeriod"),
    *("occurrenceDateTime", "onsetDateTime", "abatementDateTime", "billablePeriod", "recordedDate"),
    *("authoredOn", "started", "issued", "created", "date", "dateTime", "recorded"),
)

_bundle = msgspec.json.Decoder(_Bundle).decode
_entry = msgspec.json.Decoder(_Entry).decode
_head = msgspec.json.Decoder(_Head).decode


def split(content: bytes, media_type: int) -> list[bytes]:
    """The resources of a Bundle or NDJSON as raw slices; a single resource as itself. Never re-serialised."""
    if media_type == MediaType.FHIR_NDJSON:
        return [line for line in content.splitlines() if line.strip()]
    outer = _bundle(content)
    if outer.resourceType != "Bundle":
        return [content]
    resources = (bytes(_entry(entry).resource) for entry in outer.entry or [])
    return [resource for resource in resources if resource not in (b"", b"null")]


def look_at_json(content: bytes) -> RecordInfo | None:
    """The outside of a Bundle or resource; None where this is no FHIR."""
    try:
        outer = _bundle(content)
        resources = split(content, MediaType.FHIR_JSON)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    if not outer.resourceType[:1].isupper():
        return None
    bundle = outer.resourceType == "Bundle"
    title = f"Bundle {outer.type}"[:TEXT_MAX] if bundle else outer.resourceType[:TEXT_MAX]
    own = RecordClass.BUNDLE if bundle else CLASS_OF.get(outer.resourceType, RecordClass.OTHER)
    return _gather(resources, MediaType.FHIR_JSON, own, title)


def look_at_ndjson(content: bytes) -> RecordInfo | None:
    """The outside of a bulk export; None unless every line is a resource."""
    lines = split(content, MediaType.FHIR_NDJSON)
    try:
        kinds = {_bundle(line).resourceType for line in lines}
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    if len(lines) < 2:
        return None
    own = CLASS_OF.get(next(iter(kinds)), RecordClass.OTHER) if len(kinds) == 1 else RecordClass.BUNDLE
    return _gather(lines, MediaType.FHIR_NDJSON, own, f"NDJSON {', '.join(sorted(kinds))}"[:TEXT_MAX])


class _Gathered:
    """What the resources of one record add up to."""

    def __init__(self) -> None:
        self.subjects: Counter[str] = Counter()
        self.patients: dict[str, None] = {}
        self.names: dict[str, None] = {}
        self.spans: list[Span] = []
        self.sensitivity: set[str] = set()
        self.classes: set[int] = set()
        self.label: Label | None = None

    def add(self, raw: bytes) -> None:
        try:
            head = _head(raw)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return
        marks = [] if head.meta is None else list(_codings({"coding": _get(head.meta, "security")}))
        codes = [
            coding for field in _CODED if (value := getattr(head, field)) is not None for coding in _codings(value)
        ]
        sensitivity = find_sensitivity([*codes, *marks])
        label = label_from(marks, sensitivity)
        self.sensitivity |= sensitivity
        self.label = label if self.label is None else max(self.label, label)
        self.classes.add(CLASS_OF.get(head.resourceType, RecordClass.OTHER))
        self.spans += [
            span for field in _DATED if (value := getattr(head, field)) is not None for span in _spans(value)
        ]
        self._add_person(head)

    def _add_person(self, head: _Head) -> None:
        if head.resourceType == "Patient":
            if isinstance(head.id, str):
                self.patients[head.id] = None
            self.names.update(dict.fromkeys(_names(head.name)))
            return
        for field in (head.subject, head.patient, head.beneficiary):
            reference = _get(field, "reference")
            if isinstance(reference, str) and (found := _patient_of(reference)):
                self.subjects[found] += 1


def _gather(resources: list[bytes], media_type: MediaType, own: RecordClass, title: str) -> RecordInfo:
    all_of = _Gathered()
    for raw in resources:
        all_of.add(raw)
    subjects = list(all_of.patients) or [name for name, _ in all_of.subjects.most_common()]
    from_ms, until_ms = join_spans(all_of.spans)
    return RecordInfo(
        media_type=media_type,
        record_class=own,
        classes=mask(all_of.classes),
        label=Label.N if all_of.label is None else all_of.label,
        sensitivity=tuple(sorted(all_of.sensitivity)),
        subjects=tuple(subjects[:SUBJECTS_MAX]),
        names=tuple(list(all_of.names)[:NAMES_MAX]),
        from_ms=from_ms,
        until_ms=until_ms,
        resources=len(resources),
        title=title,
    )


def _get(value: object, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _codings(value: object) -> Iterator[Coding]:
    """Every `Coding` below a value. A stack, not recursion: the depth is the sender's choice."""
    stack = [value]
    while stack:
        match stack.pop():
            case {"coding": [*codings]}:
                stack += codings
            case {"system": str(system), "code": str(code)}:
                yield system, code
            case dict() as inner:
                stack += inner.values()
            case list() as inner:
                stack += inner


def _spans(value: object) -> Iterator[Span]:
    ends = [_get(value, "start"), _get(value, "end")] if isinstance(value, dict) else [value]
    for end in ends:
        if (span := fhir_span(end)) is not None:
            yield span


def _names(value: object) -> Iterator[str]:
    for name in value if isinstance(value, list) else []:
        given, family, text = _get(name, "given"), _get(name, "family"), _get(name, "text")
        parts = [part for part in (*(given if isinstance(given, list) else []), family) if isinstance(part, str)]
        spoken = " ".join(parts) or text
        if isinstance(spoken, str) and spoken:
            yield spoken[:TEXT_MAX]


def _patient_of(reference: str) -> str:
    """The local patient id of a reference; empty where it points at something else, such as a group or location."""
    if reference.startswith("urn:uuid:"):
        return reference[len("urn:uuid:") :][:TEXT_MAX]
    kind, _, name = reference.rpartition("/")
    return name[:TEXT_MAX] if kind.rpartition("/")[2] == "Patient" else ""
