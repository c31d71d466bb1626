"""Every charge, and what follows from it: who is guilty, when, and who gets the bond."""

import pytest
from msgspec.structs import replace

from l1.ground.faults import Fault
from l1.ground.limits import DEMANDS_WAITING_MAX
from l1.rules.commitment import Signed
from l1.rules.evidence import AccessShown, Charge, Overspent, TwoWords
from l1.rules.log.entries import Entry, Revoke
from l1.rules.log.marks import Void
from l1.rules.state import Phase
from l1.rules.transactions import Delegate, Demand, Report, ResumeChannel, Reveal, Secret, Settle, account_of
from l2.protocol.evidence import build_access, build_demand, build_ended, build_fork, show
from tests.stories.world import Story, secret_of
from tests.unit.l1.rules.world import key_named

ALICE, BOB = 0, 1


@pytest.fixture
def story() -> Story:
    return Story()


def granted(story: Story, **changes: int) -> int:
    grant = story.grant(consent=story.consent(), **changes)
    story.see(BOB)
    return grant


def charged(story: Story, access: int, reason: Void, ending: int | None = None) -> AccessShown:
    return build_access(story.logs, story.commit(BOB), access, reason, ending)


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
    story.report(charged(story, access, reason, ending))
    assert story.guilty() == (0, Charge.ACCESS_AFTER_END)
    assert story.gained() == (100, -100)
    assert story.channel(story.id).phase == Phase.OPEN


def test_an_access_before_the_ending_was_seen_is_no_charge(story: Story) -> None:
    grant = granted(story)
    ending = story.revoke(grant)
    access = story.access(grant)
    story.see(BOB)
    evidence = charged(story, story.access(grant), Void.ENDED, ending)
    early = replace(evidence, access=show(story.logs[BOB], access, story.logs[BOB].size))
    assert story.refused(Report(channel=story.id, evidence=early)).fault is Fault.EVIDENCE_PROVES_NOTHING
    story.report(evidence)


def test_an_emergency_is_never_charged_with_coming_too_late(story: Story) -> None:
    request = story.request(emergency=True)
    story.see(ALICE)
    grant = story.grant(request=request, emergency=True)
    ending = story.revoke(grant)
    story.see(BOB)
    evidence = charged(story, story.access(grant), Void.ENDED, ending)
    assert story.refused(Report(channel=story.id, evidence=evidence)).fault is Fault.EMERGENCY


@pytest.mark.parametrize("seen", [True, False])
def test_an_access_without_a_grant(story: Story, seen: bool) -> None:
    """It names what its writer had not seen, or what is no grant."""
    consent = story.consent()
    story.see(BOB)
    access = story.access(consent if seen else 7)
    story.report(charged(story, access, Void.NO_SUCH_ENTRY if seen else Void.NOT_SEEN))
    assert story.guilty() == (0, Charge.ACCESS_WITHOUT_GRANT)


def test_an_access_for_another_purpose_shows_both_private_parts_and_none_else(story: Story) -> None:
    grant = granted(story)
    access = story.access(grant, purpose=1)
    evidence = charged(story, access, Void.PURPOSE)
    hidden = charged(story, access, Void.PERIOD)  # the grant alone is opened
    assert story.refused(Report(channel=story.id, evidence=hidden)).fault is Fault.EVIDENCE_PROVES_NOTHING
    story.report(evidence)
    assert story.guilty() == (0, Charge.ACCESS_OUTSIDE_PURPOSE)


def test_an_access_outside_its_period_shows_the_grant_alone(story: Story) -> None:
    grant = granted(story, until_ms=5)
    access = story.access(grant)
    evidence = charged(story, access, Void.PERIOD)
    size = story.logs[BOB].size
    talkative = replace(evidence, access=show(story.logs[BOB], access, size, opened=True))
    assert story.refused(Report(channel=story.id, evidence=talkative)).fault is Fault.SHOWS_TOO_MUCH
    story.report(evidence)
    assert story.guilty() == (0, Charge.ACCESS_OUTSIDE_PERIOD)


