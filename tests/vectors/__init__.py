"""Published vectors, read from beside the project where they are present. Copies of them are not kept here."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

__all__ = ["load", "named"]

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "vectors"


def load(name: str) -> Any:
    """The JSON of a vector file; the module that asks is skipped when there is none."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"published vectors are not here: {path}", allow_module_level=True)
    return json.loads(path.read_text())


@contextmanager
def named(case: object) -> Iterator[None]:
    """What goes wrong within says with which case. A file's thousand cases are one test, for pytest takes its time over
    every one that it collects, in every worker."""
    try:
        yield
    except BaseException as wrong:
        wrong.add_note(f"case {case}")
        raise
