"""Judging one access on the chain, out of the few entries that are shown.

The rule is the fold's own (`judge_access`), asked of a standing in which only the shown entries exist. What is not
shown can only acquit. Rules JUDGE-6 and JUDGE-7 of docs/spec/disputes.md.
"""

from collections.abc import Sequence
from typing import Any, NoReturn, cast

from l1.ground.faults import Fault, Refused, require
from l1.ground.limits import HANDLE_BYTES, TIME_MS_MAX
from l1.ground.merkle import verify_inclusion
from l1.rules.commitment import Commitment, Head
from l1.rules.evidence import AccessShown, Charge, Shown
from l1.rules.log.entries import (
    EMERGENCY_BASIS,
    Access,
    AccessTerms,
    Entry,
    Grant,
    Revoke,
    Seen,
    Terms,
    Withdraw,
    tag_of,
)
from l1.rules.log.judgements import judge_access
from l1.rules.log.leaves import Opened, leaf_of, read_parts
from l1.rules.log.marks import CONSENT, GRANT, HAS_ENDED, LogFold, Void
from l1.rules.log.standing import Allowed, Standing

__all__ = ["judge_shown_access", "open_entry", "open_hidden"]

CHARGES = {
    Void.NOT_SEEN: Charge.ACCESS_WITHOUT_GRANT,
    Void.NO_SUCH_ENTRY: Charge.ACCESS_WITHOUT_GRANT,
    Void.ENDED: Charge.ACCESS_AFTER_END,
    Void.CONSENT_WITHDRAWN: Charge.ACCESS_AFTER_END,
    Void.PURPOSE: Charge.ACCESS_OUTSIDE_PURPOSE,
    Void.PERIOD: Charge.ACCESS_OUTSIDE_PERIOD,
}
_ANY_PURPOSE = 2**32 - 1
_NOBODY = AccessTerms(practitioner=bytes(HANDLE_BYTES), role=0, purpose=0)


def open_entry(shown: Shown, head: Head) -> tuple[Entry, Terms | None]:
    """An entry that stands in the tree of that head. Terms only where its private part is shown. Raises `Refused`."""
    entry, terms = read_parts(shown.public, shown.private)
    verify_inclusion(leaf_of(shown.public, shown.private), shown.index, head.size, shown.path, head.root)
    return entry, terms


def open_hidden(shown: Shown, head: Head, *kinds: type[Any]) -> Any:
    """An entry of one of these kinds whose private part, if it has one, is not shown."""
    entry, terms = open_entry(shown, head)
    wanted = " or ".join(kind.__name__.lower() for kind in kinds)
    require(isinstance(entry, kinds), Fault.EVIDENCE_PROVES_NOTHING, f"that is no {wanted}")
    require(terms is None, Fault.SHOWS_TOO_MUCH, "a private part that is not the charge stays hidden")
    return entry


def judge_shown_access(evidence: AccessShown, commitment: Commitment) -> Charge:
    """[JUDGE-6] What the writer of `commitment` is guilty of by this access. Raises `Refused` if of nothing."""
    access, terms = open_entry(evidence.access, commitment.head)
    if not isinstance(access, Access):
        raise Refused(Fault.EVIDENCE_PROVES_NOTHING, "that is no access")
    if evidence.seen is None:
        return _unseen(evidence, commitment, access)
    seen = open_hidden(evidence.seen, commitment.head, Seen)
    require(evidence.seen.index < evidence.access.index, Fault.EVIDENCE_PROVES_NOTHING, "it was seen after the access")
    return _named(evidence, Head(size=seen.size, root=seen.root), access, terms)


def _unseen(evidence: AccessShown, commitment: Commitment, access: Access) -> Charge:
    """The access names what its writer had not seen, even at the end of the batch: `seen` never falls along a log."""
    bare = evidence.named is None and evidence.ending is None and not isinstance(evidence.access.private, Opened)
    require(bare, Fault.SHOWS_TOO_MUCH, "nothing but the access is the charge")
    require(access.grant >= commitment.seen_size, Fault.EVIDENCE_PROVES_NOTHING, "the writer may have seen the grant")
    return CHARGES[Void.NOT_SEEN]


