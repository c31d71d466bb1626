"""Minimum necessary, the custodian's side: what of a record a request or a share is answered with.

[PIECE-4] A record of several resources is cut to those that fit and that policy permits, each judged by itself; what
all of it fits goes whole, as it was received. Decides by `l2.protocol.policy` alone; writes nothing.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import trio
from msgspec.structs import replace

from l1.ground.codes import DenyReason, Label, RecordClass, unmask
from l2.node.bodies import Bodies, Record
from l2.node.clock import now_ms
from l2.protocol.policy import Permitted
from l2.records import (
    Piece,
    Selection,
    identify,
    is_divisible,
    make_extract,
    pieces_of,
    slices_of,
)

__all__ = ["Cut", "Cutting", "Offer", "Verdict", "told_reason"]

Verdict = Permitted | DenyReason
Judge = Callable[[int, int], Verdict]
"""What policy says of something with these classes (a mask) and this label."""


class Cut(NamedTuple):
    """Some resources of a record, by their numbers in it."""

    numbers: tuple[int, ...]
    record_class: RecordClass
    label: Label


class Offer(NamedTuple):
    """A record, or some of it, that may be granted."""

    record: Record
    permitted: Permitted
    cut: Cut | None = None


def told_reason(reasons: Sequence[DenyReason]) -> DenyReason:
    """Of several reasons the one that says most about consent: that something else was not found says little."""
    return next((reason for reason in reasons if reason is not DenyReason.NOT_FOUND), DenyReason.NOT_FOUND)


class Cutting:
    """See the module."""

    def __init__(self, bodies: Bodies, threads: trio.CapacityLimiter) -> None:
        self._bodies, self._threads = bodies, threads

    async def fit(self, record: Record, wanted: Selection, judge: Judge, whole: Verdict) -> list[Offer] | DenyReason:
        """What of a record is offered: `judge` is asked for each kind of resource, `whole` is its say on all of it.

        Resources that stand on different consents make different offers.
        """
        if not record.info.classes & wanted.classes:
            return DenyReason.NOT_FOUND
        if not is_divisible(record.info.media_type):
            return _all_or_nothing(record, wanted, whole)
        pieces = await self.pieces(record)
        alone = record.info.subjects in ((wanted.subject,), ())
        fitting = [number for number, piece in enumerate(pieces) if wanted.takes(piece, alone=alone)]
        groups, reasons = _judged(pieces, fitting, judge)
        if not groups:
            return told_reason(reasons)
        if sum(map(len, groups.values())) == len(pieces) and isinstance(whole, Permitted):
            return [Offer(record, whole)]
        return [Offer(record, permitted, _cut(pieces, numbers)) for permitted, numbers in groups.items()]

    async def pieces(self, record: Record) -> list[Piece]:
        """A record's resources. A label that a person gave the record holds for each of them."""
        found = await trio.to_thread.run_sync(self._pieces, record, limiter=self._threads)
        if record.said is None:
            return found
        return [piece._replace(outside=piece.outside._replace(label=Label(record.said))) for piece in found]

    def _pieces(self, record: Record) -> list[Piece]:
        return pieces_of(self._bodies.records.open(record.id), record.info.media_type)

    def record_of(self, offer: Offer) -> Record:
        """In a thread: the record that an offer grants; an extract is made, and kept until it was released."""
        record, cut = offer.record, offer.cut
        if cut is None:
            return record
        slices = slices_of(self._bodies.records.open(record.id), record.info.media_type)
        extract = make_extract(slices, cut.numbers, self._bodies.records.tree(record.id, slices), cut.label)
        info = replace(identify(extract), record_class=cut.record_class, label=cut.label)
        return self._bodies.records.keep_part(extract, info, of=record.id, now_ms=now_ms())


def _all_or_nothing(record: Record, wanted: Selection, whole: Verdict) -> list[Offer] | DenyReason:
    """[PIECE-1] What has no pieces."""
    info = record.info
    others = set(info.subjects) - {wanted.subject}
    late = info.from_ms is not None and info.from_ms > wanted.until_ms
    early = info.until_ms is not None and info.until_ms < wanted.from_ms
    outside = (info.classes | 1 << info.record_class) & ~wanted.classes
    if others or late or early or outside or info.label > wanted.label:
        return DenyReason.NOT_FOUND
    return [Offer(record, whole)] if isinstance(whole, Permitted) else whole


def _judged(
    pieces: Sequence[Piece], fitting: Sequence[int], judge: Judge
) -> tuple[dict[Permitted, list[int]], list[DenyReason]]:
    """Numbers by what permits them, and the reasons why the others are left out."""
    verdicts: dict[tuple[int, int], Verdict] = {}
    groups: dict[Permitted, list[int]] = {}
    for number in fitting:
        kind = (pieces[number].outside.classes, int(pieces[number].outside.label))
        if kind not in verdicts:
            verdicts[kind] = judge(*kind)
        if isinstance(verdict := verdicts[kind], Permitted):
            groups.setdefault(verdict, []).append(number)
    return groups, [verdict for verdict in verdicts.values() if isinstance(verdict, DenyReason)]


def _cut(pieces: Sequence[Piece], numbers: Sequence[int]) -> Cut:
    chosen = [pieces[number].outside for number in numbers]
    # A grant names one class: the one that most of it belongs to. All of them were judged.
    counted = Counter(code for outside in chosen for code in unmask(outside.classes))
    most = max(sorted(counted), key=counted.__getitem__)
    return Cut(tuple(numbers), RecordClass(most), max(outside.label for outside in chosen))
