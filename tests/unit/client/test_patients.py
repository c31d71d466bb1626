"""Generated patients: the same bytes for the same seed, in the shape of Synthea's bundles, with sensitive cases."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from client.demo.dataset import DICOM_FILES, find_documents, write_generated
from client.demo.patients import generate_patients
from l1.ground.faults import LocalError


def resources(content: bytes) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in json.loads(content)["entry"]]


def test_a_seed_gives_the_same_bytes_again() -> None:
    assert generate_patients(7, 3) == generate_patients(7, 3)
    assert generate_patients(7, 3) != generate_patients(8, 3)


def test_patients_do_not_depend_on_how_many_there_are() -> None:
    assert generate_patients(7, 2) == generate_patients(7, 3)[:2]


def test_a_bundle_is_a_transaction_of_one_patient() -> None:
    (file,) = generate_patients(1, 1)
    bundle = json.loads(file.content)
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "transaction")
    kinds = Counter(resource["resourceType"] for resource in resources(file.content))
    assert kinds["Patient"] == 1
    assert kinds["Encounter"] >= 8
    assert kinds["Observation"] > 50
    assert all(entry["fullUrl"] == f"urn:uuid:{entry['resource']['id']}" for entry in bundle["entry"])


def test_every_reference_leads_to_a_resource_of_the_bundle() -> None:
    for file in generate_patients(1, 8):
        ids = {f"urn:uuid:{resource['id']}" for resource in resources(file.content)}
        assert set(references(json.loads(file.content))) <= ids


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["reference"]] if isinstance(value.get("reference"), str) else []
        return own + [found for part in value.values() for found in references(part)]
    if isinstance(value, list):
        return [found for part in value for found in references(part)]
    return []


def test_every_resource_says_that_it_is_test_data() -> None:
    (file,) = generate_patients(1, 1)
    assert all(resource["meta"]["tag"][0]["code"] == "HTEST" for resource in resources(file.content))


def test_some_records_need_a_higher_label_and_some_have_images() -> None:
    all_kinds: Counter[str] = Counter()
    texts: set[str] = set()
    for file in generate_patients(1, 24):
        for resource in resources(file.content):
            all_kinds[resource["resourceType"]] += 1
            if resource["resourceType"] == "Condition":
                texts.add(resource["code"]["text"])
    assert {"ImagingStudy", "MedicationRequest", "CarePlan", "Claim", "AllergyIntolerance"} <= set(all_kinds)
    assert {"Alcoholism", "Drug overdose"} <= texts


def test_the_generated_set_has_images_besides(tmp_path: Path) -> None:
    write_generated(tmp_path / "data", seed=1, patients=2)
    documents = find_documents(tmp_path / "data")
    assert len(documents) == 2 + len(DICOM_FILES)
    assert all(document.content()[128:132] == b"DICM" for document in documents if document.name.endswith(".dcm"))


def test_gzip_is_opened_hidden_and_empty_files_are_left_out(tmp_path: Path) -> None:
    import gzip

    (tmp_path / "a.json.gz").write_bytes(gzip.compress(b"{}"))
    (tmp_path / ".hidden").write_bytes(b"x")
    (tmp_path / "empty").write_bytes(b"")
    (document,) = find_documents(tmp_path)
    assert document.content() == b"{}"


def test_a_damaged_gzip_says_which(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(b"no gzip")
    (document,) = find_documents(tmp_path)
    with pytest.raises(LocalError, match=r"a\.gz is not a readable gzip"):
        document.content()


def test_a_folder_without_files_says_so(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="no files"):
        find_documents(tmp_path)
