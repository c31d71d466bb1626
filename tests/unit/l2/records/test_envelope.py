"""The outside of records: made ones, odd ones, and every file of the shared data."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l1.ground.codes import Label, MediaType, RecordClass, unmask
from l2.records import identify, unpack_gzip
from l2.records.fhir import slices_of
from l2.records.labels import LABEL_OF, find_sensitivity, label_from

DATA = Path(__file__).parents[5] / "shared" / "data"

PATIENT = {"resourceType": "Patient", "id": "p1", "name": [{"given": ["Ann"], "family": "Example"}]}
OVERDOSE = {
    "resourceType": "Condition",
    "subject": {"reference": "Patient/p1"},
    "onsetDateTime": "2020-05-01",
    "code": {"coding": [{"system": "http://snomed.info/sct", "code": "55680006"}]},
}


def bundle(*resources: object) -> bytes:
    entries = [{"fullUrl": "urn:uuid:x", "resource": resource} for resource in resources]
    return json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}, indent=2).encode()


def test_a_bundle_tells_whose_what_when_and_how_sensitive() -> None:
    info = identify(bundle(PATIENT, OVERDOSE))
    assert (info.media_type, info.record_class, info.resources) == (MediaType.FHIR_JSON, RecordClass.BUNDLE, 2)
    assert unmask(info.classes) == [RecordClass.PATIENT, RecordClass.CONDITION]
    assert (info.label, info.sensitivity) == (Label.R, ("SUD",))
    assert (info.subject, info.names) == ("p1", ("Ann Example",))
    assert info.from_ms == 1588291200000
    assert info.until_ms == info.from_ms + 86_400_000 - 1


def test_a_resource_and_a_bulk_export() -> None:
    one = identify(json.dumps(OVERDOSE).encode())
    assert (one.record_class, one.subject, one.title) == (RecordClass.CONDITION, "p1", "Condition")
    lines = "\n".join(json.dumps(OVERDOSE | {"subject": {"reference": f"Patient/{n}"}}) for n in range(3))
    many = identify(lines.encode() + b"\n")
    assert (many.media_type, many.record_class, many.resources) == (MediaType.FHIR_NDJSON, RecordClass.CONDITION, 3)
    assert (many.subject, sorted(many.subjects)) == ("", ["0", "1", "2"])


def test_slices_are_the_very_bytes() -> None:
    content = bundle(PATIENT, OVERDOSE)
    pieces = slices_of(content, MediaType.FHIR_JSON)
    assert all(piece.raw in content for piece in pieces)
    assert [json.loads(piece.raw) for piece in pieces] == [PATIENT, OVERDOSE]


def test_a_mark_raises_the_label_and_lowers_it_only_where_no_rule_objects() -> None:
    confidential = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
    assert label_from([(confidential, "V")], []) == Label.V
    assert label_from([(confidential, "L")], []) == Label.L
    assert label_from([(confidential, "L")], ["HIV"]) == Label.R
    assert label_from([], []) == Label.N
    assert label_from([(confidential, "nonsense")], []) == Label.N


def test_sensitivity_from_codes_of_several_systems() -> None:
    assert find_sensitivity([("http://hl7.org/fhir/sid/icd-10-cm", "F11.20")]) == {"OPIOIDUD"}
    assert find_sensitivity([("http://hl7.org/fhir/sid/icd-10-cm", "F17.2")]) == set()
    assert find_sensitivity([("http://loinc.org", "7917-8")]) == {"HIV"}
    assert find_sensitivity([("http://terminology.hl7.org/CodeSystem/v3-ActCode", "PSYTHPN")]) == {"PSYTHPN"}
    assert find_sensitivity([("http://loinc.org", "55680006")]) == set()
    assert all(label > Label.N for label in LABEL_OF.values())


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (b"", MediaType.OCTET_STREAM),
        (b"\xff\xfe", MediaType.OCTET_STREAM),
        (b"plain words", MediaType.TEXT),
        (b'{"a":1}', MediaType.JSON),
        (b"[1,2]", MediaType.JSON),
        (b'{"resourceType":5}', MediaType.JSON),
        (b'{"resourceType":"Bundle","entry":7}', MediaType.JSON),
        (b'{"resourceType":"Patient","id":["odd"],"name":{"given":5},"code":7,"period":[]}', MediaType.FHIR_JSON),
        (b'{"resourceType":"Bundle","type":"x","entry":[{"resource":null},{},{"resource":5}]}', MediaType.FHIR_JSON),
        (b"MSH|^~\\&|A|B", MediaType.HL7V2),
        (b"<?xml version='1.0'?><ClinicalDocument/>", MediaType.CDA_XML),
        (bytes(128) + b"DICM" + b"junk", MediaType.DICOM),
        (b'{"a":' * 100_000, MediaType.JSON),
        (b'{"resourceType":"Condition","code":' + b"[" * 100_000, MediaType.JSON),
    ],
)
def test_odd_bytes_are_records_too(content: bytes, media_type: MediaType) -> None:
    assert identify(content).media_type == media_type


@given(st.binary(max_size=200) | st.builds(lambda t: b'{"resourceType":' + t, st.binary(max_size=60)))
def test_no_bytes_raise(content: bytes) -> None:
    identify(content)


def files(*patterns: str) -> list[Path]:
    return sorted(path for pattern in patterns for path in DATA.glob(pattern) if path.is_file())


needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the shared data set is not here")


@needs_data
@pytest.mark.parametrize(
    ("pattern", "media_type"),
    [
        ("fhir/**/*.json*", MediaType.FHIR_JSON),
        ("fhir/**/*.ndjson*", MediaType.FHIR_NDJSON),
        ("dicom/*.dcm", MediaType.DICOM),
        ("hl7v2/*.hl7", MediaType.HL7V2),
        ("ccda/*", MediaType.CDA_XML),
    ],
)
def test_every_shared_file_is_identified(pattern: str, media_type: MediaType) -> None:
    for path in files(pattern):
        info = identify(unpack_gzip(path.read_bytes()))
        assert info.media_type == media_type, path.name
        assert info.title, path.name


@needs_data
def test_every_shared_patient_has_one_subject_and_a_span() -> None:
    restricted = 0
    for path in files("fhir/synthea-r4-bundles/*.gz"):
        info = identify(unpack_gzip(path.read_bytes()))
        assert info.subject
        assert info.names
        assert info.resources > 50
        assert info.from_ms is not None
        assert info.until_ms is not None
        restricted += info.label == Label.R
    assert 0 < restricted < 50
