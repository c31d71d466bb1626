"""Every charge, what proves it, and what looks like it and does not."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from l1.ground.faults import Fault
from l1.rules.evidence import Charge, Overspent, TwoWords
from l1.rules.log.entries import Revoke
from l1.rules.log.marks import Void
from l1.rules.state import Phase
from l1.rules.transactions import Report, Settle
from l2.protocol.evidence import build_fork, show
from tests.stories.world import Story

ALICE, BOB = 0, 1


@pytest.fixture
def story() -> Story:
    return Story()


# -- accesses: the verdict is immediate


@pytest.mark.parametrize("how", ["revoke", "withdraw"])
def test_an_access_after_an_ending_that_was_seen_forfeits_at_once(story: Story, how: str) -> None:
    consent = story.consent()
    grant = story.grant(consent=consent)
    story.see(BOB)
    ending = story.revoke(grant) if how == "revoke" else story.withdraw(consent)
    story.see(BOB)
    access = story.access(grant)
    reason = Void.ENDED if how == "revoke" else Void.CONSENT_WITHDRAWN
    story.report(story.charged(access, reason, ending))
    assert story.guilty() == (0, Charge.ACCESS_AFTER_END)
    assert story.gained() == (100, -100)
    assert story.channel(story.id).phase == Phase.OPEN


def test_an_access_before_the_ending_was_seen_is_no_charge(story: Story) -> None:
    grant = story.granted()
    ending = story.revoke(grant)
    access = story.access(grant)
    story.see(BOB)
    evidence = story.charged(story.access(grant), Void.ENDED, ending)
    early = replace(evidence, access=show(story.logs[BOB], access, story.logs[BOB].size))
    assert story.refused(Report(channel=story.id, evidence=early)).fault is Fault.EVIDENCE_PROVES_NOTHING
    story.report(evidence)


def test_an_emergency_is_never_charged_with_coming_too_late(story: Story) -> None:
    request = story.request(emergency=True)
    story.see(ALICE)
    grant = story.grant(request=request, emergency=True)
    ending = story.revoke(grant)
    story.see(BOB)
    evidence = story.charged(story.access(grant), Void.ENDED, ending)
    assert story.refused(Report(channel=story.id, evidence=evidence)).fault is Fault.EMERGENCY


@pytest.mark.parametrize("seen", [True, False])
def test_an_access_without_a_grant(story: Story, seen: bool) -> None:
    """It names what its writer had not seen, or what is no grant."""
    consent = story.consent()
    story.see(BOB)
    access = story.access(consent if seen else 7)
    story.report(story.charged(access, Void.NO_SUCH_ENTRY if seen else Void.NOT_SEEN))
    assert story.guilty() == (0, Charge.ACCESS_WITHOUT_GRANT)


def test_an_access_for_another_purpose_shows_both_private_parts_and_none_else(story: Story) -> None:
    grant = story.granted()
    access = story.access(grant, purpose=1)
    evidence = story.charged(access, Void.PURPOSE)
    hidden = story.charged(access, Void.PERIOD)  # the grant alone is opened
    assert story.refused(Report(channel=story.id, evidence=hidden)).fault is Fault.EVIDENCE_PROVES_NOTHING
    story.report(evidence)
    assert story.guilty() == (0, Charge.ACCESS_OUTSIDE_PURPOSE)


def test_an_access_outside_its_period_shows_the_grant_alone(story: Story) -> None:
    grant = story.granted(until_ms=5)
    access = story.access(grant)
    evidence = story.charged(access, Void.PERIOD)
    size = story.logs[BOB].size
    talkative = replace(evidence, access=show(story.logs[BOB], access, size, opened=True))
    assert story.refused(Report(channel=story.id, evidence=talkative)).fault is Fault.SHOWS_TOO_MUCH
    story.report(evidence)
    assert story.guilty() == (0, Charge.ACCESS_OUTSIDE_PERIOD)


def test_a_lawful_access_is_no_charge_and_hides_all_it_can(story: Story) -> None:
    grant = story.granted()
    access = story.access(grant)
    for reason in (Void.ENDED, Void.PURPOSE, Void.PERIOD, Void.NO_SUCH_ENTRY, Void.NOT_SEEN):
        refusal = story.refused(Report(channel=story.id, evidence=story.charged(access, reason)))
        assert refusal.fault is Fault.EVIDENCE_PROVES_NOTHING


# -- equivocation: the verdict waits one window


def test_two_roots_at_one_size_forfeit_after_a_window(story: Story) -> None:
    first, second = story.two_roots(BOB)
    story.report(TwoWords(first=first, second=second))
    assert story.gained() == (0, 0)
    assert story.refused(Settle(channel=story.id)).fault is Fault.WINDOW_OPEN
    story.window_passes()
    story.settle()
    assert story.guilty() == (0, Charge.EQUIVOCATION)
    assert story.gained() == (100, -100)


@pytest.mark.parametrize("change", [{"spent": 7}, {"seen_size": 3, "seen_root": bytes(32)}, {"root": bytes(32)}])
def test_two_different_words_at_one_size(story: Story, change: dict[str, Any]) -> None:
    story.request()
    evidence = TwoWords(first=story.commit(BOB), second=story.commit(BOB, **change))
    story.report(evidence)
    assert story.claimed() == [(BOB, Charge.EQUIVOCATION)]


@pytest.mark.parametrize("field", ["spent", "seen_size"])
def test_a_greater_size_with_a_smaller_total_or_less_seen(story: Story, field: str) -> None:
    story.request()
    said: Callable[[int], dict[str, Any]] = lambda value: {field: value}  # noqa: E731
    first = story.commit(BOB, **said(9))
    story.request()
    story.report(TwoWords(first=story.commit(BOB, **said(8)), second=first))
    assert story.claimed() == [(BOB, Charge.EQUIVOCATION)]


def test_words_that_can_all_be_true_are_no_charge(story: Story) -> None:
    story.request()
    first, again = story.commit(BOB), story.commit(BOB, height=0)
    story.request()
    later = story.commit(BOB, spent=3)
    for pair in ((first, first), (first, again), (first, later), (story.commit(ALICE), first)):
        refusal = story.refused(Report(channel=story.id, evidence=TwoWords(first=pair[0], second=pair[1])))
        assert refusal.fault is Fault.EVIDENCE_PROVES_NOTHING


def test_two_leaves_at_one_index_are_shown_by_their_hashes_alone(story: Story) -> None:
    story.request()
    fork = story.logs[BOB].copy()
    story.access(1)
    fork.append(Revoke(time=2, grant=0), None)
    held = story.commit(BOB)
    fork.append(Revoke(time=3, grant=0), None)
    other_words = story.commit(BOB, fork)
    evidence = build_fork((held, other_words), 1, story.logs[BOB], show(fork, 1, fork.size))
    same = build_fork((held, other_words), 0, story.logs[BOB], show(fork, 0, fork.size))
    assert story.refused(Report(channel=story.id, evidence=same)).fault is Fault.EVIDENCE_PROVES_NOTHING
    story.report(evidence)
    assert story.claimed() == [(BOB, Charge.EQUIVOCATION)]


# -- overspending


def test_spending_more_than_there_is_forfeits_after_a_window(story: Story) -> None:
    story.request()
    paid = story.commit(ALICE, size=1, spent=40)
    root = story.words(ALICE).root
    within, beyond = (story.commit(BOB, spent=spent, seen_size=1, seen_root=root) for spent in (540, 541))
    refusal = story.refused(Report(channel=story.id, evidence=Overspent(commitment=within, peer=paid)))
    assert refusal.fault is Fault.EVIDENCE_PROVES_NOTHING
    assert story.refused(Report(channel=story.id, evidence=Overspent(commitment=beyond, peer=None)))
    story.report(Overspent(commitment=beyond, peer=paid))
    story.window_passes()
    story.settle()
    assert story.guilty() == (0, Charge.OVERSPEND)


def test_two_totals_at_one_head_frame_nobody(story: Story) -> None:
    """Alice signs a lower total at the head that bob has seen, and charges him; she equivocated herself."""
    truth, lie = story.commit(ALICE, size=1, spent=40), story.commit(ALICE, size=1, spent=0)
    beyond = story.commit(BOB, spent=540, seen_size=1, seen_root=story.words(ALICE).root)
    story.report(Overspent(commitment=beyond, peer=lie))
    story.report(TwoWords(first=truth, second=lie))
    story.window_passes()
    story.settle()
    assert story.guilty() == (Charge.EQUIVOCATION, 0)
    assert story.gained() == (-100, 100)


def test_spending_without_having_seen_anything(story: Story) -> None:
    story.request()
    story.report(Overspent(commitment=story.commit(BOB, spent=501), peer=None))
    refusal = story.refused(Report(channel=story.id, evidence=Overspent(commitment=story.commit(BOB), peer=None)))
    assert refusal.fault is Fault.EVIDENCE_PROVES_NOTHING
