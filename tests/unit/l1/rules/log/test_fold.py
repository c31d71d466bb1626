"""Every reason why an entry is void, at least once; and that both sides and a restarted process see it alike."""

from collections.abc import Callable

import pytest

from l1.ground import limits
from l1.ground.hashing import digest
from l1.ground.limits import CLOCK_SKEW_MS_MAX
from l1.rules.log.entries import (
    Deny,
    DenyTerms,
    Pay,
    Receipt,
    Release,
    Review,
    Revoke,
    Seen,
    Withdraw,
)
from l1.rules.log.fold import Void
from tests.unit.l2.protocol.logs import REVIEWED, Logs, check_judged_at_once
from tests.unit.l2.protocol.stories import (
    SECRET,
    access,
    access_terms,
    consent,
    consent_terms,
    grant,
    grant_terms,
    request,
    request_terms,
)
from tests.unit.l2.protocol.world import NOW_MS


def time_falls(logs: Logs) -> Void | None:
    logs.put(0, consent(5), consent_terms())
    return logs.write(0, consent(4), consent_terms())


def seen_is_older_than_what_it_saw(logs: Logs) -> Void | None:
    logs.put(0, consent(CLOCK_SKEW_MS_MAX + 1), consent_terms())
    return logs.write(1, Seen(time=NOW_MS, size=1, root=digest(b"any")))


def seen_runs_ahead(logs: Logs) -> Void | None:
    return logs.write(1, Seen(time=NOW_MS, size=1, root=digest(b"any")))


def seen_falls(logs: Logs) -> Void | None:
    logs.consented()
    logs.see(1)
    return logs.write(1, Seen(time=NOW_MS, size=0, root=digest(b"any")))


def access_not_seen(logs: Logs) -> Void | None:
    index = logs.put(0, grant(consent=logs.consented()), grant_terms())
    return logs.write(1, access(index), access_terms())


def request_not_seen(logs: Logs) -> Void | None:
    index = logs.put(1, request(), request_terms())
    return logs.write(0, Deny(time=NOW_MS, request=index), DenyTerms(reason=1))


def pay_not_seen(logs: Logs) -> Void | None:
    return logs.write(1, Pay(time=NOW_MS, amount=0, grant=0))


def review_not_seen(logs: Logs) -> Void | None:
    return logs.write(0, Review(time=NOW_MS, request=0), REVIEWED)


def access_to_a_consent(logs: Logs) -> Void | None:
    index = logs.consented()
    logs.see(1)
    return logs.write(1, access(index), access_terms())


def access_to_a_void_grant(logs: Logs) -> Void | None:
    assert logs.write(0, grant(consent=7), grant_terms()) is Void.NO_SUCH_ENTRY
    logs.see(1)
    return logs.write(1, access(0), access_terms())


def withdraw_of_nothing(logs: Logs) -> Void | None:
    return logs.write(0, Withdraw(time=NOW_MS, consent=0))


def withdraw_twice(logs: Logs) -> Void | None:
    index = logs.consented()
    logs.put(0, Withdraw(time=NOW_MS, consent=index))
    return logs.write(0, Withdraw(time=NOW_MS, consent=index))


def revoke_of_a_consent(logs: Logs) -> Void | None:
    return logs.write(0, Revoke(time=NOW_MS, grant=logs.consented()))


def receipt_of_a_consent(logs: Logs) -> Void | None:
    index = logs.consented()
    logs.see(1)
    return logs.write(1, Receipt(time=NOW_MS, grant=index))


def grant_on_a_consent_of_another_basis(logs: Logs) -> Void | None:
    request_index = logs.asked()
    offered = grant(basis=1, consent=logs.consented(), request=request_index)
    return logs.write(0, offered, grant_terms())


def release_of_nothing(logs: Logs) -> Void | None:
    return logs.write(0, Release(time=NOW_MS, grant=3, secret=SECRET))