def _named(evidence: AccessShown, head: Head, access: Access, terms: Terms | None) -> Charge:
    if evidence.named is None or evidence.named.index != access.grant:
        raise Refused(Fault.EVIDENCE_PROVES_NOTHING, "what the access names is not shown")
    named, named_terms = open_entry(evidence.named, head)
    standing = Standing(_nothing_else)
    log, peer = standing.logs
    log.seen = head.size
    # A log of which a few entries are shown: their marks by index, where the fold has one byte for each.
    marks: dict[int, int] = {}
    peer.marks = cast(bytearray, marks)
    if isinstance(named, Grant):
        standing.grants[1][access.grant] = _allowed(named, named_terms, purposes_known=terms is not None)
        if named.consent is not None:
            marks[named.consent] = CONSENT
        marks[access.grant] = GRANT
        if evidence.ending is not None:
            _end(peer, evidence, head, named)
    else:
        marks[access.grant] = tag_of(type(named))
    reason = judge_access(standing, 0, access, terms or _NOBODY)
    if reason is None:
        raise Refused(Fault.EVIDENCE_PROVES_NOTHING, "as far as this shows, the access was granted")
    _check_exempt(reason, named)
    _check_needed(evidence, reason)
    return CHARGES[reason]


def _nothing_else(_side: int, _indices: Sequence[int]) -> NoReturn:
    raise Refused(Fault.EVIDENCE_PROVES_NOTHING, "an entry is missing")


def _allowed(grant: Grant, terms: Any, *, purposes_known: bool) -> Allowed:
    """What is not shown of a grant is taken to allow everything."""
    return Allowed(
        grant.consent,
        terms.purposes if terms is not None and purposes_known else _ANY_PURPOSE,
        terms.from_ms if terms is not None else 0,
        terms.until_ms if terms is not None else TIME_MS_MAX,
        grant.fee,
        grant.lock,
    )


def _end(peer: LogFold, evidence: AccessShown, head: Head, grant: Grant) -> None:
    """Mark what the shown ending ends: this grant, or the consent it stands on, and only from behind it."""
    assert evidence.ending is not None
    assert evidence.named is not None
    at = evidence.ending.index
    ending = open_hidden(evidence.ending, head, Revoke, Withdraw)
    target, kind = (ending.grant, GRANT) if isinstance(ending, Revoke) else (ending.consent, CONSENT)
    ends = target == (evidence.named.index if kind == GRANT else grant.consent) and at > target
    require(ends, Fault.EVIDENCE_PROVES_NOTHING, "that ends something else")
    peer.marks[target] = kind | HAS_ENDED
    peer.endings[target] = at


def _check_exempt(reason: Void, named: Entry) -> None:
    """[JUDGE-7] Whoever breaks the glass in an emergency is never charged for not having stopped in time."""
    emergency = isinstance(named, Grant) and named.basis == EMERGENCY_BASIS
    after_end = CHARGES[reason] is Charge.ACCESS_AFTER_END
    require(not (emergency and after_end), Fault.EMERGENCY, "the grant was for an emergency")


def _check_needed(evidence: AccessShown, reason: Void) -> None:
    """[EVIDENCE-2] Nothing is shown that the charge does not need."""
    shown = tuple(isinstance(each.private, Opened) for each in (evidence.access, evidence.named) if each is not None)
    needed = {Void.PURPOSE: (True, True), Void.PERIOD: (False, True)}.get(reason, (False, False))
    require(shown == needed, Fault.SHOWS_TOO_MUCH, "a private part that is not the charge stays hidden")
    ended = CHARGES[reason] is Charge.ACCESS_AFTER_END
    require((evidence.ending is not None) == ended, Fault.SHOWS_TOO_MUCH, "an ending that is not the charge")
