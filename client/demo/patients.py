"""Generated patients: seeded lives over several hospitals, each one FHIR R4 transaction bundle in Synthea's shape.

The same seed gives the same bytes on every machine. Knows how a life goes: a yearly check-up, and the courses of the
conditions that fall to it. Every resource is tagged HTEST; nobody described here exists.
"""

import json
import random
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from client.demo import resources as fhir
from client.demo import terms
from client.demo.resources import Resource, Visit
from client.demo.terms import Code, Course, Measure

__all__ = ["GeneratedFile", "generate_patients"]

LAST_DAY = datetime(2026, 6, 30, 8, 0, tzinfo=UTC)
CHECK_UPS = 8
SENSITIVE_EVERY = 8  # one patient in eight, so that every demo has a few records with a higher label
CHECK_UP = Code("162673000", "General examination of patient (procedure)")


class GeneratedFile(NamedTuple):
    name: str
    content: bytes


def generate_patients(seed: int, count: int) -> list[GeneratedFile]:
    """`count` patients, one bundle each."""
    directory = _Directory(random.Random(f"interward directory {seed}"))  # noqa: S311 - reproducible, not secret
    return [_Life(seed, number, directory).file() for number in range(count)]


def _identifier(chance: random.Random) -> str:
    return str(UUID(int=chance.getrandbits(128), version=4))


class _Directory:
    """The hospitals of the region and their practitioners; all patients share them."""

    def __init__(self, chance: random.Random) -> None:
        self.hospitals = [
            fhir.organization(_identifier(chance), name, chance.choice(terms.CITIES)) for name in terms.HOSPITALS
        ]
        self.staff = {hospital["id"]: [self._doctor(chance) for _ in range(6)] for hospital in self.hospitals}

    def _doctor(self, chance: random.Random) -> Resource:
        name = {"family": _family(chance), "given": [_given(chance, chance.choice(("female", "male")))]}
        return fhir.practitioner(_identifier(chance), chance.randrange(1_000, 9_999), name)


def _family(chance: random.Random) -> str:
    return f"{chance.choice(terms.FAMILY_NAMES)}{chance.randrange(100, 999)}"


def _given(chance: random.Random, gender: str) -> str:
    return f"{chance.choice(terms.GIVEN_NAMES[gender])}{chance.randrange(100, 999)}"


