"""Files in folders, names that come from anybody, and what a record says."""

import hashlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from client.ending import printable
from client.records.files import find_files, read_pieces
from client.records.folders import place_part, plain_path, write_manifest, write_part
from client.records.summary import summarise
from l1.ground.faults import Fault, LocalError, Refused
from l2.desk.words import RecordView


def view(name: str, subject: str = "p1", media_type: str = "FHIR_JSON") -> RecordView:
    return RecordView(
        record="ab" * 16,
        media_type=media_type,
        record_class="OTHER",
        subject=subject,
        label="N",
        bytes=1,
        origin="own",
        name=name,
    )


@pytest.mark.parametrize(
    ("name", "subject", "path"),
    [
        ("chart.json", "4711", "4711/chart.json"),
        ("chart.json.gz", "4711", "4711/chart.json"),
        ("../../etc/passwd", "..", "no-patient/etc_passwd.json"),
        ("", "", f"no-patient/{'ab' * 16}.json"),
        ("a b\x1b[31m|c", "/", "no-patient/a_b_31m_c.json"),
        (".hidden", "-rf", "rf/hidden.json"),
    ],
)
def test_names_stay_in_the_folder(name: str, subject: str, path: str) -> None:
    assert plain_path(view(name, subject)) == Path(path)


async def written(folder: Path, path: Path, content: bytes, record: str) -> tuple[Path, bool]:
    part = await write_part(folder, in_pieces(content), record)
    assert part.sha256 == hashlib.sha256(content).hexdigest()
    try:
        return place_part(folder, path, part, record)
    finally:
        part.file.unlink(missing_ok=True)


async def in_pieces(content: bytes, *, fails: bool = False) -> AsyncIterator[bytes]:
    for at in range(len(content)):
        yield content[at : at + 1]
    if fails:
        raise Refused(Fault.BAD_DIGEST, "the last piece is not what was granted")


async def test_nothing_is_written_over(tmp_path: Path) -> None:
    at = Path("p1/a.json")
    assert await written(tmp_path, at, b"one", "aa" * 16) == (at, False)
    assert await written(tmp_path, at, b"one", "aa" * 16) == (at, True)
    other, known = await written(tmp_path, at, b"two", "bb" * 16)
    assert (str(other), known) == ("p1/a.bbbbbbbb.json", False)
    assert (tmp_path / at).read_bytes() == b"one"
    (tmp_path / "p2").symlink_to(tmp_path / "p1" / "a.json")
    with pytest.raises(LocalError, match="taken by something else"):
        await written(tmp_path, Path("p2/a.json"), b"three", "cc" * 16)


async def test_what_did_not_come_whole_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Refused):
        await write_part(tmp_path, in_pieces(b"one", fails=True), "aa" * 16)
    assert os.listdir(tmp_path) == []


def test_a_manifest_grows_and_is_nobody_elses(tmp_path: Path) -> None:
    write_manifest(tmp_path, [{"file": "a", "record": "1"}])
    write_manifest(tmp_path, [{"file": "a", "record": "2"}, {"file": "b", "record": "3"}])
    assert [row["record"] for row in json.loads((tmp_path / "manifest.json").read_text())["files"]] == ["2", "3"]
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(LocalError, match="no manifest of ours"):
        write_manifest(tmp_path, [])


async def test_files_are_found_once_and_read_whole(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(3_000_000))
    found = list(find_files([tmp_path, tmp_path / "a", tmp_path / "none"]))
    assert [(one.path.name, one.why_not, one.refused) for one in found] == [
        ("a", "", False),
        ("none", "no such file or directory", True),
    ]
    assert sum([len(piece) async for piece in read_pieces(tmp_path / "a")]) == 3_000_000


def test_what_could_steer_a_terminal_is_not_printed() -> None:
    assert printable("a\x1b[2J\u202eb\x07\nc") == "a�[2J�b�\nc"


def test_messages_and_documents_say_what_they_hold() -> None:
    (segments,) = summarise(b"MSH|^~\\&|A|B|C|D|2020||ORU^R01\rPID|1\rOBX|1\rOBX|2\r")
    assert ("OBX", "2") in segments.rows
    (sections,) = summarise(b"<ClinicalDocument><title>Visit</title><title>Allergies</title></ClinicalDocument>")
    assert sections.rows == [("Allergies",)]
    assert summarise(b"plain words") == []
