"""The fold: which entries stand and which are void. A function of the two logs alone, the same on both sides.

Entry i of a log is judged at the last `seen` before it in its own log: of the peer's log it knows what stands before
that size, and nothing more. What stands is held as one byte per entry (its kind and a few flags), plus the endings of
consents and grants; terms are decoded from the stored entry through a bounded cache. A batch is judged at once;
`undo` takes the last judgement back. Policy (whether a hospital *wants* to grant) is not known here. One rule per kind
stands in `judgements`. Source: design §5; docs/spec/fold.md.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from operator import attrgetter
from typing import Any

from l1.ground.limits import REQUEST_LIFE_MS
from l1.rules.log.entries import (
    TERMS_OF,
    Access,
    AccessTerms,
    Deny,
    Entry,
    Grant,
    Pay,
    Receipt,
    Revoke,
    Seen,
    Terms,
    Withdraw,
    tag_of,
)
from l1.rules.log.judgements import JUDGES, judge_accesses, judge_receipts
from l1.rules.log.marks import ANSWERED, CONSENT, DONE, GRANT, HAS_ENDED, KIND, PAY, REQUEST, VOID, LogFold, Void
from l1.rules.log.standing import ReadEntries, Standing

__all__ = [
    "ANSWERED",
    "CONSENT",
    "DONE",
    "GRANT",
    "HAS_ENDED",
    "KIND",
    "REQUEST",
    "VOID",
    "Fold",
    "LogFold",
    "ReadEntries",
    "Void",
]

_TAG_OF = {kind: tag_of(kind) for kind in JUDGES}
_MARKS: dict[type, int] = {kind: tag | VOID for kind, tag in _TAG_OF.items()}
_MARKS.update({kind: tag_of(kind) for kind in (Access, Receipt)})
_UNJUDGED = _MARKS.__getitem__
_WITH_TERMS = frozenset(TERMS_OF)
_ENDINGS = frozenset((Withdraw, Revoke))
_time_of = attrgetter("time")


class Fold:
    """Both logs of a channel, folded."""

    def __init__(self, read: ReadEntries) -> None:
        self._standing = Standing(read)
        self.logs = self._standing.logs

    def judge(self, side: int, entries: Sequence[Entry], terms: Sequence[Terms]) -> list[tuple[int, Void]]:
        """Fold a batch in. Returns the void entries, by index. `undo` takes it all back until `settle`."""
        self._standing.begin(side)
        voids = [void for part in _between_seens(entries, terms) for void in self._judge(side, *part)]
        # The peer's next `seen` asks for the time of our last entry, so it is kept at hand.
        last = entries[-1]
        own = terms[-1] if type(last) in _WITH_TERMS else None
        self._standing.remember(side, len(self.logs[side].marks) - 1, last, own)
        return voids

    def _judge(
        self, side: int, entries: Sequence[Entry], terms: Sequence[Terms], kinds: Sequence[type]
    ) -> list[tuple[int, Void]]:
        """A `seen`, or entries without one: accesses and receipts at once, then the others in order.

        What is not judged yet is marked as void: so every rule finds just what stands before its entry. No rule asks
        for an access or a receipt.
        """
        log = self.logs[side]
        marks, first = log.marks, len(log.marks)
        times, bad = _falling(log, entries)
        bad = self._judge_accesses(side, entries, terms, kinds, times) | bad
        marks += bytes(map(_UNJUDGED, kinds))
        others = [at for at, kind in enumerate(kinds) if kind is not Access]
        receipts = [(first + at, entries[at]) for at in others if kinds[at] is Receipt and at not in bad]
        paid = judge_receipts(self._standing, side, receipts)
        following = iter([each for each in terms if type(each) is not AccessTerms])
        for at in others:
            kind = kinds[at]
            if kind is Receipt and first + at not in paid:
                continue
            own = next(following) if kind in _WITH_TERMS else None
            reason = bad.get(at) or JUDGES[kind](self._standing, side, first + at, entries[at], own)
            if reason is None:
                marks[first + at] = _TAG_OF[kind]
            else:
                bad[at] = reason
        self._standing.note_answers(1 - side)
        for at in bad:
            marks[first + at] |= VOID
        if marks[-1] != PAY:
            log.pay = None
        return [(first + at, bad[at]) for at in sorted(bad)]

    def _judge_accesses(
        self,
        side: int,
        entries: Sequence[Entry],
        terms: Sequence[Terms],
        kinds: Sequence[type],
        times: tuple[int, int],
    ) -> dict[int, Void]:
        """Which accesses do not count, by position."""
        odd = judge_accesses(self._standing, side, entries, terms, times)
        if not odd:
            return {}
        positions = [at for at, kind in enumerate(kinds) if kind is Access]
        return {positions[number]: reason for number, reason in odd.items()}

    def undo(self) -> None:
        """Take the last judgement back."""
        self._standing.undo()

    def settle(self) -> tuple[set[int], set[int]]:
        """Let the last judgement stand. Returns the indices of old marks that it changed, per side."""
        return self._standing.settle()

    def row(self, side: int, index: int) -> tuple[Any, Any]:
        """An entry and its terms, decoded once and kept for a while."""
        return self._standing.row(side, index)

    def restore(self, side: int, *, marks: bytes, endings: dict[int, int], seen: int, time: int, spent: int) -> None:
        """Take up one log where it was; then `catch_up` both."""
        log = self.logs[side]
        log.marks, log.endings = bytearray(marks), endings
        log.seen, log.time, log.spent = seen, time, spent

    def catch_up(self, side: int) -> None:
        """Find again what one log's writer does not know yet, from the marks and the peer's entries that it has not
        seen, and whether its last entry is a payment. Both logs must have been restored."""
        log, peer = self.logs[side], self.logs[1 - side]
        for index in range(log.seen, len(peer.marks)):
            if peer.marks[index] & VOID:
                continue
            ((entry, _),) = self._standing.read(1 - side, (index,))
            target = _answered_by(entry)
            if target is not None and target not in log.late and not self._is_closed_request(side, target):
                log.late[target] = index
        still_open = [target for target in log.late if log.marks[target] & KIND == REQUEST]
        at = log.marks.find(REQUEST)
        while at >= 0:
            still_open.append(at)
            at = log.marks.find(REQUEST, at + 1)
        log.open_requests = {at: self.row(side, at)[0].time + REQUEST_LIFE_MS for at in sorted(still_open)}
        if log.marks and log.marks[-1] == PAY:
            paid = self.row(side, len(log.marks) - 1)[0]
            assert isinstance(paid, Pay)
            log.pay = (len(log.marks) - 1, paid.grant, paid.amount)

    def _is_closed_request(self, side: int, index: int) -> bool:
        """A request that expired, or whose first answer its writer has seen: later answers change nothing."""
        return self.logs[side].marks[index] & (KIND | HAS_ENDED) == REQUEST | HAS_ENDED


def _between_seens(
    entries: Sequence[Entry], terms: Sequence[Terms]
) -> Iterator[tuple[Sequence[Entry], Sequence[Terms], Sequence[type]]]:
    """Entries, their terms and their kinds, cut so that every `seen` is alone: what follows it is judged by what it
    names."""
    kinds = list(map(type, entries))
    start = taken = 0
    for _ in range(kinds.count(Seen)):
        at = kinds.index(Seen, start)
        if start < at:
            upto = taken + sum(map(_WITH_TERMS.__contains__, kinds[start:at]))
            yield entries[start:at], terms[taken:upto], kinds[start:at]
            taken = upto
        yield entries[at : at + 1], (), kinds[at : at + 1]
        start = at + 1
    if start < len(entries):
        yield entries[start:], terms[taken:], kinds[start:]


def _falling(log: LogFold, entries: Sequence[Entry]) -> tuple[tuple[int, int], dict[int, Void]]:
    """[FOLD-3] The oldest and the newest time, and which entries are older than one before them, by position; an ending
    counts whatever its time, since the chain judges by the ending alone. Moves the log's time on."""
    times = list(map(_time_of, entries))
    if times[0] >= log.time and times == sorted(times):
        log.time = times[-1]
        return (times[0], times[-1]), {}
    newest = list(accumulate(times, max, initial=log.time))
    log.time = newest[-1]
    fallen = [at for at, time in enumerate(times) if time < newest[at]]
    return (min(times), max(times)), {at: Void.TIME_FALLS for at in fallen if type(entries[at]) not in _ENDINGS}


def _answered_by(entry: Entry) -> int | None:
    """The request or grant of the other log that a standing entry answers."""
    match entry:
        case Receipt(grant=target) | Deny(request=target):
            return target
        case Grant(request=target):
            return target
        case _:
            return None
