"""Records come from folders and a FHIR server, are found, shown and exported again: commands and a hospital as real
processes, the FHIR server over real HTTP."""

import gzip
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import pydicom
import pytest
import trio

from client.demo.patients import generate_patients
from client.demo.records import READER, YEAR_MS, permit_all
from client.demo.world import Hospital, now_ms
from tests.fhir import FhirStore, serving
from tests.processes.hospitals import open_channel, pair

pytestmark = pytest.mark.slow

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
DICOM = Path(pydicom.__file__).parent / "data" / "test_files"
TOKEN = "token-of-the-server"
CROWD = 100
PATIENCE_S = 90.0


async def command(hospital: Hospital, *arguments: str, status: int = 0, as_json: bool = True) -> Any:
    """What `interward record …` says, as data; or as it is printed."""
    line = [sys.executable, "-m", "client", "record", *arguments, "-F", str(hospital.folder)]
    done = await trio.run_process(
        [*line, "--json"] if as_json else line,
        capture_stdout=True,
        capture_stderr=True,
        check=False,
        env=os.environ | {"INTERWARD_FHIR_TOKEN": TOKEN},
    )
    assert done.returncode == status, (done.stdout + done.stderr).decode()
    return json.loads(done.stdout) if as_json else (done.stdout + done.stderr).decode()


def fill(folder: Path) -> Path:
    """Files of most kinds, and what else lies in folders."""
    inside = folder / "inside"
    inside.mkdir(parents=True)
    chart = generate_patients(3, 1)[0].content
    (folder / "chart.json").write_bytes(chart)
    (inside / "again.json").write_bytes(chart)
    (inside / "chart.json.gz").write_bytes(gzip.compress(chart + b"\n", mtime=0))
    (inside / "damaged.json.gz").write_bytes(gzip.compress(chart)[:-20])
    (inside / "ct.dcm").write_bytes((DICOM / "CT_small.dcm").read_bytes())
    (inside / "colour.dcm").write_bytes((DICOM / "examples_rgb_color.dcm").read_bytes())
    (inside / "message.hl7").write_bytes(b"MSH|^~\\&|A|B|C|D|202001020304||ORU^R01|1|P|2.5\rPID|1||77||Doe^Jo\r")
    (inside / "notes \x1b[31m.txt").write_text("plain words")
    (inside / "empty.json").touch()
    (inside / ".hidden").write_text("hidden")
    (inside / "gone").symlink_to(folder / "nowhere")
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe")
    return folder


async def check_folder(a: Hospital, folder: Path) -> None:
    """Every path is accounted for, once, and doing it again adds nothing."""
    files = fill(folder)
    report = await command(a, "add", str(files), status=1)
    assert report["counts"] == {"added": 6, "known": 1, "refused": 3, "skipped": 3, "all": 13}
    named = [row["file"] for what in ("added", "refused", "skipped") for row in report[what]]
    assert sorted(named) == sorted(str(path) for path in files.rglob("*") if path.name != "inside")
    reasons = {Path(row["file"]).name: row["reason"] for row in report["refused"] + report["skipped"]}
    assert "cut short" in reasons["damaged.json.gz"]
    assert reasons["pipe"] == "no regular file"
    assert (reasons["empty.json"], reasons["loop"]) == ("empty", "a link to a folder")
    again = await command(a, "add", str(files), status=1)
    assert again["counts"] == report["counts"] | {"added": 0, "known": 7}
    printed = await command(a, "list", as_json=False)
    assert "\x1b" not in printed
    said = await command(a, "add", str(files / "inside" / "ct.dcm"), "--label", "V")
    assert said["added"][0]["label"] == "V"


async def check_search(a: Hospital) -> None:
    async def names(*arguments: str) -> set[str]:
        return {view["name"] for view in await command(a, "list", *arguments)}

    assert await names("--patient", "77") == {"message.hl7"}
    assert await names("--from", "2020-01-02", "--to", "2020-01-02", "--class", "OBSERVATION", "--patient", "77") == {
        "message.hl7"
    }
    assert await names("--to", "1969-12-31") == set()
    assert await names("--label", "V") == {"ct.dcm"}
    assert await names("--class", "imaging") == {"ct.dcm", "colour.dcm"}
    assert await names("--custodian", "received") == set()


async def check_show(a: Hospital, folder: Path) -> None:
    views = {view["name"]: view for view in await command(a, "list")}
    chart = views["chart.json.gz"]["record"]
    shown = await command(a, "show", chart)
    assert {row[0] for row in shown["summary"][0]["rows"]} >= {"Patient", "Encounter", "Observation"}
    assert len(shown["root"]) == 64
    shown = await command(a, "show", views["ct.dcm"]["record"])
    assert ["Modality", "CT"] in shown["summary"][0]["rows"]
    for name in ("ct.dcm", "colour.dcm"):
        to = folder / f"{name}.png"
        await command(a, "show", views[name]["record"], "--preview", str(to))
        assert to.read_bytes().startswith(b"\x89PNG")
    refused = await command(a, "show", views["message.hl7"]["record"], "--preview", "x.png", status=2, as_json=False)
    assert "cannot be shown" in refused
    printed = await command(a, "show", chart, as_json=False)
    assert "Newest" in printed