class _Life:
    """One patient, written down visit by visit."""

    def __init__(self, seed: int, number: int, directory: _Directory) -> None:
        self._chance = chance = random.Random(f"interward patient {seed} {number}")  # noqa: S311 - reproducible
        self._directory = directory
        self._hospitals = chance.sample(directory.hospitals, chance.randint(1, 3))
        self._id = _identifier(chance)
        self._subject = fhir.reference(self._id)
        self._gender = chance.choice(("female", "male"))
        self._name = {"family": _family(chance), "given": [_given(chance, self._gender)]}
        self._born = LAST_DAY - timedelta(days=chance.randrange(20 * 365, 90 * 365))
        usual = [course for course in terms.COURSES if course not in terms.SENSITIVE]
        self._courses = chance.sample(usual, chance.randint(1, 3))
        if number % SENSITIVE_EVERY == 3:
            self._courses.append(terms.SENSITIVE[number // SENSITIVE_EVERY % len(terms.SENSITIVE)])
        self._written: list[Resource] = []
        self._seen: dict[str, Resource] = {}

    def file(self) -> GeneratedFile:
        for year in range(CHECK_UPS, 0, -1):
            self._check_up(LAST_DAY - timedelta(days=year * 365 - self._chance.randrange(90)))
        for course in self._courses:
            self._follow(course)
        if self._chance.random() < 0.5:
            allergy = self._chance.choice(terms.ALLERGIES)
            self._add(fhir.allergy(self._new_id(), self._subject, allergy, self._born + timedelta(days=2_000)))
        content = json.dumps(fhir.bundle(self._opening() + self._written), indent=2).encode()
        family, given = self._name["family"], self._name["given"][0]
        return GeneratedFile(f"{given}_{family}_{self._id}.json", content)

    def _opening(self) -> list[Resource]:
        patient = fhir.patient(
            self._id,
            f"{self._chance.randrange(10**9):09d}",
            name=self._name,
            gender=self._gender,
            born=self._born,
            race=self._chance.choice(terms.RACES),
        )
        return [patient, *self._seen.values()]

    def _new_id(self) -> str:
        return _identifier(self._chance)

    def _add(self, resource: Resource) -> Resource:
        self._written.append(resource)
        return fhir.reference(resource["id"])

    def _visit(self, kind: Code, setting: str, at: datetime, reason: Code | None) -> Visit:
        hospital = self._chance.choice(self._hospitals)
        doctor = self._chance.choice(self._directory.staff[hospital["id"]])
        for met in (hospital, doctor):
            self._seen.setdefault(met["id"], met)
        visit = Visit(
            id=self._new_id(),
            kind=kind,
            setting=setting,
            subject=self._subject,
            doctor=fhir.reference(doctor["id"]),
            place=fhir.reference(hospital["id"]),
            begins=at,
            ends=at + (timedelta(days=self._chance.randint(1, 9)) if setting == "IMP" else timedelta(minutes=30)),
        )
        self._add(fhir.encounter(visit, reason))
        dollars = round(self._chance.uniform(80, 400) * (30 if setting == "IMP" else 1), 2)
        self._add(fhir.claim(self._new_id(), visit, dollars))
        return visit

    def _measure(self, visit: Visit, category: str, measure: Measure) -> Resource:
        value = fhir.quantity(measure, round(self._chance.gauss(measure.mean, measure.spread), 2))
        made = fhir.observation(self._new_id(), visit, category, measure.code, value)
        self._add(made)
        return made

    def _vitals(self, visit: Visit) -> None:
        for measure in terms.VITALS:
            self._measure(visit, "vital-signs", measure)
        parts = []
        for part in (terms.SYSTOLIC, terms.DIASTOLIC):
            value = fhir.quantity(part, round(self._chance.gauss(part.mean, part.spread)))
            parts.append({"code": fhir.coded(fhir.LOINC, part.code), **value})
        self._add(fhir.observation(self._new_id(), visit, "vital-signs", terms.BLOOD_PRESSURE, {"component": parts}))

    def _panel(self, visit: Visit) -> None:
        panel, measures = self._chance.choice(list(terms.LABS.items()))
        results = [self._measure(visit, "laboratory", measure) for measure in measures]
        self._add(fhir.report(self._new_id(), visit, panel, results))

    def _check_up(self, at: datetime) -> None:
        visit = self._visit(CHECK_UP, "AMB", at, None)
        self._vitals(visit)
        state = {"valueCodeableConcept": fhir.coded(fhir.SNOMED, self._chance.choice(terms.SMOKING_STATES))}
        self._add(fhir.observation(self._new_id(), visit, "social-history", terms.SMOKING, state))
        self._panel(visit)
        self._add(fhir.immunization(self._new_id(), visit, self._chance.choice(terms.VACCINES)))

    def _follow(self, course: Course) -> None:
        at = LAST_DAY - timedelta(days=self._chance.randrange(400, 2_500))
        visit = self._visit(course.visit, course.setting, at, course.condition)
        over = course.visits == 1
        problem = self._add(fhir.condition(self._new_id(), visit, course.condition, over=over))
        if course.plan:
            self._add(fhir.care_plan(self._new_id(), visit, course, problem))
        if course.imaging:
            uid = f"1.2.840.99999999.1.{self._chance.randrange(10**8)}"
            self._add(fhir.imaging_study(self._new_id(), visit, uid, course.imaging))
        self._treat(course, visit, problem)
        for _ in range(course.visits - 1):
            at += timedelta(days=self._chance.randrange(20, 60))
            self._treat(course, self._visit(course.visit, course.setting, at, course.condition), problem)

    def _treat(self, course: Course, visit: Visit, problem: Resource) -> None:
        self._vitals(visit)
        for procedure in course.procedures:
            self._add(fhir.procedure(self._new_id(), visit, procedure))
        for drug in course.medications:
            self._add(fhir.medication(self._new_id(), visit, drug, problem))
        if course.condition.display == "Diabetes":
            self._measure(visit, "laboratory", terms.HBA1C)
        self._panel(visit)
