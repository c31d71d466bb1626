"""Cutting records into resources: which fit, and whether each proves itself against the tree of the whole."""

import json
from dataclasses import replace
from hashlib import blake2b
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l1.ground.codes import Label, MediaType, RecordClass, mask
from l2.records import Piece, Selection, Slice, identify, make_extract, pieces_of, plant, read_extract
from l2.records.dates import ONGOING_MS, fhir_span

ANY = Selection(subject="p1", classes=2**32 - 1, from_ms=0, until_ms=ONGOING_MS)
SCT = "http://snomed.info/sct"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"


def slices(pieces: list[Piece]) -> list[Slice]:
    return [piece.slice for piece in pieces]


def coded(code: str) -> dict[str, Any]:
    return {"coding": [{"system": SCT, "code": code}]}


def resource(kind: str, name: str, patient: str | None = "p1", **fields: Any) -> dict[str, Any]:
    about = {} if patient is None else {"subject": {"reference": f"Patient/{patient}"}}
    return {"resourceType": kind, "id": name, **about, **fields}


def bundle(*resources: object, **fields: Any) -> bytes:
    entries = [{"fullUrl": f"urn:uuid:{n}", "resource": resource} for n, resource in enumerate(resources)]
    return json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries} | fields, indent=1).encode()


def salt_of(number: int) -> bytes:
    return blake2b(number.to_bytes(4, "big"), digest_size=16).digest()


def ids(pieces: list[Piece], selection: Selection, *, alone: bool = True) -> list[str]:
    return [piece.outside.id for piece in pieces if selection.takes(piece, alone=alone)]


def year(number: int) -> tuple[int, int]:
    span = fhir_span(str(number))
    assert span is not None
    return span


def within(number: int) -> Selection:
    begin, end = year(number)
    return replace(ANY, from_ms=begin, until_ms=end)


def look(*resources: object, **fields: Any) -> list[Piece]:
    return pieces_of(bundle(*resources, **fields), MediaType.FHIR_JSON)


def test_a_period_takes_what_it_touches_and_what_goes_on() -> None:
    pieces = look(
        resource("Observation", "before", effectiveDateTime="2019-12-31T23:59:59Z", issued="2020-02-01T00:00:00Z"),
        resource("Observation", "inside", effectiveDateTime="2020-06"),
        resource("Encounter", "across", period={"start": "2019-12-31", "end": "2020-01-01"}),
        resource("CarePlan", "open", period={"start": "2001-01-01"}),
        resource("Condition", "still", onsetDateTime="2011-01-01", clinicalStatus={"coding": [{"code": "active"}]}),
        resource("Condition", "over", onsetDateTime="2011", abatementDateTime="2012"),
        resource("Condition", "once", onsetDateTime="2011"),
        resource("Observation", "written", issued="2020-02-01T00:00:00Z"),
        resource("DocumentReference", "context", date="2021", context={"period": {"start": "2020", "end": "2020"}}),
        resource("Specimen", "drawn", receivedTime="2021", collection={"collectedDateTime": "2020-03-01"}),
        resource("Goal", "undated"),
        resource("Observation", "after", effectiveDateTime="2021-01-01"),
    )
    wanted = ["inside", "across", "open", "still", "written", "context", "drawn", "undated"]
    assert ids(pieces, within(2020)) == wanted


def test_a_class_takes_what_holds_no_other_class() -> None:
    inner = {"resourceType": "Bundle", "entry": [{"resource": resource("Condition", "c")}]}
    pieces = look(resource("Observation", "o"), resource("Condition", "c"), {**inner, "id": "nested"})
    observations = mask([RecordClass.OBSERVATION])
    assert ids(pieces, Selection("p1", observations, 0, ONGOING_MS)) == ["o"]
    assert ids(pieces, Selection("p1", mask([RecordClass.CONDITION]), 0, ONGOING_MS)) == ["c"]
    nested = mask([RecordClass.CONDITION, RecordClass.BUNDLE])
    assert ids(pieces, Selection("p1", nested, 0, ONGOING_MS)) == ["c", "nested"]


def test_nobody_elses_and_nobodys_only_where_it_can_be_about_no_other() -> None:
    patient = {"resourceType": "Patient", "id": "p1"}
    pieces = look(
        patient,
        resource("Observation", "other", "p2"),
        resource("Observation", "by-url", None, subject={"reference": "urn:uuid:0"}),
        resource("Appointment", "both", None, participant=[{"actor": {"reference": f"Patient/p{n}"}} for n in (1, 2)]),
        resource("Medication", "nobody", None),
        resource("Organization", "directory", None),
    )
    assert ids(pieces, ANY, alone=False) == ["p1", "by-url", "directory"]
    assert ids(pieces, ANY, alone=True) == ["p1", "by-url", "nobody", "directory"]