async def check_export(a: Hospital, folder: Path) -> None:
    out = folder / "out"
    report = await command(a, "export", "--to-dir", str(out))
    views = {view["record"]: view for view in await command(a, "list")}
    assert {row["state"] for row in report["exported"]} == {"written"}
    manifest = json.loads((out / "manifest.json").read_text())["files"]
    assert {row["record"] for row in manifest} == set(views)
    for row in manifest:
        content = (out / row["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == row["sha256"] == views[row["record"]]["digest"]
    again = await command(a, "export", "--to-dir", str(out))
    assert {row["state"] for row in again["exported"]} == {"known"}
    dicom = await command(a, "export", "--to-dir", str(folder / "dicom"), "--dicom", "--class", "IMAGING")
    assert [row["state"] for row in dicom["exported"]] == ["written"] * 2
    header = pydicom.dcmread(DICOM / "CT_small.dcm", stop_before_pixels=True)
    path = f"{header.StudyInstanceUID}/{header.SeriesInstanceUID}/{header.SOPInstanceUID}.dcm"
    (found,) = (folder / "dicom").rglob(f"*/{path}")
    assert found.read_bytes() == (DICOM / "CT_small.dcm").read_bytes()


def clinic() -> FhirStore:
    store = FhirStore(token=TOKEN, polls=1)
    for patient in ("f1", "f2"):
        store.put({"resourceType": "Patient", "id": patient})
        for number in range(3):
            subject = {"reference": f"Patient/{patient}"}
            store.put({"resourceType": "Observation", "id": f"{patient}-{number}", "subject": subject})
    return store


async def check_server(a: Hospital) -> None:
    store = clinic()
    async with serving(store) as url:
        report = await command(a, "add", "--fhir", url, "--patient", "f1", "--search", "Observation?_count=2")
        assert [row["subject"] for row in report["added"]] == ["f1", "f1", "f2"]
        again = await command(a, "add", "--fhir", url, "--patient", "f1", "--search", "Observation?_count=2")
        assert again["counts"]["known"] == 3
        bulk = await command(a, "add", "--fhir", url, "--bulk", status=1)
        assert [row["media_type"] for row in bulk["added"]] == ["FHIR_NDJSON"] * 2
        assert [row["reason"] for row in bulk["refused"]] == ["the server could not export some of it"]
    other = FhirStore(token=TOKEN)
    async with serving(other) as url:
        pushed = await command(a, "export", "--fhir", url, "--patient", "f1")
        assert {row["state"] for row in pushed["exported"]} == {"written"}
        assert {name for kind, name in other.resources if kind == "Observation"} >= {"f1-0", "f1-1", "f1-2"}
        left = await command(a, "export", "--fhir", url, "--class", "IMAGING")
        assert {row["reason"] for row in left["exported"]} == {"no FHIR"}


async def test_records_come_in_are_found_shown_and_exported(tmp_path: Path) -> None:
    (tmp_path / "world").mkdir()
    async with pair(tmp_path / "world") as (_, a, _b):
        await check_folder(a, tmp_path / "files")
        await check_search(a)
        await check_show(a, tmp_path)
        await check_export(a, tmp_path)
        await check_server(a)


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared data set is not beside this checkout")
async def test_every_file_of_the_shared_data_is_accounted_for_shared_and_fetched(tmp_path: Path) -> None:
    files = sorted(path for path in DATA.rglob("*") if path.is_file())
    async with pair(tmp_path) as (_, a, b):
        report = await command(a, "add", str(DATA))
        assert sorted(row["file"] for row in report["added"]) == list(map(str, files))
        assert report["refused"] == report["skipped"] == []
        views = await command(a, "list")
        received = await share_all(a, b, views)
    assert sorted(received) == sorted(view["digest"] for view in views)
    assert {digest_of(path) for path in files} == set(received)


def digest_of(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.sha256(gzip.decompress(content) if path.suffix == ".gz" else content).hexdigest()


async def share_all(a: Hospital, b: Hospital, views: list[dict[str, Any]]) -> list[str]:
    """Under a consent of each patient every record goes to the other hospital, which opens it: the digests."""
    channel = await open_channel(a, b)
    until_ms = now_ms() + YEAR_MS
    for patient in {view["subject"] for view in views}:
        await a.desk.grant_consent(permit_all(channel, patient, (READER["purpose"],), until_ms))
    ids = {view["record"] for view in views}
    shared = (await command(a, "share", "--all"))["shared"]
    assert {one["record"] for one in shared if one["grants"] and one["problem"] is None} == ids
    again = (await command(a, "share", "--all"))["shared"]
    assert {one["record"] for one in again if one["already"] and not one["grants"]} == ids
    came = await command(b, "fetch")
    assert await command(b, "fetch") == []
    return [hashlib.sha256(await b.desk.content(one["record"], **READER)).hexdigest() for one in came]
