"""A channels' store with something in it, and all that a hospital reads from one when it starts."""

from pathlib import Path

from l1.ground.hashing import digest
from l1.rules.log.entries import Revoke
from l2.node.store import ChannelStore
from l2.protocol.channel import Me, load
from l2.protocol.stored import check_signed
from tests.unit.l2.protocol.stories import access, access_terms, granted, write
from tests.unit.l2.protocol.world import CHAIN, KEYS, KEYS_EVER, NOW_MS, MemoryRows, Pair

CHANNEL = digest(b"some channel")
FIRST, LAST = b"\0", b"\xff"
ME = Me(KEYS[0], 1, digest(b"secret"))


def filled(path: Path) -> list[MemoryRows]:
    """A store of a channel in which both hospitals wrote; the rows as of each commit."""
    pair = Pair()
    first = granted(pair, 20)
    commits = [pair.stores[0].copy()]
    for turn in range(5):
        pair.append(1, [access(first + turn, at=10) for _ in range(40)], [access_terms()] * 40)
        pair.settle()
        write(pair, 0, Revoke(time=NOW_MS + 20, grant=first + turn))
        commits.append(pair.stores[0].copy())
    store = ChannelStore(path)
    for before, after in zip([MemoryRows(), *commits], commits, strict=False):
        store.write(CHANNEL, [row for row in after.scan(FIRST, LAST) if before.get(row[0]) != row[1]])
    store.close()
    return commits


def everything(path: Path) -> list[tuple[bytes, bytes]]:
    """Every row, the channel loaded and what is signed in it opened."""
    store = ChannelStore(path)
    try:
        rows = store.rows(CHANNEL)
        check_signed(load(rows, ME, CHAIN, fresh=False), KEYS_EVER)
        return list(rows.scan(FIRST, LAST))
    finally:
        store.close()
