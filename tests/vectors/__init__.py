"""Published vectors, read from beside the project where they are present. Copies of them are not kept here."""

import json
from pathlib import Path
from typing import Any

import pytest

__all__ = ["load"]

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "vectors"


def load(name: str) -> Any:
    """The JSON of a vector file; the module that asks is skipped when there is none."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"published vectors are not here: {path}", allow_module_level=True)
    return json.loads(path.read_text())
