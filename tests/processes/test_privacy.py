"""Nothing that reaches the chain tells who was treated, when, or for what.

The demo is played with generated patients, and with a few real records where the data set is beside this checkout; then
the chain's whole file is searched for the names, dates, identifiers and codes of every patient.
"""

import json
import re
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from client.demo.dataset import find_documents, write_generated
from client.demo.play import Wishes, play
from client.progress import show_progress

pytestmark = pytest.mark.slow

REAL = Path(__file__).parents[3] / "shared/data/fhir/synthea-r4-raw-small"
REAL_FILES = 2
CHAINS_OWN = b"account/ hospital/ channel/ owner/ towers/ parameters registrars transactions headers blocks rows nodes"
WORD_CHARS_MIN = 5  # shorter ones stand in any file by chance
TELLING = {
    "family",
    "given",
    "text",
    "display",
    "code",
    "birthDate",
    "value",
    "line",
    "city",
    "id",
    "reference",
    "start",
}


def words_of(document: Any, key: str = "") -> Iterator[str]:
    """Every telling text of a FHIR document, and the words that it is made of."""
    if isinstance(document, dict):
        for name, value in document.items():
            yield from words_of(value, name)
    elif isinstance(document, list):
        for value in document:
            yield from words_of(value, key)
    elif isinstance(document, str) and key in TELLING:
        yield document
        yield from re.split(r"[\s/|:,()]+", document)


def clinical_words(folder: Path) -> set[bytes]:
    """What stands in the records: in UTF-8, and dates and numbers as they are written."""
    found: set[bytes] = set()
    for document in find_documents(folder):
        content = document.content()
        if content[:1] == b"{":
            found |= {word.encode() for word in words_of(json.loads(content)) if len(word) >= WORD_CHARS_MIN}
    return {word for word in found if word not in CHAINS_OWN}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[bytes]]:
    """The folder that the demo kept, and the words of the records it shared."""
    folder = tmp_path_factory.mktemp("privacy")
    data = tmp_path_factory.mktemp("records") / "data"
    write_generated(data, seed=3, patients=2)
    for path in sorted(REAL.glob("**/*.json"), key=lambda path: path.stat().st_size)[:REAL_FILES]:
        shutil.copy(path, data)
    wishes = Wishes(data=data, updates=500, seed=1, patients=2)
    with show_progress(fleeting=True) as bars:
        report = trio.run(partial(play, wishes, folder, bars))
    assert report.ok, report.as_json()
    return folder, clinical_words(data)


def test_nothing_clinical_reached_the_chain(played: tuple[Path, set[bytes]]) -> None:
    kept, words = played
    assert len(words) > 200
    stored = b"".join(path.read_bytes() for path in sorted((kept / "chain").rglob("*")) if path.is_file())
    assert b"demo" in stored.lower() or len(stored) > 10_000
    assert not [word for word in words if word in stored]


def test_the_search_would_find_it(played: tuple[Path, set[bytes]]) -> None:
    """The same words do stand in the records: the search is not blind."""
    kept, words = played
    assert kept.is_dir()
    assert any(re.fullmatch(rb"\d{4}-\d\d-\d\d", word) for word in words)
    assert any(re.fullmatch(rb"\d{6,}", word) for word in words)
