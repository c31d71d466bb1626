"""Mallory counts the seconds of every window."""

from l1.ground.faults import Fault
from l1.rules.evidence import Charge, TwoWords
from l1.rules.log.marks import Void
from l1.rules.transactions import Settle
from tests.stories.world import WINDOW_MS, Story


def test_she_closes_quickly_but_the_claim_is_decided_first() -> None:
    """Carol shows the two tongues a second before the window ends: the close waits for the verdict."""
    story = Story()
    first, second = story.two_roots(1)
    story.close(1, None, None)
    story.wait(WINDOW_MS - 1_000)
    story.report(TwoWords(first=first, second=second))
    story.wait(1_000)
    assert story.refused(Settle(channel=story.id)).fault is Fault.WINDOW_OPEN
    story.window_passes()
    story.settle()
    assert story.gained() == (100, -100)


def test_she_accuses_herself_weakly_to_hide_the_strong_proof() -> None:
    """The weak claim stands on words that a resume voids. She lifts it in the last second; the window begins anew."""
    story = Story()
    story.request()
    early = story.commit(1, spent=9)
    story.request()
    later = story.commit(1, spent=8)
    void, also_void = story.commit(1, size=50), story.commit(1, size=50, spent=77)
    story.wait(1)
    resume = story.resumes(1, 2)
    story.close(1, None, None)
    story.report(TwoWords(first=void, second=also_void), by=story.b.root)
    story.wait(WINDOW_MS - 1_000)
    story.shows_resume(1, resume)
    story.wait(2_000)
    story.report(TwoWords(first=early, second=later))
    story.window_passes()
    story.settle()
    assert story.guilty() == (0, Charge.EQUIVOCATION)


def test_both_misbehave_and_pay_each_other() -> None:
    story = Story()
    story.report(story.charged(story.access(7), Void.NOT_SEEN))
    first, second = story.two_roots(0)
    story.report(TwoWords(first=first, second=second))
    story.window_passes()
    story.settle()
    assert story.gained() == (0, 0)
    assert all(story.guilty())
