"""One function per FHIR R4 resource type: plain values in, the resource as Synthea would write it out.

Knows FHIR's field names, not how a life goes. Source: HL7 FHIR 4.0.1; Synthea's R4 exporter.
"""

from datetime import datetime
from typing import Any, NamedTuple

from client.demo.terms import Code, Course, Imaging, Measure

__all__ = ["Resource", "Visit", "bundle", "coded", "reference"]

Resource = dict[str, Any]

SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
CVX = "http://hl7.org/fhir/sid/cvx"
HL7 = "http://terminology.hl7.org/CodeSystem"
TEST_DATA = {"tag": [{"system": f"{HL7}/v3-ActReason", "code": "HTEST", "display": "test health data"}]}


class Visit(NamedTuple):
    """What the resources written at one encounter have in common."""

    id: str
    kind: Code
    setting: str
    subject: Resource
    doctor: Resource
    place: Resource
    begins: datetime
    ends: datetime

    @property
    def reference(self) -> Resource:
        return reference(self.id)

    @property
    def period(self) -> Resource:
        return {"start": _moment(self.begins), "end": _moment(self.ends)}


def coded(system: str, code: Code) -> Resource:
    return {"coding": [{"system": system, "code": code.code, "display": code.display}], "text": code.display}


def reference(identifier: str) -> Resource:
    return {"reference": f"urn:uuid:{identifier}"}


def bundle(resources: list[Resource]) -> Resource:
    """A transaction bundle, as one posts to a FHIR server."""
    entries = [
        {
            "fullUrl": f"urn:uuid:{resource['id']}",
            "resource": resource,
            "request": {"method": "POST", "url": resource["resourceType"]},
        }
        for resource in resources
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="seconds")


def _status(name: str, code: str) -> Resource:
    return {"coding": [{"system": f"{HL7}/{name}", "code": code}]}


def _start(kind: str, identity: str, **fields: Any) -> Resource:
    return {"resourceType": kind, "id": identity, "meta": TEST_DATA, **fields}


def _during(kind: str, identity: str, visit: Visit, **fields: Any) -> Resource:
    return _start(kind, identity, subject=visit.subject, encounter=visit.reference, **fields)


def organization(identity: str, name: str, city: tuple[str, str, str]) -> Resource:
    address = {"city": city[0].upper(), "state": city[1], "postalCode": city[2], "country": "US"}
    kind = coded(f"{HL7}/organization-type", Code("prov", "Healthcare Provider"))
    return _start("Organization", identity, active=True, type=[kind], name=name, address=[address])


def practitioner(identity: str, number: int, name: Resource) -> Resource:
    npi = {"system": "http://hl7.org/fhir/sid/us-npi", "value": str(number)}
    return _start("Practitioner", identity, identifier=[npi], active=True, name=[{**name, "prefix": ["Dr."]}])


def patient(identity: str, number: str, *, name: Resource, gender: str, born: datetime, race: Code) -> Resource:
    record_number = {"type": _status("v2-0203", "MR"), "system": "http://hospital.smarthealthit.org", "value": number}
    omb = {"system": "urn:oid:2.16.840.1.113883.6.238", "code": race.code, "display": race.display}
    parts = [{"url": "ombCategory", "valueCoding": omb}, {"url": "text", "valueString": race.display}]
    return _start(
        "Patient",
        identity,
        extension=[{"url": "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race", "extension": parts}],
        identifier=[record_number],
        name=[{"use": "official", **name}],
        gender=gender,
        birthDate=born.date().isoformat(),
    )


def encounter(visit: Visit, reason: Code | None) -> Resource:
    reasons = {"reasonCode": [{"coding": coded(SNOMED, reason)["coding"]}]} if reason else {}
    return _start(
        "Encounter",
        visit.id,
        status="finished",
        **{"class": {"system": f"{HL7}/v3-ActCode", "code": visit.setting}},
        type=[coded(SNOMED, visit.kind)],
        subject=visit.subject,
        participant=[{"individual": visit.doctor}],
        period=visit.period,
        **reasons,
        serviceProvider=visit.place,
    )


def condition(identity: str, visit: Visit, code: Code, *, over: bool) -> Resource:
    return _during(
        "Condition",
        identity,
        visit,
        clinicalStatus=_status("condition-clinical", "resolved" if over else "active"),
        verificationStatus=_status("condition-ver-status", "confirmed"),
        code=coded(SNOMED, code),
        onsetDateTime=_moment(visit.begins),
        recordedDate=_moment(visit.begins),
    )