def test_a_lawful_access_is_no_charge_and_hides_all_it_can(story: Story) -> None:
    grant = granted(story)
    access = story.access(grant)
    for reason in (Void.ENDED, Void.PURPOSE, Void.PERIOD, Void.NO_SUCH_ENTRY, Void.NOT_SEEN):
        refusal = story.refused(Report(channel=story.id, evidence=charged(story, access, reason)))
        assert refusal.fault is Fault.EVIDENCE_PROVES_NOTHING


# -- equivocation: the verdict waits one window


def two_roots(story: Story, side: int = BOB) -> tuple[Signed, Signed]:
    """Two logs of one size, each signed."""
    fork = story.logs[side].copy()
    story.write(side, *fork_entry(1))
    fork.append(*fork_entry(2))
    return story.commit(side), story.commit(side, fork)


def fork_entry(at: int) -> tuple[Entry, None]:
    return Revoke(time=at, grant=0), None


def test_two_roots_at_one_size_forfeit_after_a_window(story: Story) -> None:
    first, second = two_roots(story)
    story.report(TwoWords(first=first, second=second))
    assert story.gained() == (0, 0)
    assert story.refused(Settle(channel=story.id)).fault is Fault.WINDOW_OPEN
    story.window_passes()
    story.settle()
    assert story.guilty() == (0, Charge.EQUIVOCATION)
    assert story.gained() == (100, -100)


@pytest.mark.parametrize("change", [{"spent": 7}, {"seen_size": 3, "seen_root": bytes(32)}, {"root": bytes(32)}])
def test_two_different_words_at_one_size(story: Story, change: dict[str, int]) -> None:
    story.request()
    evidence = TwoWords(first=story.commit(BOB), second=story.commit(BOB, **change))
    story.report(evidence)
    assert story.channel(story.id).claims[0].side == BOB


@pytest.mark.parametrize("field", ["spent", "seen_size"])
def test_a_greater_size_with_a_smaller_total_or_less_seen(story: Story, field: str) -> None:
    story.request()
    first = story.commit(BOB, **{field: 9})
    story.request()
    story.report(TwoWords(first=story.commit(BOB, **{field: 8}), second=first))
    assert story.channel(story.id).claims[0].side == BOB


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
    fork.append(*fork_entry(2))
    held = story.commit(BOB)
    fork.append(*fork_entry(3))
    other_words = story.commit(BOB, fork)
    evidence = build_fork((held, other_words), 1, story.logs[BOB], show(fork, 1, fork.size))
    same = build_fork((held, other_words), 0, story.logs[BOB], show(fork, 0, fork.size))
    assert story.refused(Report(channel=story.id, evidence=same)).fault is Fault.EVIDENCE_PROVES_NOTHING
    story.report(evidence)
    assert story.channel(story.id).claims[0].charge == Charge.EQUIVOCATION


def test_a_resume_clears_the_restored_hospital(story: Story) -> None:
    old, new = two_roots(story)
    story.wait(1)
    resume = story.resumes(BOB, 0)
    story.report(TwoWords(first=old, second=new))
    story.shows_resume(BOB, resume)
    story.window_passes()
    assert story.refused(Settle(channel=story.id)).fault is Fault.WINDOW_OPEN
    assert story.gained() == (0, 0)


def test_a_resume_after_the_window_comes_too_late(story: Story) -> None:
    old, new = two_roots(story)
    story.wait(1)
    resume = story.resumes(BOB, 0)
    story.report(TwoWords(first=old, second=new))
    story.window_passes()
    story.shows_resume(BOB, resume)
    assert story.guilty() == (0, Charge.EQUIVOCATION)


def test_who_denies_in_a_resume_what_it_then_shows_forfeits(story: Story) -> None:
    """Alice held bob's words, said in the resume that she did not, and reports them herself."""
    old, new = two_roots(story)
    story.wait(1)
    resume = story.resumes(BOB, 0)
    story.report(TwoWords(first=old, second=new), by=story.a.channel)
    story.shows_resume(BOB, resume)
    assert story.guilty() == (Charge.LYING_RESUME, 0)
    assert story.gained() == (-100, 100)


