"""Policy: may this record be granted for these purposes? One function decides, on every path, by denying first.

It knows the consents in force, the request if there is one, and the outside of the record; it knows no log, no store
and no person. What it permits never goes beyond what was wanted, asked for and consented. Source: design §8, IHE PCF.

[POL-1] What no consent permits is denied.
[POL-2] A deny directive beats every permit: it takes away its purposes, whatever the label.
[POL-3] A permit counts only with every class inside the record, up to its label, within its period.
[POL-4] A request narrows: its one purpose, its classes, its period of data.
[POL-5] An emergency request is answered without consent, for its purpose of treatment alone and for a few days.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from l1.ground.codes import DenyReason, Label, PurposeOfUse, mask
from l1.rules.log.entries import CONSENT_BASIS, EMERGENCY_BASIS, ConsentTerms, RequestTerms

__all__ = ["EMERGENCY_LIFE_MS", "Asked", "Directive", "Permitted", "Wanted", "decide", "self_test"]

EMERGENCY_LIFE_MS = 72 * 3_600_000  # as long as a request lives: care goes on after the first night

_TREATMENT = mask([PurposeOfUse.TREAT, PurposeOfUse.ETREAT, PurposeOfUse.BTG])


@dataclass(frozen=True, slots=True)
class Directive:
    """A consent in force, and where it stands in the custodian's log."""

    index: int
    terms: ConsentTerms


@dataclass(frozen=True, slots=True)
class Asked:
    """The request that a grant would answer."""

    index: int
    emergency: bool
    terms: RequestTerms


@dataclass(frozen=True, slots=True)
class Wanted:
    """A record from outside, and what it is to be opened for. `classes` are all classes inside; `data_*_ms` is the
    period that the record is about, None where nobody knows."""

    classes: int
    label: int
    purposes: int
    from_ms: int
    until_ms: int | None
    data_from_ms: int | None = None
    data_until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Permitted:
    """What may be granted, and on which basis."""

    basis: int
    consent: int | None
    request: int | None
    purposes: int
    from_ms: int
    until_ms: int


def decide(wanted: Wanted, directives: Sequence[Directive], asked: Asked | None = None) -> Permitted | DenyReason:
    """The widest grant that the rules allow, or why there is none."""
    purposes = wanted.purposes
    if asked is not None:
        if (reason := _outside_request(wanted, asked.terms)) is not None:
            return reason
        purposes &= 1 << asked.terms.purpose
        if asked.emergency:
            return _emergency(wanted, asked, purposes)
    denied = _denied(wanted, directives)
    if purposes and not purposes & ~denied:
        return DenyReason.CONSENT_DENIES
    purposes &= ~denied
    return _permitted(wanted, directives, purposes, None if asked is None else asked.index)


def _outside_request(wanted: Wanted, terms: RequestTerms) -> DenyReason | None:
    """[POL-4]"""
    if wanted.classes & ~terms.classes or not wanted.classes:
        return DenyReason.NOT_FOUND
    starts_late = wanted.data_from_ms is not None and wanted.data_from_ms > terms.data_until_ms
    ends_early = wanted.data_until_ms is not None and wanted.data_until_ms < terms.data_from_ms
    if starts_late or ends_early:
        return DenyReason.NOT_FOUND
    return None if wanted.purposes >> terms.purpose & 1 else DenyReason.PURPOSE_NOT_ALLOWED


def _emergency(wanted: Wanted, asked: Asked, purposes: int) -> Permitted | DenyReason:
    """[POL-5]"""
    if not purposes & _TREATMENT:
        return DenyReason.PURPOSE_NOT_ALLOWED
    end = wanted.from_ms + EMERGENCY_LIFE_MS
    until_ms = end if wanted.until_ms is None else min(end, wanted.until_ms)
    if until_ms < wanted.from_ms:
        return DenyReason.NO_CONSENT
    return Permitted(EMERGENCY_BASIS, None, asked.index, purposes & _TREATMENT, wanted.from_ms, until_ms)


def _denied(wanted: Wanted, directives: Sequence[Directive]) -> int:
    """[POL-2] The purposes for which a directive denies what is wanted."""
    purposes = 0
    for terms in (directive.terms for directive in directives if not directive.terms.permit):
        touches = terms.classes & wanted.classes and terms.until_ms >= wanted.from_ms
        if touches and (wanted.until_ms is None or terms.from_ms <= wanted.until_ms):
            purposes |= terms.purposes
    return purposes


def _permitted(
    wanted: Wanted, directives: Sequence[Directive], purposes: int, request: int | None
) -> Permitted | DenyReason:
    """[POL-1] [POL-3] The permit that allows most purposes, and for longest."""
    reason = DenyReason.NO_CONSENT
    best: Permitted | None = None
    for directive in directives:
        terms = directive.terms
        if not terms.permit or not wanted.classes or wanted.classes & ~terms.classes:
            continue
        if wanted.label > terms.label:
            reason = DenyReason.LABEL_TOO_HIGH
            continue
        if not purposes & terms.purposes:
            reason = DenyReason.PURPOSE_NOT_ALLOWED
            continue
        from_ms = max(wanted.from_ms, terms.from_ms)
        until_ms = terms.until_ms if wanted.until_ms is None else min(wanted.until_ms, terms.until_ms)
        if from_ms > until_ms:
            continue
        allowed = Permitted(CONSENT_BASIS, directive.index, request, purposes & terms.purposes, from_ms, until_ms)
        if best is None or _weight(allowed) > _weight(best):
            best = allowed
    return reason if best is None else best


def _weight(permitted: Permitted) -> tuple[int, int, int]:
    return permitted.purposes.bit_count(), permitted.until_ms, permitted.consent or 0


def self_test() -> None:
    """Assert that the rules deny. A node runs it before it serves: a policy that lets everything through is a bug that
    nobody notices."""
    treat = mask([PurposeOfUse.TREAT])
    wanted = Wanted(classes=1, label=Label.N, purposes=treat, from_ms=10, until_ms=20)

    def directive(index: int, *, permit: bool, label: int = Label.N, until_ms: int = 30) -> Directive:
        terms = ConsentTerms(
            subject=bytes(16),
            permit=permit,
            purposes=treat,
            classes=1,
            label=label,
            from_ms=0,
            until_ms=until_ms,
            document=bytes(32),
        )
        return Directive(index, terms)

    permit, deny = directive(1, permit=True), directive(2, permit=False)
    assert decide(wanted, []) is DenyReason.NO_CONSENT, "without a consent, policy must deny"
    assert decide(wanted, [permit, deny]) is DenyReason.CONSENT_DENIES, "a deny directive must deny"
    assert decide(wanted, [directive(1, permit=True, label=Label.L)]) is DenyReason.LABEL_TOO_HIGH
    assert decide(wanted, [directive(1, permit=True, until_ms=9)]) is DenyReason.NO_CONSENT
    assert isinstance(decide(wanted, [permit]), Permitted), "what a consent permits must pass"
