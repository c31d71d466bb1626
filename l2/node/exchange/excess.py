"""Minimum necessary, the recipient's side: what came for a request is held against that request before it is opened.

[PIECE-8] A custodian may send more than was asked for, by mistake or to burden who holds it. Nobody sees it here: it
stays sealed, as evidence, since its digest stands in the custodian's signed grant. Decides and reads; writes nothing.
"""

from collections.abc import Iterable, Iterator, Sequence

from l1.ground.codes import RecordClass, unmask
from l1.ground.faults import Fault, Refused
from l1.rules.log.entries import Request, RequestTerms
from l2.node.bodies import Record
from l2.node.exchange.dealing import Dealing
from l2.node.exchange.logs import grant_of
from l2.records import Piece

__all__ = ["asked_for", "check_asked"]


def asked_for(dealing: Dealing, record: Record) -> RequestTerms | None:
    """The request that a received record came for. None without one, or in an emergency: consent alone binds it."""
    assert record.origin is not None
    grant, _ = grant_of(dealing.channel, dealing.theirs, record.origin.grant)
    if grant.request is None:
        return None
    request, terms = dealing.channel.fold.row(dealing.own, grant.request)
    assert isinstance(request, Request)
    assert isinstance(terms, RequestTerms)
    return None if request.emergency else terms


def check_asked(dealing: Dealing, record: Record, pieces: Sequence[Piece], asked: RequestTerms) -> None:
    """Raises `Refused` (NOT_GRANTED) for a record that holds more than was asked for. `pieces` are its resources."""
    found = _in_pieces(dealing, pieces, asked) if pieces else _in_whole(dealing, record, asked)
    surplus = next(found, None)
    if surplus is not None:
        raise Refused(Fault.NOT_GRANTED, f"the custodian sent more than was asked for: {surplus}")


def _in_pieces(dealing: Dealing, pieces: Iterable[Piece], asked: RequestTerms) -> Iterator[str]:
    # Who a reference means cannot be told where the patient's own resource was left out; so only that one is judged.
    for number, piece in enumerate(pieces):
        outside = piece.outside
        name = f"{outside.kind or 'resource'} {number + 1}"
        patients = (outside.patient,) if outside.patient else ()
        yield from _surplus(dealing, name, (outside.classes, patients, outside.span), asked)


def _in_whole(dealing: Dealing, record: Record, asked: RequestTerms) -> Iterator[str]:
    info = record.info
    span = None if info.from_ms is None or info.until_ms is None else (info.from_ms, info.until_ms)
    yield from _surplus(dealing, "the record", (info.classes | 1 << info.record_class, info.subjects, span), asked)


def _surplus(
    dealing: Dealing,
    name: str,
    what: tuple[int, Iterable[str], tuple[int, int] | None],
    asked: RequestTerms,
) -> Iterator[str]:
    classes, patients, span = what
    if others := classes & ~asked.classes:
        known = [RecordClass(code).name for code in unmask(others) if code in RecordClass.__members__.values()]
        yield f"{name} is of class {', '.join(known) or others}"
    if any(dealing.patients[patient] != asked.subject for patient in patients):
        yield f"{name} is about another patient"
    if span is not None and (span[0] > asked.data_until_ms or span[1] < asked.data_from_ms):
        yield f"{name} is of another period"
