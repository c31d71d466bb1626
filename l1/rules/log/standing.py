"""What stands in both logs of a channel, and how a judgement changes it so that it can be taken back.

Terms are not held: they are decoded from the stored entry through a bounded cache. The rules that use all this are in
`judgements`; the order in which they are applied is in `fold`.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from typing import Any, TypeVar

import msgspec

from l1.rules.log.entries import Entry, Terms
from l1.rules.log.limits import CACHED_GRANTS_MAX, CACHED_ROWS_MAX
from l1.rules.log.marks import GRANT, HAS_ENDED, KIND, VOID, LogFold

__all__ = ["ReadEntries", "Standing"]

T = TypeVar("T")

ReadEntries = Callable[[int, Sequence[int]], Sequence[tuple[Entry, Terms | None]]]
"""`read(side, indices)`: stored entries and their terms, in the order of the log."""


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

    def __init__(self, read: ReadEntries) -> None:
        self.logs = (LogFold(), LogFold())
        self.read = read
        self.cache: tuple[_Rows, _Rows] = ({}, {})
        self.grants: tuple[dict[int, Allowed], dict[int, Allowed]] = ({}, {})
        self._restore: Callable[[], None] | None = None
        # Since `settle`, per side: marks that were flagged as (index, what stood there), and what else changed.
        self.flagged: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])
        self.answers: list[tuple[int, int]] = []  # of the batch at hand: at which index it answers which peer's entry
        self._closed: list[tuple[int, int]] = []
        self._ended: list[int] = []
        self._known: list[tuple[int, int]] = []

    def begin(self, side: int) -> None:
        """From here on every change of a side's log can be taken back."""
        assert self._restore is None, "the last judgement was neither settled nor undone"
        log, peer = self.logs[side], self.logs[1 - side]
        size, seen, time, spent, pay = len(log.marks), log.seen, log.time, log.spent, log.pay

        def restore() -> None:
            for at in (0, 1):
                for index, before in reversed(self.flagged[at]):
                    self.logs[at].marks[index] = before
            undone = range(size, len(log.marks))
            del log.marks[size:]
            log.seen, log.time, log.spent, log.pay = seen, time, spent, pay
            requests = sorted([*self._closed, *log.open_requests.items()])  # by index, which is the order of time
            log.open_requests = {index: expiry for index, expiry in requests if index < size}
            log.late = {**dict(self._known), **log.late}
            for target in list(takewhile(lambda target: peer.late[target] >= size, reversed(peer.late))):
                del peer.late[target]
            for target in self._ended:
                del log.endings[target]
            for index in undone:
                self.cache[side].pop(index, None)
                self.grants[side].pop(index, None)

        self._restore = restore

    def undo(self) -> None:
        """Take the judgement back."""
        assert self._restore is not None
        self._restore()
        self._forget_changes()

    def settle(self) -> tuple[set[int], set[int]]:
        """Let the judgement stand. Returns the indices of old marks that it changed, per side."""
        touched = tuple({index for index, _ in flagged} for flagged in self.flagged)
        self._forget_changes()
        return touched[0], touched[1]

    def _forget_changes(self) -> None:
        self._restore = None
        self.flagged[0].clear()
        self.flagged[1].clear()
        self._closed.clear()
        self._ended.clear()
        self._known.clear()

    def flag(self, side: int, index: int, flag: int) -> bool:
        """Flag an entry. Whether it was not flagged so before."""
        marks = self.logs[side].marks
        before = marks[index]
        if before & flag:
            return False
        marks[index] = before | flag
        self.flagged[side].append((index, before))
        return True

    def close_request(self, side: int, target: int) -> None:
        """A request of a side is open to its writer no longer, if it was."""
        expiry = self.logs[side].open_requests.pop(target, None)
        if expiry is not None:
            self._closed.append((target, expiry))
            self.flag(side, target, HAS_ENDED)

    def end(self, side: int, at: int, target: int) -> None:
        """Entry `at` of a side's log ends a consent or grant of the same log."""
        self.logs[side].endings[target] = at
        self._ended.append(target)
        self.flag(side, target, HAS_ENDED)

    def note_answers(self, side: int) -> None:
        """The writer of a side does not know yet what the peer's batch answers. Noted in the order of the answers."""
        self.answers.sort()
        self.logs[side].late.update((target, at) for at, target in self.answers)
        self.answers.clear()

    def take_late(self, side: int, seen: int) -> list[int]:
        """The entries of a side whose answers its writer knows once it has seen so much of the peer's log."""
        late = self.logs[side].late
        # They stand in the order of the answers, so those that are news come first.
        news = list(takewhile(lambda answer: answer[1] < seen, late.items()))
        self._known += news
        targets = [target for target, _ in news]
        for target in targets:
            del late[target]
        return targets

    def row(self, side: int, index: int) -> tuple[Any, Any]:
        """An entry and its terms, decoded once and kept for a while."""
        found = self.cache[side].get(index)
        if found is None:
            (found,) = self.read(side, (index,))
            self.remember(side, index, *found)
        return found

    def remember(self, side: int, index: int, entry: Entry, terms: Terms | None) -> None:
        """Keep what is known of an entry. One of the batch at hand can be read from nowhere else until it is written,
        so it is never the one that makes room: the oldest half goes, and a batch is far smaller than that."""
        _keep(self.cache[side], index, (entry, terms), CACHED_ROWS_MAX)

    def grant(self, side: int, index: int) -> Allowed:
        """What a standing grant allows."""
        found = self.grants[side].get(index)
        if found is None:
            self.learn_grants(side, (index,))
            found = self.grants[side][index]
        return found

    def learn_grants(self, side: int, indices: Iterable[int]) -> None:
        """Have at hand what these allow, of those that are standing grants: together they cost little more than one."""
        marks = self.logs[side].marks
        lacking = sorted(set(indices).difference(self.grants[side]))
        wanted = [index for index in lacking if index < len(marks) and marks[index] & (KIND | VOID) == GRANT]
        for index, (entry, terms) in zip(wanted, self.read(side, wanted) if wanted else (), strict=True):
            self.remember_grant(side, index, entry, terms)

    def remember_grant(self, side: int, index: int, entry: Any, terms: Any) -> None:
        allowed = Allowed(entry.consent, terms.purposes, terms.from_ms, terms.until_ms, entry.fee, entry.lock)
        _keep(self.grants[side], index, allowed, CACHED_GRANTS_MAX)

    def stands(self, side: int, index: int, kind: int) -> bool:
        marks = self.logs[side].marks
        return index < len(marks) and marks[index] & (KIND | VOID) == kind