@pytest.mark.parametrize("way", ["challenge", "report"])
def test_who_shows_void_words_after_the_resume_is_posted_forfeits_too(story: Story, way: str) -> None:
    old, new = two_roots(story)
    story.wait(1)
    story.shows_resume(BOB, story.resumes(BOB, 0))
    if way == "report":
        story.report(TwoWords(first=old, second=new), by=story.a.root)
    else:
        story.close(BOB, None, None)
        story.challenge(old, BOB, by=story.a.root)
    assert story.guilty() == (Charge.LYING_RESUME, 0)


def test_a_stranger_who_shows_void_words_only_fails(story: Story) -> None:
    old, new = two_roots(story)
    story.wait(1)
    story.shows_resume(BOB, story.resumes(BOB, 0))
    refusal = story.refused(Report(channel=story.id, evidence=TwoWords(first=old, second=new)))
    assert refusal.fault is Fault.BELOW_RESUME
    assert story.guilty() == (0, 0)


# -- overspending


def test_spending_more_than_there_is_forfeits_after_a_window(story: Story) -> None:
    story.request()
    paid = story.commit(ALICE, size=1, spent=40)
    head = {"seen_size": 1, "seen_root": story.words(ALICE).root}
    within, beyond = story.commit(BOB, spent=540, **head), story.commit(BOB, spent=541, **head)
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


# -- a release that is kept back


def receipted(story: Story, fee: int = 0) -> tuple[int, Demand]:
    grant = granted(story, fee=fee)
    custodian = story.commit(ALICE)
    if fee:
        story.pay(grant, fee)
    receipt = story.receipt(grant)
    return grant, build_demand(story.id, story.logs, story.commit(BOB), custodian, receipt)


def test_a_release_kept_back_forfeits_after_the_window(story: Story) -> None:
    _, action = receipted(story, fee=30)
    story.do(story.b.root, action)
    story.window_passes()
    story.settle()
    assert story.guilty() == (Charge.KEPT_BACK_RELEASE, 0)
    assert story.channel(story.id).sides[BOB].spent == 30


def test_a_demand_is_answered_by_the_secret(story: Story) -> None:
    grant, action = receipted(story)
    story.do(story.b.root, action)
    wrong = Reveal(channel=story.id, side=ALICE, grant=grant, answer=Secret(secret=bytes(32)))
    assert story.refused(wrong).fault is Fault.BAD_DIGEST
    assert story.refused(action, by=story.b.root).fault is Fault.ALREADY_DONE
    right = replace(wrong, answer=Secret(secret=secret_of(grant)))
    story.do(story.registrar, right)
    assert story.refused(right).fault is Fault.NOT_DEMANDED
    story.window_passes()
    assert story.refused(Settle(channel=story.id)).fault is Fault.WINDOW_OPEN
    assert story.gained() == (0, 0)


@pytest.mark.parametrize("how", ["revoke", "withdraw", "another"])
def test_a_demand_is_answered_by_an_ending(story: Story, how: str) -> None:
    grant, action = receipted(story)
    story.do(story.b.root, action)
    ending = {
        "revoke": lambda: story.revoke(grant),
        "withdraw": lambda: story.withdraw(grant - 1),
        "another": lambda: story.revoke(grant + 1),
    }[how]()
    answer = Reveal(
        channel=story.id,
        side=ALICE,
        grant=grant,
        answer=build_ended(story.logs[ALICE], story.commit(ALICE), ending),
    )
    if how == "another":
        assert story.refused(answer).fault is Fault.EVIDENCE_PROVES_NOTHING
        return
    story.do(story.registrar, answer)
    assert story.channel(story.id).claims == ()


def test_a_demand_without_its_payment_or_by_the_wrong_hand_is_refused(story: Story) -> None:
    grant, action = receipted(story, fee=30)
    assert story.refused(replace(action, pay=None), by=story.b.root).fault is Fault.EVIDENCE_PROVES_NOTHING
    assert story.refused(action, by=story.a.root).fault is Fault.EVIDENCE_PROVES_NOTHING
    assert story.refused(action).fault is Fault.NOT_AUTHORISED
    underpaid = replace(action, commitment=story.commit(BOB, spent=29))
    assert story.refused(underpaid, by=story.b.root).fault is Fault.EVIDENCE_PROVES_NOTHING
    assert grant == 1