def access_after_revocation(logs: Logs) -> Void | None:
    index = logs.granted()
    logs.put(0, Revoke(time=NOW_MS, grant=index))
    logs.see(1)
    return logs.write(1, access(index), access_terms())


def access_after_withdrawal(logs: Logs) -> Void | None:
    index = logs.granted()
    logs.put(0, Withdraw(time=NOW_MS, consent=0))
    logs.see(1)
    return logs.write(1, access(index), access_terms())


def grant_after_withdrawal(logs: Logs) -> Void | None:
    index = logs.consented()
    logs.put(0, Withdraw(time=NOW_MS, consent=index))
    return logs.write(0, grant(consent=index), grant_terms())


def access_for_another_purpose(logs: Logs) -> Void | None:
    return logs.write(1, access(logs.granted()), access_terms(purpose=5))


def grant_for_more_than_consented(logs: Logs) -> Void | None:
    return logs.write(0, grant(consent=logs.consented()), grant_terms(purposes=0b100))


def grant_for_more_than_asked(logs: Logs) -> Void | None:
    return logs.write(0, grant(basis=1, consent=None, request=logs.asked()), grant_terms(purposes=0b11))


def access_out_of_period(logs: Logs) -> Void | None:
    index = logs.put(0, grant(consent=logs.consented()), grant_terms(until_ms=NOW_MS))
    logs.see(1)
    return logs.write(1, access(index, 1), access_terms())


def consent_that_ends_before_it_begins(logs: Logs) -> Void | None:
    return logs.write(0, consent(), consent_terms(from_ms=2, until_ms=1))


def grant_that_ends_before_it_begins(logs: Logs) -> Void | None:
    return logs.write(0, grant(consent=logs.consented()), grant_terms(from_ms=2, until_ms=1))


def grant_beyond_the_consents_period(logs: Logs) -> Void | None:
    index = logs.put(0, consent(), consent_terms(until_ms=NOW_MS))
    return logs.write(0, grant(consent=index), grant_terms(until_ms=NOW_MS + 1))


def class_not_consented(logs: Logs) -> Void | None:
    index = logs.put(0, consent(), consent_terms(classes=1))
    return logs.write(0, grant(consent=index), grant_terms())


def class_not_asked(logs: Logs) -> Void | None:
    index = logs.put(1, request(), request_terms(classes=1))
    logs.see(0)
    return logs.write(0, grant(basis=1, consent=None, request=index), grant_terms())


def label_too_high(logs: Logs) -> Void | None:
    return logs.write(0, grant(consent=logs.consented()), grant_terms(label=4))


def consent_denies(logs: Logs) -> Void | None:
    index = logs.put(0, consent(), consent_terms(permit=False))
    return logs.write(0, grant(consent=index), grant_terms())


def another_subject(logs: Logs) -> Void | None:
    index = logs.put(0, consent(), consent_terms(subject=b"t" * 16))
    return logs.write(0, grant(consent=index, request=logs.asked()), grant_terms())


def too_many_requests(logs: Logs) -> Void | None:
    for _ in range(limits.OPEN_REQUESTS_MAX):
        logs.put(1, request(), request_terms())
    return logs.write(1, request(), request_terms())


def request_expired(logs: Logs) -> Void | None:
    late = grant(limits.REQUEST_LIFE_MS + 1, basis=1, consent=None, request=logs.asked())
    return logs.write(0, late, grant_terms())


def denied_twice(logs: Logs) -> Void | None:
    index = logs.asked()
    logs.put(0, Deny(time=NOW_MS, request=index), DenyTerms(reason=1))
    return logs.write(0, Deny(time=NOW_MS, request=index), DenyTerms(reason=1))


def granted_after_denial(logs: Logs) -> Void | None:
    index = logs.asked()
    logs.put(0, Deny(time=NOW_MS, request=index), DenyTerms(reason=1))
    return logs.write(0, grant(basis=1, consent=None, request=index), grant_terms())