@pytest.mark.parametrize(
    "hidden",
    [
        {"component": [{"code": coded("86406008")}]},
        {"contained": [{"resourceType": "Condition", "code": coded("86406008")}]},
        {"extension": [{"url": "urn:x", "valueCodeableConcept": coded("86406008")}]},
        {
            "contained": [
                {"resourceType": "Condition", "meta": {"security": [{"system": CONFIDENTIALITY, "code": "R"}]}}
            ]
        },
    ],
)
def test_a_hint_counts_wherever_it_stands(hidden: dict[str, Any]) -> None:
    (piece,) = look(resource("Observation", "o", **hidden))
    assert piece.outside.label == Label.R
    assert ids([piece], Selection("p1", 2**32 - 1, 0, ONGOING_MS, label=Label.N)) == []
    assert ids([piece], Selection("p1", 2**32 - 1, 0, ONGOING_MS, label=Label.R)) == ["o"]


def test_a_bundles_own_mark_holds_for_all_in_it() -> None:
    marked = {"meta": {"security": [{"system": CONFIDENTIALITY, "code": "V"}]}}
    assert [piece.outside.label for piece in look(resource("Goal", "g"), **marked)] == [Label.V]
    assert identify(bundle(resource("Goal", "g"), **marked)).label == Label.V
    sensitive = {"meta": {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "ETH"}]}}
    assert identify(bundle(resource("Goal", "g"), **sensitive)).label == Label.R


def test_an_extract_is_the_very_bytes_with_proofs() -> None:
    content = bundle(*(resource("Observation", f"o{n}", valueString="ä\n") for n in range(5)))
    pieces = pieces_of(content, MediaType.FHIR_JSON)
    tree = plant(slices(pieces), salt_of)
    extract = make_extract(slices(pieces), [1, 3], tree, Label.R)
    told = read_extract(extract)
    assert told is not None
    assert (told.root, told.size, told.pieces, told.fault) == (tree.root, 8, 2, "")
    arrived = pieces_of(extract, MediaType.FHIR_JSON)
    assert slices(arrived) == [pieces[n].slice for n in (1, 3)]
    info = identify(extract)
    assert (info.root, info.unproven, info.label, info.resources) == (tree.root, "", Label.R, 2)
    assert read_extract(content) is None
    odd = read_extract(extract.replace(b'"entry":[', b'"entry":[5,'))
    assert odd is not None
    assert "does not decode" in odd.fault


def test_a_line_of_a_bulk_export_proves_itself_too() -> None:
    lines = [json.dumps(resource("Observation", f"o{n}", f"p{n}")) for n in range(3)]
    pieces = pieces_of(("  \r\n".join(lines) + "\n").encode(), MediaType.FHIR_NDJSON)
    tree = plant(slices(pieces), salt_of)
    told = read_extract(make_extract(slices(pieces), [2], tree, Label.N))
    assert told is not None
    assert told.fault == ""


def _twice(text: bytes) -> bytes:
    entry = text[text.index(b'"entry":[') + len(b'"entry":[') : -2]
    return text[:-2] + b"," + entry + b"]}"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda text: text.replace(b'"o1"', b'"o2"'), "another root"),
        (lambda text: text.replace(b"urn:uuid:1", b"urn:uuid:9"), "another root"),
        (lambda text: text.replace(b"record-piece", b"record-peace"), "no proof"),
        (lambda text: text.replace(b'"entry":[', b'"entry":[{"resource":{"resourceType":"Goal"}},'), "no proof"),
        (_twice, "one place"),
        (lambda text: text.replace(b'"valueBase64Binary":"', b'"valueBase64Binary":"!'), "does not decode"),
    ],
)
def test_a_changed_extract_says_what_is_wrong(change: Any, fault: str) -> None:
    pieces = look(*(resource("Observation", f"o{n}") for n in range(3)))
    changed = change(make_extract(slices(pieces), [1], plant(slices(pieces), salt_of), Label.N))
    told = read_extract(changed)
    assert told is not None
    assert fault in told.fault
    assert identify(changed).unproven == told.fault


def test_places_say_nothing_of_the_order() -> None:
    pieces = look(*(resource("Observation", f"o{n}") for n in range(40)))
    tree = plant(slices(pieces), salt_of)
    assert tree.size == 64
    places = [tree.proof(n)[0] for n in range(40)]
    assert places != sorted(places)
    assert plant(slices(pieces), lambda n: bytes([n]) * 16).root != tree.root


@given(count=st.integers(1, 33), chosen=st.sets(st.integers(0, 32), min_size=1))
def test_any_choice_is_proven(count: int, chosen: set[int]) -> None:
    pieces = look(*(resource("Observation", f"o{n}") for n in range(count)))
    wanted = sorted({n % count for n in chosen})
    told = read_extract(make_extract(slices(pieces), wanted, plant(slices(pieces), salt_of), Label.N))
    assert told is not None
    assert (told.fault, told.pieces) == ("", len(wanted))


@given(st.binary(max_size=80))
def test_no_bytes_raise(junk: bytes) -> None:
    read_extract(junk)
    read_extract(b'{"resourceType":"Bundle","meta":{"extension":[{"url":"urn:interward:record-tree",' + junk)
    pieces_of(junk, MediaType.FHIR_JSON)
    pieces_of(junk, MediaType.FHIR_NDJSON)