def test_demands_at_once_are_few(story: Story) -> None:
    consent = story.consent()
    grants = [story.grant(consent=consent) for _ in range(DEMANDS_WAITING_MAX + 1)]
    story.see(BOB)
    custodian = story.commit(ALICE)
    receipts = [story.receipt(grant) for grant in grants]
    own = story.commit(BOB)
    actions = [build_demand(story.id, story.logs, own, custodian, receipt) for receipt in receipts]
    for action in actions[:-1]:
        story.do(story.b.root, action)
    assert story.refused(actions[-1], by=story.b.root).fault is Fault.OUT_OF_BOUNDS


# -- together with closing


def test_a_close_waits_for_the_claims_in_it(story: Story) -> None:
    first, second = two_roots(story)
    story.close(ALICE, None, None)
    story.wait(20_000)
    story.report(TwoWords(first=first, second=second))
    story.wait(5_000)
    assert story.refused(Report(channel=story.id, evidence=TwoWords(first=first, second=second)))
    assert story.refused(Settle(channel=story.id)).fault is Fault.WINDOW_OPEN
    story.wait(20_000)
    story.settle()
    assert story.gained() == (100, -100)
    assert story.refused(Report(channel=story.id, evidence=TwoWords(first=first, second=second)))


def test_a_charge_takes_the_bond_of_a_stale_closer_before_the_close_does(story: Story) -> None:
    story.request()
    newest = story.commit(BOB)
    fork = story.logs[BOB].copy()
    story.close(BOB, None, None)
    story.challenge(newest, BOB)
    story.report(charged(story, story.access(9), Void.NOT_SEEN))
    assert story.gained() == (100, -100)
    story.window_passes()
    story.settle()
    assert story.gained() == (100, -100)
    assert fork.size == 1


def test_a_void_total_shown_before_the_resume_counts_no_more(story: Story) -> None:
    """What was spent in words that a resume voids was not spent; what else was shown can be shown again."""
    story.request()
    kept = story.commit(BOB, spent=20)
    lost = story.commit(BOB, size=9, spent=400)
    story.wait(1)
    resume = story.resumes(BOB, 1)
    story.close(ALICE, None, kept)
    story.challenge(lost, BOB)
    story.wait(20_000)
    story.shows_resume(BOB, resume)
    row = story.channel(story.id)
    assert (row.sides[BOB].spent, row.sides[BOB].posted.size) == (0, 0)
    assert row.closes_at_ms == story.tip.clock_ms + row.opening.window_ms
    story.challenge(kept, BOB)
    story.window_passes()
    story.settle()
    assert story.gained() == (20, -20)


def test_a_tower_that_reports_earns_its_share(story: Story) -> None:
    tower = key_named("tower")
    story.do(story.a.root, Delegate(hospital=story.a.id, tower=account_of(tower.public_key), reward=200))
    access = story.access(9)
    story.report(charged(story, access, Void.NOT_SEEN), by=tower)
    assert story.gained() == (80, -100)
    assert story.draft.get_account(account_of(tower.public_key)).credits == 20


def test_both_may_be_guilty(story: Story) -> None:
    story.report(charged(story, story.access(9), Void.NOT_SEEN))
    first, second = two_roots(story, ALICE)
    story.report(TwoWords(first=first, second=second))
    story.window_passes()
    story.settle()
    assert story.gained() == (0, 0)
    assert story.guilty() == (Charge.EQUIVOCATION, Charge.ACCESS_WITHOUT_GRANT)


def test_a_side_forfeits_once(story: Story) -> None:
    story.report(charged(story, story.access(9), Void.NOT_SEEN))
    again = charged(story, story.access(9), Void.NOT_SEEN)
    assert story.refused(Report(channel=story.id, evidence=again)).fault is Fault.ALREADY_DONE


def test_a_resume_needs_the_window_or_a_claim(story: Story) -> None:
    first, second = two_roots(story)
    story.wait(1)
    resume = story.resumes(BOB, 0)
    story.close(ALICE, None, None)
    story.wait(24_000)
    story.report(TwoWords(first=first, second=second))
    story.wait(2_000)
    story.shows_resume(BOB, resume)
    assert story.channel(story.id).claims == ()
    story.window_passes()
    late = ResumeChannel(channel=story.id, resume=story.resumes(BOB, 0))
    assert story.refused(late, by=story.b.root).fault is Fault.WINDOW_OVER
