"""What policy says here: the consents of one channel, asked about a record or about a kind of resource.

Knows the channel's consents and the rules of `l2.protocol.policy`; opens nothing and writes nothing.
"""

from typing import NamedTuple

from l1.ground.codes import DenyReason
from l1.ground.faults import LocalError
from l1.ground.limits import CLOCK_SKEW_MS_MAX
from l1.rules.log.entries import RequestTerms
from l1.rules.log.fold import REQUEST
from l2.node.bodies import Record
from l2.node.clock import now_ms
from l2.node.exchange.cutting import Judge, Verdict
from l2.node.exchange.dealing import Dealing
from l2.node.exchange.logs import stands
from l2.protocol.policy import Asked, Directive, Wanted, decide

__all__ = ["Wish", "decide_whole", "find_request", "judge_of"]


class Wish(NamedTuple):
    """What a grant is to be: for which purposes (a mask), until when, on which consent alone, in answer to what."""

    purposes: int
    until_ms: int | None = None
    consent: int | None = None
    asked: Asked | None = None


def find_request(dealing: Dealing, index: int) -> Asked:
    """A request in the peer's log. Raises `LocalError` where there is none."""
    if not stands(dealing.channel, dealing.theirs, index, REQUEST):
        raise LocalError(f"the peer's log has no request {index}", "`interward record list` shows requests.")
    entry, terms = dealing.channel.fold.row(dealing.theirs, index)
    assert isinstance(terms, RequestTerms)
    return Asked(index=index, emergency=entry.emergency, terms=terms)


def decide_whole(dealing: Dealing, record: Record, wish: Wish) -> Verdict:
    """What policy says about granting all of a record."""
    info, asked = record.info, wish.asked
    subjects = {dealing.patients[subject] for subject in info.subjects}
    if asked is not None and asked.terms.subject not in subjects | {dealing.patients[info.subject]}:
        return DenyReason.NOT_FOUND
    wanted = Wanted(
        classes=info.classes | 1 << info.record_class,
        label=info.label,
        purposes=wish.purposes,
        from_ms=_begin_ms(),
        until_ms=wish.until_ms,
        data_from_ms=info.from_ms,
        data_until_ms=info.until_ms,
    )
    # A record that names nobody, or several, is permitted by a consent for the patient "": the hospital's own
    # attestation. Whoever is named in it may deny.
    directives = _directives(dealing, info.subject, wish.consent)
    for subject in info.subjects:
        directives += [found for found in _directives(dealing, subject, None) if not found.terms.permit]
    return decide(wanted, directives, asked)


def judge_of(dealing: Dealing, subject: str, wish: Wish) -> Judge:
    """What policy says about granting a resource that is about one patient, or, of a record that names nobody, ""."""
    directives = _directives(dealing, subject, wish.consent)
    from_ms, another = _begin_ms(), wish.asked is not None and wish.asked.terms.subject != dealing.patients[subject]

    def judge(classes: int, label: int) -> Verdict:
        if another:
            return DenyReason.NOT_FOUND
        wanted = Wanted(classes=classes, label=label, purposes=wish.purposes, from_ms=from_ms, until_ms=wish.until_ms)
        return decide(wanted, directives, wish.asked)

    return judge


def _begin_ms() -> int:
    return now_ms() - CLOCK_SKEW_MS_MAX  # the recipient's clock may be behind ours


def _directives(dealing: Dealing, subject: str, consent: int | None) -> list[Directive]:
    """The consents in force for a patient; with `consent`, no other permit."""
    found = [Directive(at, terms) for at, terms in dealing.consents.of(dealing.patients[subject])]
    if consent is None:
        return found
    return [directive for directive in found if directive.index == consent or not directive.terms.permit]
