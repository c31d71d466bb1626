"""Records as files of a folder: by patient; or DICOM by patient, study and series.

Nothing outside the folder is touched, nothing there is written over, and what is there with the same content stays.

Names come from records, so from anybody: they are reduced to letters that no file system and no shell minds.
"""

import hashlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

from client.records.saving import save_pieces
from l1.ground.faults import LocalError
from l1.serving.files import make_directory
from l2.desk.words import RecordView
from l2.records import read_header
from l2.records.limits import HEADER_BYTES_MAX

__all__ = [
    "MANIFEST",
    "Part",
    "dicom_path",
    "manifest_row",
    "place_part",
    "plain_path",
    "write_manifest",
    "write_part",
]

MANIFEST = "manifest.json"
NAME_CHARS_MAX = 100
_SUFFIX = {
    "FHIR_JSON": ".json",
    "FHIR_NDJSON": ".ndjson",
    "DICOM": ".dcm",
    "HL7V2": ".hl7",
    "CDA_XML": ".xml",
    "JSON": ".json",
    "TEXT": ".txt",
}
_DICOM_LEVELS = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


def _plain(text: str, otherwise: str) -> str:
    """A name of letters, digits, `-`, `_` and `.` that begins with none of the latter two."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", text).lstrip("._-")[:NAME_CHARS_MAX].rstrip(".")
    return name or otherwise


def plain_path(view: RecordView) -> Path:
    """Patient, then the record's name; or its id, where it has none."""
    suffix = _SUFFIX.get(view.media_type, ".bin")
    stem = _plain(view.name.removesuffix(".gz"), view.record)
    stem = stem[: -len(suffix)] if stem.lower().endswith(suffix) else stem
    return Path(_plain(view.subject, "no-patient")) / f"{stem}{suffix}"


def dicom_path(file: Path) -> Path:
    """Patient, study, series and instance. Raises `LocalError` for a header that names no instance."""
    patient, *uids = _levels(file, HEADER_BYTES_MAX) or _levels(file, -1) or ["", ""]
    if not uids[-1]:
        raise LocalError("the DICOM header names no instance", "Export it without --dicom.")
    levels = [_plain(patient, "no-patient"), *(_plain(uid, "unknown") for uid in uids)]
    return Path(*levels[:-1]) / f"{levels[-1]}.dcm"


def _levels(file: Path, size: int) -> list[str] | None:
    """What the first bytes of a file say of its place, if they name an instance: nearly always they do."""
    with file.open("rb") as opened:
        header = read_header(opened.read(size), _DICOM_LEVELS)
    try:
        said = [str(header.get(name) or "") for name in _DICOM_LEVELS]
    except Exception:  # values are decoded when they are asked for
        return None
    return said if said[-1] else None


class Part(NamedTuple):
    """A content that has come whole, under a name of its own in the folder, until it has its place."""

    file: Path
    sha256: str


async def write_part(folder: Path, pieces: AsyncIterator[bytes], record: str) -> Part:
    """Raises `LocalError`, and whatever the pieces raise; then nothing is left."""
    file, seen = folder / f".{record}", hashlib.sha256()

    async def hashed() -> AsyncIterator[bytes]:
        async for piece in pieces:
            seen.update(piece)
            yield piece

    make_directory(folder)
    await save_pieces(file, hashed())
    return Part(file, seen.hexdigest())


def place_part(folder: Path, path: Path, part: Part, record: str) -> tuple[Path, bool]:
    """Where the record lies, relative to the folder, and whether it was there already. Raises `LocalError`."""
    for number in range(3):
        # A name that is taken by something else gets the record's id beside it, first its begin, then all of it.
        beside = ("", f".{record[:8]}", f".{record}")[number]
        target = path.with_name(f"{path.stem}{beside}{path.suffix}")
        if _is_same(whole := folder / target, part):
            return target, True
        try:
            whole.parent.mkdir(parents=True, exist_ok=True)
            whole.open("xb").close()  # ours from here on
            part.file.replace(whole)
        except FileExistsError:
            continue
        except OSError as error:
            raise LocalError(f"{whole} cannot be written ({error.strerror})", "Name another folder.") from None
        return target, False
    raise LocalError(f"{folder / path} is taken by something else", "Name an empty folder.")


def _is_same(file: Path, part: Part) -> bool:
    if not file.is_file() or file.stat().st_size != part.file.stat().st_size:
        return False
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest() == part.sha256


def write_manifest(folder: Path, rows: list[dict[str, Any]]) -> None:
    """What lies in the folder and where it comes from: added to what the manifest says already."""
    path = folder / MANIFEST
    try:
        known = json.loads(path.read_text())["files"] if path.exists() else []
        files = {row["file"]: row for row in [*known, *rows]}
    except (ValueError, KeyError, TypeError):
        raise LocalError(f"{path} is no manifest of ours", "Name another folder.") from None
    path.write_text(json.dumps({"files": list(files.values())}, indent=2) + "\n")


def manifest_row(view: RecordView, path: Path, sha256: str) -> dict[str, Any]:
    return {
        "file": str(path),
        "record": view.record,
        "sha256": sha256,
        "origin": view.origin,
        "label": view.label,
        "root": view.root,
    }
