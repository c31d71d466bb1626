"""The rules of the fold: for each kind, why an entry does not count, or None if it stands.

Every rule reads what stands before its entry: all of its own log, and of the peer's log what stands before the last
`seen`. Nothing else counts, so both sides and the chain come to the same judgement. Rules FOLD-4 to FOLD-17 of
docs/spec/fold.md.
"""

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any

from l1.ground.limits import CLOCK_SKEW_MS_MAX, OPEN_REQUESTS_MAX, REQUEST_LIFE_MS
from l1.rules.log.entries import (
    CONSENT_BASIS,
    EMERGENCY_BASIS,
    Access,
    AccessTerms,
    Consent,
    Deny,
    Grant,
    Pay,
    Receipt,
    Release,
    Request,
    Review,
    Revoke,
    Seen,
    Withdraw,
)
from l1.rules.log.marks import ANSWERED, CONSENT, DONE, GRANT, HAS_ENDED, KIND, REQUEST, VOID, Void
from l1.rules.log.standing import Standing

__all__ = ["JUDGES", "judge_access", "judge_accesses", "judge_receipts"]

_OPEN_GRANT = KIND | VOID | ANSWERED  # that and no more stands in the mark of a grant without a receipt


def judge_accesses(
    standing: Standing, side: int, entries: Sequence[Any], terms: Sequence[Any], times: tuple[int, int]
) -> dict[int, Void]:
    """[FOLD-5] Which accesses do not count, by their number among the accesses; no `seen` stands between them.
    `times`: no entry is older than the first, none newer than the second.

    Nearly all entries are of this kind and stand, and several in a row open the same record for the same purpose. So
    each grant and purpose is looked at once, grants that are not at hand are read together, and only accesses of those
    that might not stand are asked why. No other entry of the same log has a say in it, and they have none in any other.
    """
    opened = [each for each in terms if type(each) is AccessTerms]
    accesses = [entry for entry in entries if type(entry) is Access]
    pairs = {(entry.grant, own.purpose) for entry, own in zip(accesses, opened, strict=True)}
    oldest, newest = times
    seen, ended, known = standing.logs[side].seen, standing.logs[1 - side].endings, standing.grants[1 - side].get
    standing.learn_grants(1 - side, {grant for grant, _ in pairs})
    odd = {
        (grant, purpose)
        for grant, purpose in pairs
        if grant >= seen
        or (allowed := known(grant)) is None
        or grant in ended
        or allowed.consent in ended
        or not allowed.purposes >> purpose & 1
        or not allowed.from_ms <= oldest <= newest <= allowed.until_ms
    }
    if not odd:
        return {}
    return {
        at: reason
        for at, (entry, own) in enumerate(zip(accesses, opened, strict=True))
        if (entry.grant, own.purpose) in odd and (reason := judge_access(standing, side, entry, own)) is not None
    }


def judge_access(standing: Standing, side: int, entry: Access, terms: Any) -> Void | None:
    """[FOLD-5] Why one access does not count, if so."""
    logs = standing.logs
    seen, peer = logs[side].seen, logs[1 - side]
    grant_index = entry.grant
    if grant_index >= seen:
        return Void.NOT_SEEN
    mark = peer.marks[grant_index]
    if mark & (KIND | VOID) != GRANT:
        return Void.NO_SUCH_ENTRY
    if mark & HAS_ENDED and peer.endings[grant_index] < seen:
        return Void.ENDED
    allowed = standing.grant(1 - side, grant_index)
    consent = allowed.consent
    if consent is not None and peer.marks[consent] & HAS_ENDED and peer.endings[consent] < seen:
        return Void.CONSENT_WITHDRAWN
    if not allowed.purposes >> terms.purpose & 1:
        return Void.PURPOSE
    if not allowed.from_ms <= entry.time <= allowed.until_ms:
        return Void.PERIOD
    return None


def _seen(standing: Standing, side: int, _at: int, entry: Seen, _terms: None) -> Void | None:
    """[FOLD-4] Never falls, never runs ahead, and is no more than five minutes older than what it has seen."""
    log, peer = standing.logs[side], standing.logs[1 - side]
    if entry.size < log.seen or entry.size > len(peer.marks):
        return Void.NOT_SEEN
    if entry.size and entry.time + CLOCK_SKEW_MS_MAX < standing.row(1 - side, entry.size - 1)[0].time:
        return Void.TIME_FALLS
    log.seen = entry.size
    for target in standing.take_late(side, entry.size):
        standing.close_request(side, target)
    return None


