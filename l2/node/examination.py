"""Looking into a channels' store from outside, also beside a process that writes to it. Nothing is changed."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import lmdb

from l1.ground.faults import LocalError
from l1.serving.pages import check_metas, check_pages
from l1.serving.schema import check_version
from l2.node.channel_rows import ChannelRows, channels_in
from l2.node.journalled import journalled
from l2.node.layouts import standing_of
from l2.node.overlay import Layer
from l2.node.store import MAP_BYTES, SCHEMA
from l2.protocol.rows import open_row

__all__ = ["examine_rows", "looking_into"]

_TRIES = 20  # a journal that is written meanwhile may seem to have a gap: one that is gone the next time was none


class _View:
    """What the store and its journal held together at one moment."""

    def __init__(self, layer: Layer, reading: Any) -> None:
        self._layer, self._reading = layer, reading

    def channels(self) -> list[bytes]:
        return channels_in((self._layer,), self._reading)

    def rows(self, channel: bytes) -> ChannelRows:
        return ChannelRows(lambda: (self._layer,), lambda: nullcontext(self._reading), channel)

    def read_all(self) -> int:
        """How many rows there are, each read once. Raises `Damaged`."""
        count = 0
        for place, stored in self._reading.cursor():
            open_row(bytes(place), bytes(stored))
            count += 1
        return count + sum(self._reading.get(place) is None for place, _ in self._layer.items())


@contextmanager
def looking_into(path: Path) -> Iterator[_View]:
    """Read a store of this program's schema, and its journal. Raises `LocalError` for what is damaged."""
    with _opened(path) as store:
        meta, rows = (store.open_db(name, create=False) for name in (b"meta", b"rows"))
        for tried in range(_TRIES):
            with store.begin(db=rows) as reading:
                standing = standing_of(reading, meta)
                try:
                    layer = journalled(path, standing)
                except LocalError:
                    if tried == _TRIES - 1:
                        raise
                    continue
                with store.begin() as again:
                    if standing_of(again, meta) != standing:
                        continue  # what the journal held beyond it may be written over by now
                yield _View(layer, reading)
                return
        raise LocalError(f"{path} is written so fast that it cannot be looked into", "Try again.")


def _opened(path: Path) -> Any:
    return lmdb.open(str(path), subdir=False, readonly=True, max_dbs=2, map_size=MAP_BYTES)


def examine_rows(path: Path) -> int:
    """Read every page and every row once, also beside a process that writes. How many rows there are.

    Raises `Refused` and `LocalError` for what is damaged, or of another schema than this program's.
    """
    check_metas(path)
    with _opened(path) as store:
        while True:
            with store.begin() as reading:
                if check_pages(path, reading.id()) is None:
                    continue  # two transactions were written meanwhile: the pages of this one are not to be found
                facts = store.open_db(b"meta", txn=reading, create=False)
                schema = int.from_bytes(reading.get(b"schema", db=facts) or b"", "big")
                break
    check_version(path, schema, SCHEMA)
    if schema < SCHEMA:
        raise LocalError(f"{path} has the older schema {schema}", "Start the hospital: it migrates it.")
    with looking_into(path) as view:
        return view.read_all()
