"""What a hospital notices of torn rows: at the start, or when both logs are read again from entry 0."""

from l1.ground.faults import Refused
from l1.ground.merkle import Frontier
from l1.rules.log.entries import Seen, Terms
from l1.rules.log.fold import Fold
from l1.rules.log.leaves import leaf_hashes
from l2.protocol.batch import Salts
from l2.protocol.channel import Channel, Me, load
from l2.protocol.log import LogReader
from tests.simulation.disk import MemoryRows

__all__ = ["is_hurt", "read_again"]

_NOTICED = (Refused, AssertionError, LookupError, ValueError)


def is_hurt(rows: MemoryRows, me: Me, chain: bytes) -> str | None:
    """ "a start" if that notices, "reading again" if only that does, None if nobody does."""
    try:
        channel = load(rows, me, chain, fresh=False)
    except _NOTICED:
        return "a start"
    try:
        return None if read_again(channel, rows) else "reading again"
    except _NOTICED:
        return "reading again"


def read_again(held: Channel, rows: MemoryRows) -> bool:
    """Whether both logs, hashed and folded anew, give what is held."""
    readers = [LogReader(rows, side, Salts(held.me.secret, side)) for side in (0, 1)]
    fold = Fold(lambda side, indices: readers[side].entries(indices))
    frontiers = [Frontier(), Frontier()]
    sizes = [head.size for head in held.heads]
    moved = True
    while moved:
        moved = False
        for side in (0, 1):
            first = frontiers[side].size
            if first >= sizes[side]:
                continue
            batch, entries, aligned = readers[side].batch(first)
            seen = max((entry.size for entry in entries if isinstance(entry, Seen)), default=0)
            if seen > frontiers[1 - side].size:
                continue
            terms: list[Terms] = [own for own in aligned if own is not None]
            fold.judge(side, entries, terms)
            fold.settle()
            leaves = leaf_hashes(batch.publics, batch.privates, readers[side].salts.span(first, len(entries)))
            frontiers[side], _ = frontiers[side].extend(leaves)
            moved = True
    return all(_agrees(held, fold, frontiers[side], side) for side in (0, 1))


def _agrees(held: Channel, fold: Fold, frontier: Frontier, side: int) -> bool:
    log, again = held.fold.logs[side], fold.logs[side]
    same = [getattr(log, name) == getattr(again, name) for name in ("marks", "endings", "seen", "time", "spent")]
    return held.heads[side].frontier == frontier and all(same)
