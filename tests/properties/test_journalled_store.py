"""The channels' store against a dict: through commits, reads, write-backs and crashes, every acknowledged row is there,
and nothing else."""

import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from l1.ground.hashing import digest
from l1.serving.journal import PAGE_BYTES
from l2.node.examination import examine_rows, looking_into
from l2.node.store import ChannelStore

CHANNELS = [digest(b"channel %d" % number) for number in range(3)]
AREA_BYTES = 6 * PAGE_BYTES
LIVES, STEPS = 12, 60
FIRST, LAST = b"\0", b"\xff"

Model = dict[bytes, dict[bytes, bytes]]
Rows = list[tuple[bytes, bytes]]


@pytest.fixture(autouse=True)
def small_areas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("l2.node.store.AREA_BYTES", AREA_BYTES)


def rows_by(chance: random.Random) -> Rows:
    """Heads that are written again and again, batches that follow each other, and now and then much at once."""
    size = chance.choice([1, 40, 300, 3_000, 2 * AREA_BYTES if chance.random() < 0.1 else 0])
    keys = [b"h\0", b"h\1", b"s", *(b"b%c" % chance.randrange(2) + bytes([0, chance.randrange(40)]) for _ in range(3))]
    return [(key, chance.randbytes(size)) for key in chance.sample(keys, chance.randint(1, len(keys)))]


def put(model: Model, channel: bytes, rows: Rows) -> None:
    model.setdefault(channel, {}).update(rows)


def check(store: Any, model: Model) -> None:
    """Everything, by every way of reading."""
    assert store.channels() == sorted(model)
    for channel in CHANNELS:
        rows, wanted = store.rows(channel), model.get(channel, {})
        assert list(rows.scan(FIRST, LAST)) == sorted(wanted.items())
        assert rows.is_empty() is (not wanted)


def check_places(store: ChannelStore, model: Model, chance: random.Random) -> None:
    """Single rows and stretches, those that are not there among them."""
    channel = chance.choice(CHANNELS)
    rows, wanted = store.rows(channel), model.get(channel, {})
    for key in (b"h\0", b"h\1", b"s", b"a", b"b\0\0\x10", b"b\1\0\x07\x00", b"z", b""):
        assert rows.get(key) == wanted.get(key)
        at = max((one for one in wanted if one <= key), default=None)
        assert rows.floor(key) == (None if at is None else (at, wanted[at]))
    first, last = sorted(b"b\0" + bytes([0, chance.randrange(40)]) for _ in range(2))
    assert list(rows.scan(first, last)) == sorted(row for row in wanted.items() if first <= row[0] < last)


def drop(store: ChannelStore) -> None:
    """The process is dead: nothing more is written."""
    store._has_failed = True
    store.close()


def moved(path: Path, name: int) -> Path:
    """The files as a crash leaves them, elsewhere: what was not in them is gone."""
    to = path.parent.parent / str(name)
    shutil.copytree(path.parent, to, ignore=shutil.ignore_patterns("*-lock"))
    return to / path.name


@pytest.mark.parametrize("seed", range(4))
def test_a_store_is_what_a_dict_is_however_often_it_dies(tmp_path: Path, seed: int) -> None:
    chance, model = random.Random(f"journalled {seed}"), Model()
    (tmp_path / "0").mkdir()
    path = tmp_path / "0" / "channels.mdb"
    for life in range(1, LIVES):
        store = ChannelStore(path)
        check(store, model)
        for _ in range(chance.randrange(STEPS)):
            act = chance.random()
            if act < 0.7:
                channel, rows = chance.choice(CHANNELS), rows_by(chance)
                store.write(channel, rows)
                put(model, channel, rows)
            elif act < 0.75:
                store._write_back()
            elif act < 0.8:
                seen = moved(path, chance.getrandbits(64))
                with looking_into(seen) as view:
                    check(view, model)
                shutil.rmtree(seen.parent)
            else:
                check_places(store, model, chance)
        check(store, model)
        if chance.random() < 0.3:
            copy = tmp_path / f"copy-{life}"
            store.copy(copy)
            examine_rows(copy)
            copied = ChannelStore(copy)
            check(copied, model)
            copied.close()
        if chance.random() < 0.3:
            store.close()
            path = moved(path, life)
        else:
            here, path = path, moved(path, life)
            drop(store)
            shutil.rmtree(here.parent)
    assert sum(len(rows) for rows in model.values()) > 50


class Died(BaseException):
    """The machine is gone: what was flushed is on the disk; of what was not, this much."""


class Machine:
    """Counts what reaches the disk, and dies before or in the middle of one of these effects."""

    def __init__(self, patch: pytest.MonkeyPatch, dies_at: int, share: float) -> None:
        self.effects, self._dies_at, self._share = 0, dies_at, share
        pwrite, fdatasync, put_rows = os.pwrite, os.fdatasync, ChannelStore._put

        def writes(file: int, data: bytes, at: int) -> int:
            if self._is_last():
                pwrite(file, data[: int(len(data) * self._share)], at)
                raise Died
            return pwrite(file, data, at)

        def flushes(file: int) -> None:
            if self._is_last():
                raise Died
            fdatasync(file)

        def puts(store: ChannelStore, *rest: Any) -> None:
            if self._is_last():
                if self._share == 1.0:
                    put_rows(store, *rest)
                raise Died
            put_rows(store, *rest)

        patch.setattr(os, "pwrite", writes)
        patch.setattr(os, "fdatasync", flushes)
        patch.setattr(ChannelStore, "_put", puts)

    def _is_last(self) -> bool:
        self.effects += 1
        return self.effects == self._dies_at


def script() -> Iterator[tuple[bytes, Rows] | Callable[[ChannelStore], None]]:
    """Two areas' worth of commits, one that fits into none, a write-back of its own."""
    for number in range(16):
        yield (
            CHANNELS[number % 2],
            [(b"h\0", b"%d" % number), (b"b\0\0%c" % number, bytes([number]) * 900 * (number % 8))],
        )
    yield CHANNELS[2], [(b"b\0\0\0", bytes(2 * AREA_BYTES))]
    yield ChannelStore._write_back
    yield CHANNELS[2], [(b"s", b"last")]


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_a_machine_that_dies_at_any_effect_loses_nothing_that_was_acknowledged(tmp_path: Path, share: float) -> None:
    """Before effect 1, 2, 3 … until a run is unhurt. The commit under way may be there, whole, or not at all."""
    dies_at, unhurt = 0, False
    while not unhurt:
        dies_at += 1
        folder = tmp_path / f"{dies_at}"
        folder.mkdir()
        path = folder / "channels.mdb"
        model, under_way = Model(), Model()
        store = ChannelStore(path)
        with pytest.MonkeyPatch.context() as patch:
            Machine(patch, dies_at, share)
            try:
                for step in script():
                    if callable(step):
                        step(store)
                        continue
                    under_way = {channel: dict(rows) for channel, rows in model.items()}
                    put(under_way, *step)
                    store.write(*step)
                    model = under_way
                store.close()
                unhurt = True
            except Died:
                path = moved(path, 1_000 + dies_at)
        if not unhurt:
            with suppress(OSError):
                drop(store)
        again = ChannelStore(path)
        try:
            check(again, model)
        except AssertionError:
            check(again, under_way)
        again.write(CHANNELS[0], [(b"z", b"it goes on")])
        again.close()
        shutil.rmtree(path.parent)
    assert dies_at > 30
