"""What stands in both logs of a channel, and how a judgement changes it so that it can be taken back.

Terms are not held: they are decoded from the stored entry through a bounded cache. The rules that use all this are in
`judgements`; the order in which they are applied is in `fold`.
"""

from collections.abc import Callable
from itertools import takewhile
from operator import itemgetter
from typing import Any, TypeVar

import msgspec

from l1.rules.log.entries import Entry, Terms
from l1.rules.log.limits import CACHED_GRANTS_MAX, CACHED_ROWS_MAX
from l1.rules.log.marks import HAS_ENDED, KIND, VOID, LogFold

__all__ = ["ReadEntry", "Standing"]

T = TypeVar("T")

ReadEntry = Callable[[int, int], tuple[Entry, Terms | None]]
"""`read(side, index)`: a stored entry and its terms."""


class Allowed(msgspec.Struct, frozen=True, gc=False):
    """What of a grant is needed to judge by it: nearly every entry refers to one, so many are kept."""

    consent: int | None
    purposes: int
    from_ms: int
    until_ms: int
    fee: int
    lock: bytes


_Rows = dict[int, tuple[Any, Any]]


def _keep(kept: dict[int, T], index: int, value: T, most: int) -> None:
    if len(kept) >= most:
        for old in list(kept)[: most // 2]:
            del kept[old]
    kept[index] = value


class Standing:
    """Both logs' marks, and the changes of a judgement that is not settled yet."""

    def __init__(self, read: ReadEntry) -> None:
        self.logs = (LogFold(), LogFold())
        self.read = read
        self.cache: tuple[_Rows, _Rows] = ({}, {})
        self.grants: tuple[dict[int, Allowed], dict[int, Allowed]] = ({}, {})
        self._restore: Callable[[], None] | None = None
        self._changes: list[tuple[bytearray | dict[int, int], int, int | None]] = []  # rows, key, what stood there
        self._touched: list[set[int]] = [set(), set()]  # indices of old marks that changed since `settle`

    def begin(self, side: int) -> None:
        """From here on every change of a side's log can be taken back."""
        assert self._restore is None, "the last judgement was neither settled nor undone"
        log = self.logs[side]
        size, seen, time, spent, pay = len(log.marks), log.seen, log.time, log.spent, log.pay
        open_requests = dict(log.open_requests)  # few, and they leave in the order of time: restored as a whole

        def restore() -> None:
            del log.marks[size:]
            log.seen, log.time, log.spent, log.pay = seen, time, spent, pay
            log.open_requests = open_requests
            log.late = dict(sorted(log.late.items(), key=itemgetter(1)))
            for kept in (self.cache[side], self.grants[side]):
                for index in list(takewhile(lambda index: index >= size, reversed(kept))):
                    del kept[index]

        self._restore = restore

    def undo(self) -> None:
        """Take the judgement back."""
        assert self._restore is not None
        for rows, key, before in reversed(self._changes):
            if before is None:
                del rows[key]
            else:
                rows[key] = before
        self._restore()
        self._forget_changes()

    def settle(self) -> tuple[set[int], set[int]]:
        """Let the judgement stand. Returns the indices of old marks that it changed, per side."""
        touched = (self._touched[0], self._touched[1])
        self._forget_changes()
        return touched

    def _forget_changes(self) -> None:
        self._changes.clear()
        self._restore = None
        self._touched = [set(), set()]

    def flag(self, side: int, index: int, flag: int) -> None:
        marks = self.logs[side].marks
        before = marks[index]
        if before & flag != flag:
            marks[index] = before | flag
            self._touched[side].add(index)
            self._changes.append((marks, index, before))

    def put(self, rows: dict[int, int], key: int, value: int) -> None:
        self._changes.append((rows, key, rows.get(key)))
        rows[key] = value

    def take(self, rows: dict[int, int], key: int) -> None:
        self._changes.append((rows, key, rows.pop(key)))

    def row(self, side: int, index: int) -> tuple[Any, Any]:
        """An entry and its terms, decoded once and kept for a while."""
        found = self.cache[side].get(index)
        if found is None:
            found = self.read(side, index)
            self.remember(side, index, *found)
        return found

    def remember(self, side: int, index: int, entry: Entry, terms: Terms | None) -> None:
        """Keep what is known of an entry. One of the batch at hand can be read from nowhere else until it is written,
        so it is never the one that makes room: the oldest half goes, and a batch is far smaller than that."""
        _keep(self.cache[side], index, (entry, terms), CACHED_ROWS_MAX)

    def grant(self, side: int, index: int) -> "Allowed":
        """What a standing grant allows."""
        found = self.grants[side].get(index)
        return self.remember_grant(side, index, *self.read(side, index)) if found is None else found

    def remember_grant(self, side: int, index: int, entry: Any, terms: Any) -> "Allowed":
        allowed = Allowed(entry.consent, terms.purposes, terms.from_ms, terms.until_ms, entry.fee, entry.lock)
        _keep(self.grants[side], index, allowed, CACHED_GRANTS_MAX)
        return allowed

    def stands(self, side: int, index: int, kind: int) -> bool:
        marks = self.logs[side].marks
        return index < len(marks) and marks[index] & (KIND | VOID) == kind

    def has_ended(self, side: int, index: int) -> bool:
        return bool(self.logs[side].marks[index] & HAS_ENDED)
