"""A record that is too long for memory goes to a file in pieces: all of it, or nothing."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from client.records.saving import save_pieces
from l1.ground.faults import LocalError


async def pieces(count: int, *, breaks: bool = False) -> AsyncIterator[bytes]:
    for number in range(count):
        yield bytes([number]) * 1000
    if breaks:
        raise LocalError("the hospital has gone", "Start it.")


async def test_all_pieces_are_in_the_file(tmp_path: Path) -> None:
    await save_pieces(tmp_path / "study", pieces(5))
    assert (tmp_path / "study").read_bytes() == b"".join(bytes([number]) * 1000 for number in range(5))


async def test_half_a_record_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="has gone"):
        await save_pieces(tmp_path / "study", pieces(5, breaks=True))
    assert os.listdir(tmp_path) == []


async def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="cannot be written"):
        await save_pieces(tmp_path / "none" / "study", pieces(1))