def _consent(standing: Standing, side: int, at: int, entry: Consent, wanted: Any) -> Void | None:
    standing.remember(side, at, entry, wanted)
    return None if wanted.from_ms <= wanted.until_ms else Void.PERIOD


def _withdraw(standing: Standing, side: int, at: int, entry: Withdraw, _terms: None) -> Void | None:
    return _end(standing, side, at, entry.consent, CONSENT)


def _revoke(standing: Standing, side: int, at: int, entry: Revoke, _terms: None) -> Void | None:
    return _end(standing, side, at, entry.grant, GRANT)


def _end(standing: Standing, side: int, at: int, target: int, kind: int) -> Void | None:
    log = standing.logs[side]
    if not standing.stands(side, target, kind):
        return Void.NO_SUCH_ENTRY
    if log.marks[target] & HAS_ENDED:
        return Void.ALREADY_DONE
    standing.end(side, at, target)
    return None


def _request(standing: Standing, side: int, at: int, entry: Request, wanted: Any) -> Void | None:
    log = standing.logs[side]
    while log.open_requests:
        oldest = next(iter(log.open_requests))  # they stand in the order of time
        if log.open_requests[oldest] > entry.time:
            break
        standing.close_request(side, oldest)
    if len(log.open_requests) >= OPEN_REQUESTS_MAX:
        return Void.TOO_MANY_REQUESTS
    standing.remember(side, at, entry, wanted)
    log.open_requests[at] = entry.time + REQUEST_LIFE_MS
    return None


def _grant(standing: Standing, side: int, at: int, entry: Grant, offered: Any) -> Void | None:
    reason = _basis(standing, side, entry, offered)
    if reason is None:
        standing.remember_grant(side, at, entry, offered)
        if entry.request is not None:
            _answer(standing, 1 - side, entry.request, at)
    return reason


def _basis(standing: Standing, side: int, entry: Grant, offered: Any) -> Void | None:
    """[FOLD-8] A grant never carries more than its consent and its request allow."""
    if offered.from_ms > offered.until_ms:
        return Void.PERIOD
    if entry.request is not None:
        reason = _asked(standing, side, entry, offered)
        if reason is not None:
            return reason
    if entry.consent is not None:
        return _consented(standing, side, entry, offered)
    return Void.NO_BASIS if entry.request is None or entry.basis == CONSENT_BASIS else None


def _asked(standing: Standing, side: int, entry: Grant, offered: Any) -> Void | None:
    assert entry.request is not None
    reason = _open_request(standing, side, entry.request, entry.time)
    if reason is not None:
        return reason
    request, asked = standing.row(1 - side, entry.request)
    if entry.basis == EMERGENCY_BASIS and not request.emergency:
        return Void.NOT_AN_EMERGENCY
    if offered.purposes & ~(1 << asked.purpose):
        return Void.PURPOSE
    return None if asked.classes >> offered.record_class & 1 else Void.RECORD_CLASS


def _consented(standing: Standing, side: int, entry: Grant, offered: Any) -> Void | None:
    assert entry.consent is not None
    if entry.basis != CONSENT_BASIS or not standing.stands(side, entry.consent, CONSENT):
        return Void.NO_SUCH_ENTRY
    if entry.consent in standing.logs[side].endings:
        return Void.CONSENT_WITHDRAWN
    _, given = standing.row(side, entry.consent)
    if not given.permit:
        return Void.CONSENT_DENIES
    if entry.request is not None and standing.row(1 - side, entry.request)[1].subject != given.subject:
        return Void.SUBJECT
    return _exceeds(offered, given)


def _exceeds(offered: Any, given: Any) -> Void | None:
    """What a grant offers beyond what its consent gives."""
    if offered.purposes & ~given.purposes:
        return Void.PURPOSE
    if not given.classes >> offered.record_class & 1:
        return Void.RECORD_CLASS
    if offered.label > given.label:
        return Void.LABEL
    return None if given.from_ms <= offered.from_ms and offered.until_ms <= given.until_ms else Void.PERIOD


def _open_request(standing: Standing, side: int, index: int, time: int) -> Void | None:
    """Why the peer's request cannot be answered by an entry of `side`, if so."""
    log, peer = standing.logs[side], standing.logs[1 - side]
    if index >= log.seen:
        return Void.NOT_SEEN
    if not standing.stands(1 - side, index, REQUEST):
        return Void.NO_SUCH_ENTRY
    if peer.marks[index] & DONE:  # denied, in this very log
        return Void.ALREADY_DONE
    request, _ = standing.row(1 - side, index)
    return Void.REQUEST_EXPIRED if time > request.time + REQUEST_LIFE_MS else None


