"""How far ahead a download asks: far for a fast line; carefully after a cut, which costs what was under way."""

from collections.abc import Iterator
from hashlib import shake_128
from pathlib import Path

import pytest

from l2.node.bodies import Bodies, Download, Turn
from l2.node.bodies.transfer import DEPTH_MIN, SURE_CHUNKS, UNIT_CHUNKS
from l2.records.limits import CHUNK_BYTES, SEALED_CHUNK_BYTES

CHAIN, CHANNEL, SEED = bytes([1]) * 32, bytes([2]) * 32, bytes([3]) * 32
COUNT = 100
CONTENT = shake_128(b"an image").digest(COUNT * CHUNK_BYTES - 1_000)


@pytest.fixture
def download(tmp_path: Path) -> Iterator[Download]:
    """It has arrived but for the last chunks, which a cut kept back."""
    with Bodies(tmp_path / "a", bytes(32)) as here, Bodies(tmp_path / "b", bytes(32)) as there:
        record, _ = here.records.add(CONTENT, now_ms=1)
        body = here.outgoing.prepare(record, chain=CHAIN, channel=CHANNEL, seed=SEED)
        yield there.incoming.begin(CHAIN, CHANNEL, 0, body)


def test_a_first_download_asks_far_ahead_at_once(download: Download) -> None:
    turn = Turn(download)
    assert turn.sure.is_set()
    assert turn.window == DEPTH_MIN * UNIT_CHUNKS
    turn.learn(0.05)
    assert turn.window == 16 * UNIT_CHUNKS


def test_after_a_cut_it_is_one_chunk_more_for_so_many_that_came(download: Download) -> None:
    """[PULL-11]"""
    download.missing.discard(3)
    turn = Turn(download)
    turn.learn(0.0005)
    for came in range(UNIT_CHUNKS):
        assert not turn.sure.is_set()
        assert turn.window == max(1, came)
        turn.came(SURE_CHUNKS, SURE_CHUNKS * SEALED_CHUNK_BYTES)
    assert turn.sure.is_set()
    assert turn.window == DEPTH_MIN * UNIT_CHUNKS


def test_a_far_peer_is_not_asked_more_slowly_than_a_slow_line_carries(download: Download) -> None:
    download.missing.discard(3)
    turn = Turn(download)
    turn.learn(0.05)
    assert turn.window == round(20_000_000 * 0.05 / SEALED_CHUNK_BYTES)


def test_units_are_as_large_as_there_is_room_and_skip_what_is_here(download: Download) -> None:
    download.missing.difference_update((0, 4, 5))
    turn = Turn(download)
    assert turn.take(2) == ((1, 3),)
    assert turn.take(4) == ((3, 4), (6, 9))
    turn.give_back([((1, 3),), ((3, 4), (6, 9))])
    taken = []
    while (unit := turn.take(UNIT_CHUNKS)) is not None:
        taken += [index for first, end in unit for index in range(first, end)]
    assert sorted(taken) == sorted(download.missing)
    assert turn.is_exhausted
    assert turn.sure.is_set(), "whoever waits for a second line need not wait any more"
