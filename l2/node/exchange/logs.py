"""Finding entries in a channel's two logs by their marks: a byte an entry, so that a log of millions is a quick search.

Reads what the fold has judged; decides nothing. Call it from the loop's own thread, and do not hold what it returns
across an await where the newest state matters.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from itertools import groupby
from typing import Any

from l1.rules.log.entries import ConsentTerms, Grant, GrantTerms, Release
from l1.rules.log.fold import ANSWERED, CONSENT, DONE, GRANT, HAS_ENDED, KIND, REQUEST, VOID
from l2.protocol.channel import Channel

__all__ = [
    "RELEASE",
    "VIEWS_MAX",
    "ConsentIndex",
    "find_marks",
    "find_releases",
    "grant_has_ended",
    "grant_in_force",
    "grants_in_force",
    "grant_of",
    "newest",
    "stands",
]

RECEIPT, RELEASE = 7, 8
VIEWS_MAX = 1_000  # entries of one kind that a list shows of one log: the newest

TOGETHER_MIN = 16  # of a batch of a thousand or so: then to decode all of it costs no more than each of them alone

_STANDING = KIND | VOID | HAS_ENDED
_CHUNK = 65_536


def _pattern(kind: int, flags: int) -> re.Pattern[bytes]:
    """Marks of a kind whose flags are at most those given."""
    marks = {kind | flag for flag in range(0, 256, 16) if not flag & ~flags}
    return re.compile(b"[" + re.escape(bytes(sorted(marks))) + b"]")


_ANY = VOID | HAS_ENDED | ANSWERED | DONE
_ALL = {kind: _pattern(kind, _ANY) for kind in (CONSENT, REQUEST, GRANT)}
_PATTERNS = {
    "consents in force": _pattern(CONSENT, 0),
    "open requests": _pattern(REQUEST, 0),
    "unreceipted grants": _pattern(GRANT, 0),
    "releases": _pattern(RELEASE, 0),
    "receipts": _pattern(RECEIPT, 0),
    "grants": _pattern(GRANT, HAS_ENDED | ANSWERED | DONE),
}


def find_marks(channel: Channel, side: int, what: str, start: int = 0, end: int | None = None) -> list[int]:
    """Indices of a log's entries of a kind, by the names above."""
    marks = bytes(channel.fold.logs[side].marks[start:end])
    return [start + found.start() for found in _PATTERNS[what].finditer(marks)]


def newest(channel: Channel, side: int, kind: int) -> list[int]:
    """The newest entries of a kind in a log, void ones among them; oldest first, at most `VIEWS_MAX`."""
    marks = channel.fold.logs[side].marks
    found: list[int] = []
    end = len(marks)
    while end > 0 and len(found) < VIEWS_MAX:
        start = max(0, end - _CHUNK)
        here = [start + hit.start() for hit in _ALL[kind].finditer(bytes(marks[start:end]))]
        found = here + found
        end = start
    return found[-VIEWS_MAX:]


def stands(channel: Channel, side: int, index: int, kind: int) -> bool:
    """Whether entry `index` is of that kind and not void."""
    marks = channel.fold.logs[side].marks
    return 0 <= index < len(marks) and marks[index] & (KIND | VOID) == kind


def grant_of(channel: Channel, side: int, index: int) -> tuple[Grant, GrantTerms]:
    """A grant that is known to stand."""
    grant, terms = channel.fold.row(side, index)
    assert isinstance(grant, Grant)
    return grant, terms


def grant_has_ended(channel: Channel, side: int, index: int) -> bool:
    """Whether a grant was revoked, or the consent behind it withdrawn."""
    marks = channel.fold.logs[side].marks
    if marks[index] & HAS_ENDED:
        return True
    grant, _ = grant_of(channel, side, index)
    return grant.consent is not None and bool(marks[grant.consent] & HAS_ENDED)


def grants_in_force(channel: Channel, side: int, indices: Iterable[int]) -> dict[int, tuple[Grant, GrantTerms]]:
    """Those of the entries that are grants which stand and have not ended, ascending. Many of one batch are decoded
    together: alone each would cost five times as much."""
    marks, reader = channel.fold.logs[side].marks, channel.readers[side]
    size = len(marks)
    wanted = sorted(index for index in indices if 0 <= index < size and marks[index] & _STANDING == GRANT)
    found: dict[int, tuple[Any, Any]] = {}
    for first, some in groupby(wanted, key=reader.first_of):
        these = list(some)
        if len(these) < TOGETHER_MIN:
            found |= {index: grant_of(channel, side, index) for index in these}
        else:
            _, entries, terms = reader.batch(first)
            found |= {index: (entries[index - first], terms[index - first]) for index in these}
    return {
        index: (grant, terms)
        for index, (grant, terms) in found.items()
        if grant.consent is None or not marks[grant.consent] & HAS_ENDED
    }


def grant_in_force(channel: Channel, side: int, index: int) -> tuple[Grant, GrantTerms] | None:
    """A grant that stands and has not ended; None for anything else."""
    return grants_in_force(channel, side, (index,)).get(index)


def find_releases(channel: Channel, side: int, indices: Collection[int]) -> dict[int, bytes]:
    """The secrets that a log released for grants of its own, found by looking: for starts, not for every day."""
    wanted = {index for index in indices if channel.fold.logs[side].marks[index] & DONE}
    found: dict[int, bytes] = {}
    if wanted:
        for at in find_marks(channel, side, "releases", start=min(wanted)):
            entry, _ = channel.readers[side].entry(at)
            if isinstance(entry, Release) and entry.grant in wanted:
                found[entry.grant] = entry.secret
    return found


class ConsentIndex:
    """The consents in force in our log of one channel, by subject. It reads on from where it stopped, so appending
    costs nothing; its memory is that of the consents in force."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._read = 0
        self._by_subject: dict[bytes, list[tuple[int, ConsentTerms]]] = {}

    def of(self, subject: bytes) -> Iterator[tuple[int, ConsentTerms]]:
        self._read_on()
        marks = self._channel.fold.logs[self._channel.side].marks
        kept = [(at, terms) for at, terms in self._by_subject.get(subject, ()) if marks[at] & (KIND | _ANY) == CONSENT]
        if kept:
            self._by_subject[subject] = kept
        else:
            self._by_subject.pop(subject, None)
        return iter(kept)

    def _read_on(self) -> None:
        side = self._channel.side
        size = self._channel.own.size
        reader = self._channel.readers[side]
        for index in find_marks(self._channel, side, "consents in force", self._read, size):
            terms: Any = reader.entry(index)[1]
            self._by_subject.setdefault(terms.subject, []).append((index, terms))
        self._read = size