def received_twice(logs: Logs) -> Void | None:
    index = logs.granted()
    logs.put(1, Receipt(time=NOW_MS, grant=index))
    return logs.write(1, Receipt(time=NOW_MS, grant=index))


def released_twice(logs: Logs) -> Void | None:
    index = logs.granted()
    logs.put(1, Receipt(time=NOW_MS, grant=index))
    logs.see(0)
    logs.put(0, Release(time=NOW_MS, grant=index, secret=SECRET))
    return logs.write(0, Release(time=NOW_MS, grant=index, secret=SECRET))


def not_paid(logs: Logs) -> Void | None:
    return logs.write(1, Receipt(time=NOW_MS, grant=logs.granted(fee=7)))


def paid_but_not_right_before(logs: Logs) -> Void | None:
    index = logs.granted(fee=7)
    logs.put(1, Pay(time=NOW_MS, amount=7, grant=index))
    logs.see(1)
    return logs.write(1, Receipt(time=NOW_MS, grant=index))


def wrong_amount(logs: Logs) -> Void | None:
    return logs.write(1, Pay(time=NOW_MS, amount=6, grant=logs.granted(fee=7)))


def no_receipt(logs: Logs) -> Void | None:
    return logs.write(0, Release(time=NOW_MS, grant=logs.granted(), secret=SECRET))


def receipt_not_seen_yet(logs: Logs) -> Void | None:
    index = logs.granted()
    logs.put(1, Receipt(time=NOW_MS, grant=index))
    return logs.write(0, Release(time=NOW_MS, grant=index, secret=SECRET))


def wrong_secret(logs: Logs) -> Void | None:
    index = logs.granted()
    logs.put(1, Receipt(time=NOW_MS, grant=index))
    logs.see(0)
    return logs.write(0, Release(time=NOW_MS, grant=index, secret=digest(b"another")))


def no_emergency(logs: Logs) -> Void | None:
    return logs.write(0, grant(basis=2, consent=None, request=logs.asked()), grant_terms())


def review_without_emergency(logs: Logs) -> Void | None:
    return logs.write(0, Review(time=NOW_MS, request=logs.asked()), REVIEWED)


def no_basis(logs: Logs) -> Void | None:
    return logs.write(0, grant(consent=None), grant_terms())


def request_where_a_consent_is_named(logs: Logs) -> Void | None:
    return logs.write(0, grant(basis=0, consent=None, request=logs.asked()), grant_terms())


CASES: list[tuple[Void, Callable[[Logs], Void | None]]] = [
    (Void.TIME_FALLS, time_falls),
    (Void.TIME_FALLS, seen_is_older_than_what_it_saw),
    (Void.NOT_SEEN, seen_runs_ahead),
    (Void.NOT_SEEN, seen_falls),
    (Void.NOT_SEEN, access_not_seen),
    (Void.NOT_SEEN, request_not_seen),
    (Void.NOT_SEEN, pay_not_seen),
    (Void.NOT_SEEN, review_not_seen),
    (Void.NO_SUCH_ENTRY, access_to_a_consent),
    (Void.NO_SUCH_ENTRY, access_to_a_void_grant),
    (Void.NO_SUCH_ENTRY, withdraw_of_nothing),
    (Void.NO_SUCH_ENTRY, revoke_of_a_consent),
    (Void.NO_SUCH_ENTRY, receipt_of_a_consent),
    (Void.NO_SUCH_ENTRY, grant_on_a_consent_of_another_basis),
    (Void.NO_SUCH_ENTRY, release_of_nothing),
    (Void.ENDED, access_after_revocation),
    (Void.CONSENT_WITHDRAWN, access_after_withdrawal),
    (Void.CONSENT_WITHDRAWN, grant_after_withdrawal),
    (Void.PURPOSE, access_for_another_purpose),
    (Void.PURPOSE, grant_for_more_than_consented),
    (Void.PURPOSE, grant_for_more_than_asked),
    (Void.PERIOD, access_out_of_period),
    (Void.PERIOD, consent_that_ends_before_it_begins),
    (Void.PERIOD, grant_that_ends_before_it_begins),
    (Void.PERIOD, grant_beyond_the_consents_period),
    (Void.RECORD_CLASS, class_not_consented),
    (Void.RECORD_CLASS, class_not_asked),
    (Void.LABEL, label_too_high),
    (Void.CONSENT_DENIES, consent_denies),
    (Void.SUBJECT, another_subject),
    (Void.TOO_MANY_REQUESTS, too_many_requests),
    (Void.REQUEST_EXPIRED, request_expired),
    (Void.ALREADY_DONE, withdraw_twice),
    (Void.ALREADY_DONE, denied_twice),
    (Void.ALREADY_DONE, granted_after_denial),
    (Void.ALREADY_DONE, received_twice),
    (Void.ALREADY_DONE, released_twice),
    (Void.NOT_PAID, not_paid),
    (Void.NOT_PAID, paid_but_not_right_before),
    (Void.WRONG_AMOUNT, wrong_amount),
    (Void.NO_RECEIPT, no_receipt),
    (Void.NO_RECEIPT, receipt_not_seen_yet),
    (Void.WRONG_SECRET, wrong_secret),
    (Void.NOT_AN_EMERGENCY, no_emergency),
    (Void.NOT_AN_EMERGENCY, review_without_emergency),
    (Void.NO_BASIS, no_basis),
    (Void.NO_BASIS, request_where_a_consent_is_named),
]


