"""The records that the demo shares: files of a folder, or a generated set written into one.

Knows files and gzip. What is inside a file is for the hospital to find out, and for `client.demo.encounters`.
"""

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pydicom

from client.demo.patients import generate_patients
from l1.ground.faults import LocalError

__all__ = ["Document", "find_documents", "write_generated"]

CONTENT_BYTES_MAX = 1024**3  # what a gzip file may open to, before it counts as an attack on memory

# Images and objects of most kinds that pydicom ships for its own tests: CT, MR (also compressed), colour, ECG,
# structured report, radiotherapy.
DICOM_FILES = (
    "CT_small.dcm",
    "JPEG2000.dcm",
    "MR_small.dcm",
    "MR_small_RLE.dcm",
    "examples_jpeg2k.dcm",
    "examples_palette.dcm",
    "examples_rgb_color.dcm",
    "liver_1frame.dcm",
    "rtdose.dcm",
    "rtplan.dcm",
    "test-SR.dcm",
    "waveform_ecg.dcm",
)


class Document(NamedTuple):
    """One file. Its content is what the gzip around it, if any, holds."""

    path: Path
    name: str

    def content(self) -> bytes:
        if self.path.suffix.lower() != ".gz":
            return self.path.read_bytes()
        try:
            with gzip.open(self.path) as file:
                content = file.read(CONTENT_BYTES_MAX + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise LocalError(f"{self.path} is not a readable gzip file ({error})", "Leave it out.") from None
        if len(content) > CONTENT_BYTES_MAX:
            raise LocalError(f"{self.path} opens to more than {CONTENT_BYTES_MAX} bytes", "Leave it out.")
        return content

    def digest(self) -> str:
        return hashlib.sha256(self.content()).hexdigest()


def find_documents(folder: Path) -> list[Document]:
    """Every file below the folder that is not hidden and not empty, in order of its path."""
    found = [Document(path, path.name) for path in _files(folder)]
    if not found:
        raise LocalError(
            f"there are no files in {folder}", "Name a folder with FHIR (json, ndjson, gz) or DICOM files."
        )
    return found


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_file() and not hidden and path.stat().st_size:
            yield path


def write_generated(folder: Path, *, seed: int, patients: int) -> None:
    """Generated patients, and pydicom's test images, as files."""
    folder.mkdir(parents=True)
    for file in generate_patients(seed, patients):
        (folder / file.name).write_bytes(file.content)
    shipped = Path(pydicom.__file__).parent / "data" / "test_files"
    for name in DICOM_FILES:
        (folder / name).write_bytes((shipped / name).read_bytes())