def observation(identity: str, visit: Visit, category: str, code: Code, value: Resource) -> Resource:
    return _during(
        "Observation",
        identity,
        visit,
        status="final",
        category=[_status("observation-category", category)],
        code=coded(LOINC, code),
        effectiveDateTime=_moment(visit.begins),
        issued=_moment(visit.begins),
        **value,
    )


def quantity(measure: Measure, value: float) -> Resource:
    unit = {"unit": measure.unit, "system": "http://unitsofmeasure.org", "code": measure.unit}
    return {"valueQuantity": {"value": value, **unit}}


def report(identity: str, visit: Visit, panel: Code, results: list[Resource]) -> Resource:
    return _during(
        "DiagnosticReport",
        identity,
        visit,
        status="final",
        category=[_status("v2-0074", "LAB")],
        code=coded(LOINC, panel),
        effectiveDateTime=_moment(visit.begins),
        issued=_moment(visit.begins),
        result=[{**reference(result["id"]), "display": result["code"]["text"]} for result in results],
    )


def procedure(identity: str, visit: Visit, code: Code) -> Resource:
    done = {"status": "completed", "code": coded(SNOMED, code), "performedPeriod": visit.period}
    return _during("Procedure", identity, visit, **done)


def medication(identity: str, visit: Visit, code: Code, reason: Resource) -> Resource:
    return _during(
        "MedicationRequest",
        identity,
        visit,
        status="stopped",
        intent="order",
        medicationCodeableConcept=coded(RXNORM, code),
        authoredOn=_moment(visit.begins),
        requester=visit.doctor,
        reasonReference=[reason],
    )


def immunization(identity: str, visit: Visit, code: Code) -> Resource:
    return _start(
        "Immunization",
        identity,
        status="completed",
        vaccineCode=coded(CVX, code),
        patient=visit.subject,
        encounter=visit.reference,
        occurrenceDateTime=_moment(visit.begins),
        primarySource=True,
    )


def allergy(identity: str, subject: Resource, code: Code, at: datetime) -> Resource:
    return _start(
        "AllergyIntolerance",
        identity,
        clinicalStatus=_status("allergyintolerance-clinical", "active"),
        verificationStatus=_status("allergyintolerance-verification", "confirmed"),
        type="allergy",
        criticality="low",
        code=coded(SNOMED, code),
        patient=subject,
        recordedDate=_moment(at),
    )


def care_plan(identity: str, visit: Visit, course: Course, problem: Resource) -> Resource:
    assert course.plan is not None
    activities = [
        {"detail": {"code": coded(SNOMED, activity), "status": "in-progress"}} for activity in course.activities
    ]
    return _during(
        "CarePlan",
        identity,
        visit,
        status="active",
        intent="order",
        category=[coded(SNOMED, course.plan)],
        period={"start": _moment(visit.begins)},
        addresses=[problem],
        activity=activities,
    )


def imaging_study(identity: str, visit: Visit, uid: str, imaging: Imaging) -> Resource:
    modality = {"system": "http://dicom.nema.org/resources/ontology/DCM", **imaging.modality._asdict()}
    instance = {
        "uid": f"{uid}.1.1",
        "sopClass": {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{imaging.sop_class}"},
        "number": 1,
        "title": f"Image of {imaging.site.display.lower()}",
    }
    series = {
        "uid": f"{uid}.1",
        "number": 1,
        "modality": modality,
        "numberOfInstances": 1,
        "bodySite": {"system": SNOMED, **imaging.site._asdict()},
        "started": _moment(visit.begins),
        "instance": [instance],
    }
    return _during(
        "ImagingStudy",
        identity,
        visit,
        identifier=[{"use": "official", "system": "urn:ietf:rfc:3986", "value": f"urn:oid:{uid}"}],
        status="available",
        started=_moment(visit.begins),
        numberOfSeries=1,
        numberOfInstances=1,
        series=[series],
    )


def claim(identity: str, visit: Visit, dollars: float) -> Resource:
    item = {"sequence": 1, "productOrService": coded(SNOMED, visit.kind), "encounter": [visit.reference]}
    return _start(
        "Claim",
        identity,
        status="active",
        type=_status("claim-type", "institutional"),
        use="claim",
        patient=visit.subject,
        billablePeriod=visit.period,
        created=_moment(visit.ends),
        provider=visit.place,
        priority=_status("processpriority", "normal"),
        insurance=[{"sequence": 1, "focal": True, "coverage": {"display": "private"}}],
        item=[item],
        total={"value": dollars, "currency": "USD"},
    )
