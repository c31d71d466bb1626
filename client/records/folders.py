"""Records as files of a folder: by patient; or DICOM by patient, study and series.

Nothing outside the folder is touched, nothing there is written over, and what is there with the same content stays.

Names come from records, so from anybody: they are reduced to letters that no file system and no shell minds.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from l1.ground.faults import LocalError
from l2.desk.words import RecordView
from l2.records import read_header

__all__ = ["MANIFEST", "dicom_path", "manifest_row", "plain_path", "write_manifest", "write_record"]

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


def dicom_path(content: bytes) -> Path:
    """Patient, study, series and instance. Raises `LocalError` for a header that names no instance."""
    header = read_header(content, _DICOM_LEVELS)
    try:
        said = [str(header.get(name) or "") for name in _DICOM_LEVELS]
    except Exception:  # values are decoded when they are asked for
        said = [""]
    if not said[-1]:
        raise LocalError("the DICOM header names no instance", "Export it without --dicom.")
    patient, *uids = said
    levels = [_plain(patient, "no-patient"), *(_plain(uid, "unknown") for uid in uids)]
    return Path(*levels[:-1]) / f"{levels[-1]}.dcm"


def write_record(folder: Path, path: Path, content: bytes, record: str) -> tuple[Path, bool]:
    """Where the record lies, relative to the folder, and whether it was there already. Raises `LocalError`."""
    for number in range(3):
        # A name that is taken by something else gets the record's id beside it, first its begin, then all of it.
        beside = ("", f".{record[:8]}", f".{record}")[number]
        target = path.with_name(f"{path.stem}{beside}{path.suffix}")
        whole = folder / target
        try:
            whole.parent.mkdir(parents=True, exist_ok=True)
            if whole.is_file() and whole.stat().st_size == len(content) and whole.read_bytes() == content:
                return target, True
            with open(whole, "xb") as file:
                file.write(content)
        except FileExistsError:
            continue
        except OSError as error:
            raise LocalError(f"{whole} cannot be written ({error.strerror})", "Name another folder.") from None
        return target, False
    raise LocalError(f"{folder / path} is taken by something else", "Name an empty folder.")


def write_manifest(folder: Path, rows: list[dict[str, Any]]) -> None:
    """What lies in the folder and where it comes from: added to what the manifest says already."""
    path = folder / MANIFEST
    try:
        known = json.loads(path.read_text())["files"] if path.exists() else []
        files = {row["file"]: row for row in [*known, *rows]}
    except (ValueError, KeyError, TypeError):
        raise LocalError(f"{path} is no manifest of ours", "Name another folder.") from None
    path.write_text(json.dumps({"files": list(files.values())}, indent=2) + "\n")


def manifest_row(view: RecordView, path: Path, content: bytes) -> dict[str, Any]:
    return {
        "file": str(path),
        "record": view.record,
        "sha256": hashlib.sha256(content).hexdigest(),
        "origin": view.origin,
        "label": view.label,
        "root": view.root,
    }
