"""Bob's disk dies; he comes back from a backup. Alice may be honest, or not."""

from l1.rules.evidence import Charge, TwoWords
from l1.rules.transactions import Settle
from tests.stories.world import Story


def test_bob_signed_twice_without_knowing_and_the_resume_clears_him() -> None:
    story = Story()
    before, after = story.two_roots(1)
    story.wait(1)
    resume = story.resumes(1, 0)
    story.report(TwoWords(first=before, second=after))
    story.shows_resume(1, resume)
    story.window_passes()
    assert story.gained() == (0, 0)
    assert story.refused(Settle(channel=story.id))


def test_alice_who_denied_what_she_held_and_then_shows_it_pays() -> None:
    """She let bob sign twice on purpose, and reports him herself."""
    story = Story()
    before, after = story.two_roots(1)
    story.wait(1)
    resume = story.resumes(1, 0)
    story.report(TwoWords(first=before, second=after), by=story.a.root)
    story.shows_resume(1, resume)
    assert story.guilty() == (Charge.LYING_RESUME, 0)
    assert story.gained() == (-100, 100)


def test_through_a_stranger_she_gains_nothing_either() -> None:
    story = Story()
    before, _ = story.two_roots(1)
    story.wait(1)
    resume = story.resumes(1, 0)
    story.close(1, None, None)
    story.challenge(before, 1)
    assert story.channel(story.id).stale
    story.shows_resume(1, resume)
    story.window_passes()
    story.settle()
    assert story.gained() == (0, 0)


def test_what_bob_spent_in_words_that_are_void_was_not_spent() -> None:
    story = Story()
    story.granted(fee=300)
    void = story.commit(1, size=9, spent=300)
    story.wait(1)
    resume = story.resumes(1, 1)
    story.close(0, None, None)
    story.challenge(void, 1)
    story.shows_resume(1, resume)
    story.window_passes()
    story.settle()
    assert story.gained() == (0, 0)


def test_bob_who_lost_everything_says_so_and_cannot_be_stale() -> None:
    story = Story()
    story.request()
    newest = story.commit(1, spent=40)
    story.close(1, None, None, lost=True)
    story.challenge(newest, 1, by=story.a.root)
    story.window_passes()
    assert story.refused(Settle(channel=story.id)), "the window of a lost closer is twice as long"
    story.window_passes()
    story.settle()
    assert story.gained() == (40, -40)
