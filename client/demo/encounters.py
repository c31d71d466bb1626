"""The encounters in a data set: who saw a patient, as what, why and when. Record access follows from care.

A thin look at FHIR bundles, NDJSON and DICOM headers; what it cannot read has no encounters, and that is no error.
Knows nothing of channels.
"""

import io
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

import msgspec
import pydicom

from l1.ground.codes import PurposeOfUse, RecordClass, Role

__all__ = ["Encounter", "find_encounters"]

T = TypeVar("T")

DICOM_MAGIC = b"DICM"
ERA_BEGINS = datetime(1970, 1, 1, tzinfo=UTC)


class Encounter(NamedTuple):
    """`accesses` is how often the record is opened in its course, by whom and as what."""

    patient: str
    practitioner: str
    role: Role
    purpose: PurposeOfUse
    record_class: RecordClass
    from_ms: int
    until_ms: int
    accesses: tuple[tuple[str, Role], ...]


class _Coded(msgspec.Struct):
    code: str = ""


class _Reference(msgspec.Struct):
    reference: str = ""


class _Participant(msgspec.Struct):
    individual: _Reference | None = None


class _Period(msgspec.Struct):
    start: str = ""
    end: str = ""


class _Resource(msgspec.Struct):
    """The fields of Encounter that matter here; other resource types decode to their type alone."""

    resource_type: str = msgspec.field(default="", name="resourceType")
    setting: Any = msgspec.field(default=None, name="class")
    participant: Any = None
    period: Any = None
    service_provider: Any = msgspec.field(default=None, name="serviceProvider")


class _Entry(msgspec.Struct):
    resource: _Resource | None = None


class _Bundle(msgspec.Struct):
    entry: list[_Entry] = []


_decode_bundle = msgspec.json.Decoder(_Bundle).decode
_decode_resource = msgspec.json.Decoder(_Resource).decode


def find_encounters(content: bytes, patient: str) -> list[Encounter]:
    """The encounters of a file whose patient the hospital knows as `patient`."""
    if content[128:132] == DICOM_MAGIC:
        return _of_image(content, patient)
    return [
        _of_resource(resource, patient) for resource in _resources(content) if resource.resource_type == "Encounter"
    ]


def _resources(content: bytes) -> Iterator[_Resource]:
    try:
        bundle = _decode_bundle(content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        yield from _lines(content)
        return
    for entry in bundle.entry:
        if entry.resource is not None:
            yield entry.resource
    if not bundle.entry:
        yield from _lines(content)


def _lines(content: bytes) -> Iterator[_Resource]:
    for line in content.splitlines():
        try:
            yield _decode_resource(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return


def _of_resource(resource: _Resource, patient: str) -> Encounter:
    setting = _read(resource.setting, _Coded, _Coded()).code
    period = _read(resource.period, _Period, _Period())
    people = _read(resource.participant, list[_Participant], [])
    who = next((_name(p.individual) for p in people if p.individual), "practitioner")
    place = _name(_read(resource.service_provider, _Reference, _Reference(reference="hospital")))
    begins = _moment_ms(period.start)
    return Encounter(
        patient=patient,
        practitioner=who,
        role=Role.PHYSICIAN,
        purpose=PurposeOfUse.ETREAT if setting == "EMER" else PurposeOfUse.TREAT,
        record_class=RecordClass.ENCOUNTER,
        from_ms=begins,
        until_ms=max(begins, _moment_ms(period.end)),
        accesses=_team(who, place, setting),
    )


def _team(who: str, place: str, setting: str) -> tuple[tuple[str, Role], ...]:
    """Who opens the record in the course of a visit: more people, and more often, the graver it is."""
    doctor, nurse = (who, Role.PHYSICIAN), (f"{place}/nurse", Role.NURSE)
    if setting == "IMP":
        pharmacist, therapist = (f"{place}/pharmacist", Role.PHARMACIST), (f"{place}/therapist", Role.THERAPIST)
        return (doctor, nurse, pharmacist, doctor, nurse, therapist, nurse, doctor, nurse)
    if setting == "EMER":
        return (nurse, doctor, (f"{place}/technician", Role.TECHNICIAN), doctor, nurse, doctor)
    return (nurse, doctor, doctor, (f"{place}/pharmacist", Role.PHARMACIST))


def _of_image(content: bytes, patient: str) -> list[Encounter]:
    """An imaging study is an encounter with the one who reads it."""
    try:
        with warnings.catch_warnings(action="ignore"):
            header = pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True, specific_tags=_TAGS)
        day = str(header.get("StudyDate", ""))
        who = str(header.get("ReferringPhysicianName", "")) or "radiologist"
        modality = str(header.get("Modality", "")) or "OT"
    except Exception:  # what pydicom raises for damaged files is anybody's guess, and no encounter is no error
        return []
    begins = _moment_ms(f"{day[:4]}-{day[4:6]}-{day[6:8]}")
    reader = (f"{modality}/reader", Role.PHYSICIAN)
    return [
        Encounter(
            patient=patient,
            practitioner=who,
            role=Role.PHYSICIAN,
            purpose=PurposeOfUse.TREAT,
            record_class=RecordClass.IMAGING,
            from_ms=begins,
            until_ms=begins + 86_400_000,
            accesses=((f"{modality}/technician", Role.TECHNICIAN), reader, reader, (who, Role.PHYSICIAN)),
        )
    ]


_TAGS: list[Any] = ["StudyDate", "ReferringPhysicianName", "Modality"]


def _read(value: object, shape: type[T], default: T) -> T:
    """A part of a foreign resource, or the default where it is missing or not as FHIR says."""
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError:
        return default


def _name(reference: _Reference | None) -> str:
    assert reference is not None
    return reference.reference.removeprefix("urn:uuid:").rpartition("|")[2][:100] or "practitioner"


def _moment_ms(text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return 0
    return max(0, int((at.replace(tzinfo=at.tzinfo or UTC) - ERA_BEGINS).total_seconds() * 1000))
