"""What judgements changed in the store: marks, endings and heads, written once for all the batches of a step."""

from collections.abc import Sequence

from l1.rules.log.marks import Void
from l2.protocol.channel import Channel
from l2.protocol.events import Persist
from l2.protocol.limits import MARKS_CHUNK
from l2.protocol.rows import ending_key, mark_key, void_key

__all__ = ["fold_rows", "let_stand"]


def let_stand(channel: Channel, side: int, first: int, voids: Sequence[tuple[int, Void]]) -> list[tuple[bytes, bytes]]:
    """Let the judgement of a batch stand. The rows of its void entries; the rest is written by `fold_rows`."""
    for at, touched in enumerate(channel.fold.settle()):
        channel.touched[at].update(touched)
    channel.grown.setdefault(side, first)
    return [(void_key(side, index), bytes([reason])) for index, reason in voids]


def fold_rows(channel: Channel) -> list[Persist]:
    """At the end of a step: the marks and endings that its batches changed, and the new heads."""
    rows = [row for side in (0, 1) for row in _rows_of(channel, side)]
    channel.grown.clear()
    return [channel.persist(rows)] if rows else []


def _rows_of(channel: Channel, side: int) -> list[tuple[bytes, bytes]]:
    log, touched, first = channel.fold.logs[side], channel.touched[side], channel.grown.get(side)
    chunks = {index // MARKS_CHUNK for index in touched}
    if first is not None:
        chunks.update(range(first // MARKS_CHUNK, (len(log.marks) - 1) // MARKS_CHUNK + 1))
    rows = [
        (mark_key(side, chunk), bytes(log.marks[chunk * MARKS_CHUNK : (chunk + 1) * MARKS_CHUNK]))
        for chunk in sorted(chunks)
    ]
    ended = sorted(touched & log.endings.keys())
    rows += [(ending_key(side, index), log.endings[index].to_bytes(8, "big")) for index in ended]
    touched.clear()
    return rows if first is None else [*rows, channel.log_row(side)]
