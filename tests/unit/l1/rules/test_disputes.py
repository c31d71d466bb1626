"""What follows from a verdict: claims that wait, resumes that lift them, closes, towers, bonds."""

import pytest

from l1.ground.faults import Fault
from l1.rules.evidence import Charge, TwoWords
from l1.rules.log.marks import Void
from l1.rules.transactions import Delegate, Report, ResumeChannel, Settle, account_of
from tests.stories.world import Story
from tests.unit.l1.rules.world import key_named

ALICE, BOB = 0, 1


@pytest.fixture
def story() -> Story:
    return Story()


def test_a_resume_clears_the_restored_hospital(story: Story) -> None:
    old, new = story.two_roots(BOB)
    story.wait(1)
    resume = story.resumes(BOB, 0)
    story.report(TwoWords(first=old, second=new))
    story.shows_resume(BOB, resume)
    story.window_passes()
    assert story.refused(Settle(channel=story.id)).fault is Fault.WINDOW_OPEN
    assert story.gained() == (0, 0)


def test_a_resume_after_the_window_comes_too_late(story: Story) -> None:
    old, new = story.two_roots(BOB)
    story.wait(1)
    resume = story.resumes(BOB, 0)
    story.report(TwoWords(first=old, second=new))
    story.window_passes()
    story.shows_resume(BOB, resume)
    assert story.guilty() == (0, Charge.EQUIVOCATION)


def test_who_denies_in_a_resume_what_it_then_shows_forfeits(story: Story) -> None:
    """Alice held bob's words, said in the resume that she did not, and reports them herself."""
    old, new = story.two_roots(BOB)
    story.wait(1)
    resume = story.resumes(BOB, 0)
    story.report(TwoWords(first=old, second=new), by=story.a.channel)
    story.shows_resume(BOB, resume)
    assert story.guilty() == (Charge.LYING_RESUME, 0)
    assert story.gained() == (-100, 100)


@pytest.mark.parametrize("way", ["challenge", "report"])
def test_who_shows_void_words_after_the_resume_is_posted_forfeits_too(story: Story, way: str) -> None:
    old, new = story.two_roots(BOB)
    story.wait(1)
    story.shows_resume(BOB, story.resumes(BOB, 0))
    if way == "report":
        story.report(TwoWords(first=old, second=new), by=story.a.root)
    else:
        story.close(BOB, None, None)
        story.challenge(old, BOB, by=story.a.root)
    assert story.guilty() == (Charge.LYING_RESUME, 0)


def test_a_stranger_who_shows_void_words_only_fails(story: Story) -> None:
    old, new = story.two_roots(BOB)
    story.wait(1)
    story.shows_resume(BOB, story.resumes(BOB, 0))
    refusal = story.refused(Report(channel=story.id, evidence=TwoWords(first=old, second=new)))
    assert refusal.fault is Fault.BELOW_RESUME
    assert story.guilty() == (0, 0)


# -- together with closing


def test_a_close_waits_for_the_claims_in_it(story: Story) -> None:
    first, second = story.two_roots(BOB)
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
    story.close(BOB, None, None)
    story.challenge(newest, BOB)
    story.report(story.charged(story.access(9), Void.NOT_SEEN))
    assert story.gained() == (100, -100)
    story.window_passes()
    story.settle()
    assert story.gained() == (100, -100)


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
    story.report(story.charged(access, Void.NOT_SEEN), by=tower)
    assert story.gained() == (80, -100)
    assert story.draft.get_account(account_of(tower.public_key)).credits == 20


def test_both_may_be_guilty(story: Story) -> None:
    story.report(story.charged(story.access(9), Void.NOT_SEEN))
    first, second = story.two_roots(ALICE)
    story.report(TwoWords(first=first, second=second))
    story.window_passes()
    story.settle()
    assert story.gained() == (0, 0)
    assert story.guilty() == (Charge.EQUIVOCATION, Charge.ACCESS_WITHOUT_GRANT)


def test_a_side_forfeits_once(story: Story) -> None:
    story.report(story.charged(story.access(9), Void.NOT_SEEN))
    again = story.charged(story.access(9), Void.NOT_SEEN)
    assert story.refused(Report(channel=story.id, evidence=again)).fault is Fault.ALREADY_DONE


def test_a_resume_needs_the_window_or_a_claim(story: Story) -> None:
    first, second = story.two_roots(BOB)
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