def _answer(standing: Standing, side: int, target: int, at: int) -> None:
    """The peer's log answered entry `target` of `side` at peer index `at`; its writer does not know yet."""
    if standing.flag(side, target, ANSWERED):
        standing.answers.append((at, target))


def _deny(standing: Standing, side: int, at: int, entry: Deny, _terms: Any) -> Void | None:
    reason = _open_request(standing, side, entry.request, entry.time)
    if reason is None:
        _answer(standing, 1 - side, entry.request, at)
        standing.flag(1 - side, entry.request, DONE)
    return reason


def _peer_grant(standing: Standing, side: int, index: int) -> Void | None:
    if index >= standing.logs[side].seen:
        return Void.NOT_SEEN
    return None if standing.stands(1 - side, index, GRANT) else Void.NO_SUCH_ENTRY


def _pay(standing: Standing, side: int, at: int, entry: Pay, _terms: None) -> Void | None:
    log = standing.logs[side]
    reason = _peer_grant(standing, side, entry.grant)
    if reason is not None:
        return reason
    grant = standing.grant(1 - side, entry.grant)
    if entry.amount != grant.fee:
        return Void.WRONG_AMOUNT
    log.spent += entry.amount
    log.pay = (at, entry.grant, entry.amount)
    return None


def judge_receipts(standing: Standing, side: int, receipts: Sequence[tuple[int, Any]]) -> set[int]:
    """[FOLD-12] Of receipts and their indices, all that stand and have no fee, in one pass. Returns the indices of the
    others: those are to be judged one by one, for whether a fee is paid depends on the entry before."""
    standing.learn_grants(1 - side, {entry.grant for _, entry in receipts})
    peer, seen, known = standing.logs[1 - side].marks, standing.logs[side].seen, standing.grants[1 - side].get
    flagged, answers = standing.flagged[1 - side], standing.answers
    others = set()
    for at, entry in receipts:
        grant = entry.grant
        if grant >= seen or (mark := peer[grant]) & _OPEN_GRANT != GRANT or (of := known(grant)) is None or of.fee:
            others.add(at)
        else:
            peer[grant] = mark | ANSWERED
            flagged.append((grant, mark))
            answers.append((at, grant))
    return others


def _receipt(standing: Standing, side: int, at: int, entry: Receipt, _terms: None) -> Void | None:
    """[FOLD-12] Once per grant; where a fee is due, its `pay` stands right before."""
    log, index = standing.logs[side], entry.grant
    if index >= log.seen:
        return Void.NOT_SEEN
    mark = standing.logs[1 - side].marks[index]
    if mark & _OPEN_GRANT != GRANT:
        return Void.ALREADY_DONE if mark & (KIND | VOID) == GRANT else Void.NO_SUCH_ENTRY
    fee = standing.grant(1 - side, index).fee
    if fee and log.pay != (at - 1, index, fee):
        return Void.NOT_PAID
    _answer(standing, 1 - side, index, at)
    return None


def _release(standing: Standing, side: int, _at: int, entry: Release, _terms: None) -> Void | None:
    log = standing.logs[side]
    if not standing.stands(side, entry.grant, GRANT):
        return Void.NO_SUCH_ENTRY
    mark = log.marks[entry.grant]
    if mark & DONE:
        return Void.ALREADY_DONE
    if not mark & ANSWERED or entry.grant in log.late:
        return Void.NO_RECEIPT
    grant = standing.grant(side, entry.grant)
    if sha256(entry.secret).digest() != grant.lock:
        return Void.WRONG_SECRET
    standing.flag(side, entry.grant, DONE)
    return None


def _review(standing: Standing, side: int, _at: int, entry: Review, _terms: Any) -> Void | None:
    if entry.request >= standing.logs[side].seen:
        return Void.NOT_SEEN
    if not standing.stands(1 - side, entry.request, REQUEST):
        return Void.NO_SUCH_ENTRY
    request, _ = standing.row(1 - side, entry.request)
    return None if request.emergency else Void.NOT_AN_EMERGENCY


JUDGES: dict[type, Callable[[Standing, int, int, Any, Any], Void | None]] = {
    Seen: _seen,
    Consent: _consent,
    Withdraw: _withdraw,
    Request: _request,
    Grant: _grant,
    Deny: _deny,
    Revoke: _revoke,
    Receipt: _receipt,
    Release: _release,
    Pay: _pay,
    Review: _review,
}
"""The rule of every kind but `access`: of an entry of `side` at its index, with its terms."""
