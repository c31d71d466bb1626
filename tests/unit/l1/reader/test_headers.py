"""Header stores: one suite, run on both; and what only a file can suffer."""

from pathlib import Path

import pytest

from l1.ground.faults import Refused
from l1.reader import HeaderFile, HeaderStore, MemoryHeaders
from l1.reader.headers import RECORD_BYTES


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> HeaderStore:
    return MemoryHeaders() if request.param == "memory" else HeaderFile(tmp_path / "headers")


def test_a_store_gives_back_by_height(store: HeaderStore) -> None:
    assert store.height() == 0
    for height in range(1, 5):
        store.append(bytes([height]) * (height * 50))
    assert store.height() == 4
    assert store.get(3) == bytes([3]) * 150
    assert store.get(0) is None
    assert store.get(5) is None


def test_a_file_comes_back_without_its_torn_end(tmp_path: Path) -> None:
    path = tmp_path / "headers"
    file = HeaderFile(path)
    for height in range(3):
        file.append(bytes([height]) * 280)
    file.close()
    with path.open("r+b") as stream:
        stream.truncate(RECORD_BYTES * 2 + 17)
    file = HeaderFile(path)
    assert file.height() == 2
    file.append(b"again")
    assert file.get(3) == b"again"
    file.close()


def test_a_damaged_length_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "headers"
    path.write_bytes(b"\xff" * RECORD_BYTES)
    with pytest.raises(Refused):
        HeaderFile(path).get(1)