def test_an_ending_counts_whatever_its_time() -> None:
    """[FOLD-3] The chain is shown the ending alone: one that is void for its time would convict whoever ignored it."""
    for kind in (Withdraw, Revoke):
        logs = Logs()
        grant = logs.granted()
        logs.put(0, kind(NOW_MS - 5, grant - 1 if kind is Withdraw else grant))
        logs.see(1)
        assert logs.write(1, access(grant), access_terms()) in (Void.ENDED, Void.CONSENT_WITHDRAWN)
        assert logs.write(0, consent(-1), consent_terms()) is Void.TIME_FALLS
        check_judged_at_once(logs)


@pytest.mark.parametrize(("reason", "story"), CASES, ids=[story.__name__ for _, story in CASES])
def test_an_entry_is_void(reason: Void, story: Callable[[Logs], Void | None]) -> None:
    logs = Logs()
    assert story(logs) is reason
    check_judged_at_once(logs)


def test_every_reason_is_tried() -> None:
    assert {reason for reason, _ in CASES} == set(Void)


def test_a_whole_life_stands() -> None:
    logs = Logs()
    asked = logs.asked(emergency=True)
    index = logs.put(0, grant(basis=2, consent=None, request=asked, fee=3), grant_terms())
    logs.put(0, Review(time=NOW_MS, request=asked), REVIEWED)
    logs.see(1)
    logs.put(1, Pay(time=NOW_MS, amount=3, grant=index))
    logs.put(1, Receipt(time=NOW_MS, grant=index))
    logs.see(0)
    logs.put(0, Release(time=NOW_MS, grant=index, secret=SECRET))
    logs.put(1, access(index), access_terms())
    logs.put(0, Revoke(time=NOW_MS, grant=index))
    logs.put(1, access(index), access_terms())  # it has not seen the revocation
    assert logs.fold.logs[1].spent == 3
    check_judged_at_once(logs)


def test_an_expired_request_makes_room() -> None:
    logs = Logs()
    too_many_requests(logs)
    assert logs.write(1, request(limits.REQUEST_LIFE_MS), request_terms()) is None
    assert len(logs.fold.logs[1].open_requests) == 1


def test_an_answered_request_makes_room_once_the_answer_is_seen() -> None:
    logs = Logs()
    asked = logs.asked()
    logs.put(0, Deny(time=NOW_MS, request=asked), DenyTerms(reason=1))
    assert asked in logs.fold.logs[1].open_requests
    logs.see(1)
    assert asked not in logs.fold.logs[1].open_requests
