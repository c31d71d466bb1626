"""Two logs and their fold, without channels."""

from collections.abc import Sequence

from l1.ground.hashing import digest
from l1.rules.log.entries import (
    Entry,
    ReviewTerms,
    Seen,
    Terms,
)
from l1.rules.log.fold import Fold, Void
from tests.unit.l2.protocol.stories import (
    consent,
    consent_terms,
    grant,
    grant_terms,
    request,
    request_terms,
)
from tests.unit.l2.protocol.world import NOW_MS

REVIEWED = ReviewTerms(reviewer=b"r" * 16, justified=True)


class Logs:
    """Two logs and their fold, without channels. Side 0 is the custodian."""

    def __init__(self) -> None:
        self.entries: tuple[list[tuple[Entry, Terms | None]], list[tuple[Entry, Terms | None]]] = ([], [])
        self.asked_for: list[tuple[int, list[int]]] = []  # what the fold had to read again
        self.fold = Fold(self.read)

    def read(self, side: int, indices: Sequence[int]) -> list[tuple[Entry, Terms | None]]:
        self.asked_for.append((side, list(indices)))
        return [self.entries[side][index] for index in indices]

    def write(self, side: int, entry: Entry, terms: Terms | None = None) -> Void | None:
        voids = self.fold.judge(side, [entry], [] if terms is None else [terms])
        self.fold.settle()
        self.entries[side].append((entry, terms))
        return voids[0][1] if voids else None

    def put(self, side: int, entry: Entry, terms: Terms | None = None) -> int:
        assert self.write(side, entry, terms) is None
        return len(self.entries[side]) - 1

    def see(self, side: int, at: int = 0) -> None:
        size = len(self.entries[1 - side])
        assert self.write(side, Seen(time=NOW_MS + at, size=size, root=digest(b"any"))) is None

    def consented(self) -> int:
        return self.put(0, consent(), consent_terms())

    def granted(self, **changes: int) -> int:
        """Consent and grant, seen by the recipient."""
        index = self.put(0, grant(consent=self.consented(), **changes), grant_terms())
        self.see(1)
        return index

    def asked(self, *, emergency: bool = False) -> int:
        """A request, seen by the custodian."""
        index = self.put(1, request(emergency=emergency), request_terms())
        self.see(0)
        return index


def check_judged_at_once(logs: Logs) -> None:
    """Judged entry by entry or in runs as long as the order allows, undone and judged again: it is all the same."""
    again = Fold(logs.read)
    at, stuck = [0, 0], False
    while at != [len(logs.entries[0]), len(logs.entries[1])]:
        before = list(at)
        for side in (0, 1):
            end = at[side]
            while end < len(logs.entries[side]) and (stuck or _has_arrived(logs.entries[side][end][0], at[1 - side])):
                end += 1
            if end > at[side]:
                _judge_twice(again, side, logs.entries[side][at[side] : end])
                at[side] = end
        stuck = at == before  # a `seen` that runs ahead of everything
    for side in (0, 1):
        for name in ("marks", "endings", "seen", "spent", "late", "open_requests", "pay"):
            assert getattr(logs.fold.logs[side], name) == getattr(again.logs[side], name), name
        for name in ("late", "open_requests"):  # these are read in their order
            assert list(getattr(logs.fold.logs[side], name)) == list(getattr(again.logs[side], name)), name


def _judge_twice(fold: Fold, side: int, part: list[tuple[Entry, Terms | None]]) -> None:
    entries, terms = [entry for entry, _ in part], [each for _, each in part if each is not None]
    first = fold.judge(side, entries, terms)
    fold.undo()
    assert fold.judge(side, entries, terms) == first
    fold.settle()


def _has_arrived(entry: Entry, held: int) -> bool:
    return not isinstance(entry, Seen) or entry.size <= held
