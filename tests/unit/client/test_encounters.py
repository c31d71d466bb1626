"""Encounters are found in bundles, NDJSON and DICOM; other files have none."""

import json
from pathlib import Path

import pytest

from client.demo.dataset import find_documents, write_generated
from client.demo.encounters import find_encounters
from l1.ground.codes import PurposeOfUse, RecordClass

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"

VISIT = {
    "resourceType": "Encounter",
    "class": {"code": "EMER"},
    "participant": [{"individual": {"reference": "urn:uuid:doctor"}}],
    "period": {"start": "2020-01-01T00:00:00+00:00", "end": "2020-01-01T01:00:00+00:00"},
    "serviceProvider": {"reference": "urn:uuid:clinic"},
}


def test_an_encounter_of_a_bundle() -> None:
    bundle = {"resourceType": "Bundle", "entry": [{"resource": VISIT}, {"resource": {"resourceType": "Claim"}}]}
    (found,) = find_encounters(json.dumps(bundle).encode(), "pat")
    assert (found.patient, found.practitioner, found.purpose) == ("pat", "doctor", PurposeOfUse.ETREAT)
    assert found.until_ms - found.from_ms == 3_600_000
    assert ("clinic/nurse", 1) in found.accesses


def test_encounters_of_ndjson() -> None:
    lines = b"\n".join([json.dumps(VISIT).encode()] * 3)
    assert len(find_encounters(lines, "pat")) == 3


@pytest.mark.parametrize(
    "broken",
    [{"period": 3}, {"period": {"start": "soon"}}, {"participant": "x"}, {"class": []}, {"serviceProvider": None}],
)
def test_a_sloppy_encounter_still_counts(broken: dict[str, object]) -> None:
    (found,) = find_encounters(json.dumps(VISIT | broken).encode(), "pat")
    assert found.until_ms >= found.from_ms >= 0
    assert found.accesses


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"{", b"[1]", b"%PDF-1.7", b"\0" * 128 + b"DICM" + b"\xff" * 9])
def test_other_bytes_have_no_encounters_or_few(content: bytes) -> None:
    assert len(find_encounters(content, "pat")) <= 1


def test_an_image_is_an_encounter(tmp_path: Path) -> None:
    write_generated(tmp_path / "data", seed=1, patients=1)
    images = [document for document in find_documents(tmp_path / "data") if document.name == "CT_small.dcm"]
    (found,) = find_encounters(images[0].content(), "pat")
    assert found.record_class is RecordClass.IMAGING
    assert found.from_ms > 0


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data set is not beside this checkout")
def test_real_bundles_have_encounters() -> None:
    documents = find_documents(SHARED / "fhir" / "synthea-r4-bundles")
    found = [visit for document in documents[:10] for visit in find_encounters(document.content(), "pat")]
    assert len(found) > 50
    assert len({visit.practitioner for visit in found}) > 5
