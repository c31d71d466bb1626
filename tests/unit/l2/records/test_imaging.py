"""DICOM headers, and files that would fill the memory of whoever looks at them."""

import zlib
from pathlib import Path

import pydicom
import pytest

from l2.records import identify, read_header
from l2.records.limits import HEADER_BYTES_MAX

FILES = Path(pydicom.__file__).parent / "data" / "test_files"


def test_a_deflated_file_is_looked_at() -> None:
    content = (FILES / "image_dfl.dcm").read_bytes()
    known = pydicom.dcmread(FILES / "image_dfl.dcm", stop_before_pixels=True)
    assert str(read_header(content, ["PatientName"]).PatientName) == str(known.PatientName)


def test_a_bomb_is_opened_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    content = (FILES / "image_dfl.dcm").read_bytes()
    begin = 144 + int.from_bytes(content[140:144], "little")
    element = b"\x10\x00\x10\x00UN\x00\x00" + (2**31).to_bytes(4, "little")  # a name of two gigabytes
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    bomb = packer.compress(element + bytes(4 * HEADER_BYTES_MAX)) + packer.flush()
    opened: list[int] = []
    real = zlib.decompressobj

    class Watched:
        def __init__(self, wbits: int) -> None:
            self._real = real(wbits)

        def decompress(self, data: bytes, most: int) -> bytes:
            out = self._real.decompress(data, most)
            opened.append(len(out))
            return out

    monkeypatch.setattr("l2.records.imaging.zlib.decompressobj", Watched)
    monkeypatch.setattr("l2.records.imaging.zlib.decompress", None)
    assert identify(content[:begin] + bomb).resources == 1
    assert opened == [HEADER_BYTES_MAX]
