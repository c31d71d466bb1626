"""The fold: which entries stand and which are void. A function of the two logs alone, the same on both sides.

Entry i of a log is judged at the last `seen` before it in its own log: of the peer's log it knows what stands before
that size, and nothing more. What stands is held as one byte per entry (its kind and a few flags), plus the endings of
consents and grants; terms are decoded from the stored entry through a bounded cache. A batch is judged at once;
`undo` takes the last judgement back. Policy (whether a hospital *wants* to grant) is not known here. One rule per kind
stands in `judgements`. Source: design §5; docs/spec/fold.md.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from l1.ground.limits import REQUEST_LIFE_MS
from l1.rules.log.entries import TERMS_OF, Access, Deny, Entry, Grant, Pay, Receipt, Revoke, Terms, Withdraw, tag_of
from l1.rules.log.judgements import JUDGES, judge_access
from l1.rules.log.marks import ANSWERED, CONSENT, DONE, GRANT, HAS_ENDED, KIND, PAY, REQUEST, VOID, LogFold, Void
from l1.rules.log.standing import ReadEntry, Standing

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
    "ReadEntry",
    "Void",
]

_TAGS = {kind: tag_of(kind) for kind in (Access, *JUDGES)}
_WITH_TERMS = frozenset(TERMS_OF)
_ENDINGS = frozenset((Withdraw, Revoke))


class Fold:
    """Both logs of a channel, folded."""

    def __init__(self, read: ReadEntry) -> None:
        self._standing = Standing(read)
        self.logs = self._standing.logs

    def judge(self, side: int, entries: Sequence[Entry], terms: Sequence[Terms]) -> list[tuple[int, Void]]:
        """Fold a batch in. Returns the void entries, by index. `undo` takes it all back until `settle`."""
        standing, log = self._standing, self.logs[side]
        marks, following = log.marks, iter(terms)
        standing.begin(side)
        voids: list[tuple[int, Void]] = []
        reason: Void | None
        for entry in entries:
            if entry.time < log.time:
                reason = self._fallen(side, entry, following)
            else:
                log.time = entry.time
                if type(entry) is Access:
                    reason = judge_access(standing, side, entry, next(following))
                else:
                    reason = JUDGES[type(entry)](standing, side, entry, following)
            tag = _TAGS[type(entry)]
            if reason is None:
                marks.append(tag)
            else:
                voids.append((len(marks), reason))
                marks.append(tag | VOID)
            if tag != PAY:
                log.pay = None
        # The peer's next `seen` asks for the time of our last entry, so it is kept at hand.
        last = entries[-1]
        standing.remember(side, len(marks) - 1, last, terms[-1] if type(last) in _WITH_TERMS else None)
        return voids

    def _fallen(self, side: int, entry: Entry, following: Iterator[Terms]) -> Void | None:
        """[FOLD-3] An entry whose time falls is void; but an ending counts whatever its time, since the chain judges by
        the ending alone."""
        if type(entry) in _ENDINGS:
            return JUDGES[type(entry)](self._standing, side, entry, following)
        if type(entry) in _WITH_TERMS:
            next(following)
        return Void.TIME_FALLS

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
            target = _answered_by(self._standing.read(1 - side, index)[0])
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


def _answered_by(entry: Entry) -> int | None:
    """The request or grant of the other log that a standing entry answers."""
    match entry:
        case Receipt(grant=target) | Deny(request=target):
            return target
        case Grant(request=target):
            return target
        case _:
            return None
