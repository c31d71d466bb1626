"""Every channel's rows into the store of its home, while nothing runs on the folder.

What is moved is copied in one transaction, then deleted where it was in another: a crash between the two leaves two
equal copies, and the next start deletes one. Two that differ were never left by this, and nothing starts on them: rows
of one channel in two processes would be two heads of one size. Bytes are moved as they lie, each checksum is opened.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import lmdb
import structlog

from l1.ground.faults import LocalError
from l2.link import slot_of
from l2.node.channel_rows import channels_in
from l2.node.journalled import journal_of
from l2.node.parts import CHANNELS, home_of_slot, store_of, stores_in
from l2.node.store import MAP_BYTES, ChannelStore, disk_failed
from l2.protocol.rows import Damaged, open_row

__all__ = ["arrange"]

log = structlog.get_logger()


def arrange(folder: Path, workers: int) -> int:
    """The number of channels that were moved. The caller holds the folder and every worker's lock.

    Raises `LocalError` for a store that does not open, for a damaged row, and for a channel that differs in two stores.
    """
    stores = stores_in(folder)
    if not stores or (workers == 1 and list(stores) == [0]):
        return 0
    for path in stores.values():
        ChannelStore(path).close()  # takes in its journal, or says why it cannot
    try:
        moved = _move_all(folder, stores, workers)
    except lmdb.DiskError as error:
        raise disk_failed(error) from None
    for number in stores:
        if number >= workers:
            _remove(folder / store_of(number))
    if moved:
        log.info("channels moved to their workers' stores", channels=moved, workers=workers)
    return moved


def _move_all(folder: Path, stores: dict[int, Path], workers: int) -> int:
    moved = 0
    with ExitStack() as stack:
        opened = {number: stack.enter_context(_open(path)) for number, path in stores.items()}
        for number in sorted(stores):
            for channel in _channels(opened[number]):
                home = home_of_slot(slot_of(channel), workers)
                if home == number:
                    continue
                if home not in opened:
                    opened[home] = stack.enter_context(_begin(folder / store_of(home)))
                _move(opened[number], opened[home], channel)
                moved += 1
    return moved


def _open(path: Path) -> Any:
    return lmdb.open(str(path), subdir=False, map_size=MAP_BYTES, max_dbs=2)


def _begin(path: Path) -> Any:
    """A new store, whose name is durable before anything is deleted elsewhere."""
    ChannelStore(path).close()
    handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    return _open(path)


def _rows(store: Any) -> Any:
    return store.open_db(b"rows", create=False)


def _channels(store: Any) -> list[bytes]:
    with store.begin(db=_rows(store)) as reading:
        return channels_in((), reading)


def _stored(reading: Any, channel: bytes) -> Iterator[tuple[bytes, bytes]]:
    """A channel's rows by their places, as they lie. Raises `Damaged`."""
    cursor = reading.cursor()
    if cursor.set_range(channel):
        for place, stored in cursor:
            if not place.startswith(channel):
                return
            open_row(bytes(place), bytes(stored))
            yield bytes(place), bytes(stored)


def _move(source: Any, home: Any, channel: bytes) -> None:
    with source.begin(db=_rows(source)) as reading, home.begin(db=_rows(home), write=True) as writing:
        if next(_stored(writing, channel), None) is None:
            writing.cursor().putmulti(_stored(reading, channel))
        else:
            _check_same(reading, writing, channel)
    with source.begin(db=_rows(source), write=True) as writing:
        cursor = writing.cursor()
        found = cursor.set_range(channel)
        while found and cursor.key().startswith(channel):
            found = cursor.delete()


def _check_same(one: Any, other: Any, channel: bytes) -> None:
    """Raises `Damaged` unless two stores hold the same of a channel."""
    rows = zip(_padded(one, channel), _padded(other, channel), strict=False)
    if any(a != b for a, b in rows):
        raise Damaged(f"channel {channel[:4].hex()}… lies in two stores that differ")


def _padded(reading: Any, channel: bytes) -> Iterator[tuple[bytes, bytes] | None]:
    yield from _stored(reading, channel)
    yield None


def _remove(path: Path) -> None:
    """A store whose channels have all moved: its journal first, for a journal without its store is refused."""
    assert path.name != CHANNELS
    with _open(path) as store:
        if _channels(store):
            raise LocalError(f"{path} still holds channels", "Report this as a bug; nothing was removed.")
    journal_of(path).unlink(missing_ok=True)
    path.unlink()
    path.with_name(f"{path.name}-lock").unlink(missing_ok=True)
