"""Mallory tells alice one thing and carol another, each under her signature."""

from l1.rules.evidence import Charge, TwoWords
from l1.rules.transactions import CHANNEL
from tests.stories.world import Story


def test_two_logs_of_one_size_cost_her_the_bond_after_a_window() -> None:
    story = Story()
    to_alice, to_carol = story.two_roots(1)
    story.report(TwoWords(first=to_alice, second=to_carol))
    assert story.gained() == (0, 0), "first she may show that she was restored from a backup"
    story.window_passes()
    story.settle()
    assert story.gained() == (100, -100)


def test_another_key_is_no_other_tongue() -> None:
    """She registers a second channel key and says with it what the first denies."""
    story = Story()
    story.do(story.b.root, story.new_key(story.b, CHANNEL, "mallory's second key"))
    number = max(story.b.keys)
    story.request()
    story.report(TwoWords(first=story.commit(1), second=story.commit(1, key=number, spent=9)))
    story.window_passes()
    story.settle()
    assert story.guilty() == (0, Charge.EQUIVOCATION)


def test_who_owes_less_today_than_yesterday_lies_on_one_of_the_days() -> None:
    story = Story()
    story.request()
    owes_nine = story.commit(1, spent=9)
    story.request()
    story.report(TwoWords(first=owes_nine, second=story.commit(1, spent=8)))
    story.window_passes()
    story.settle()
    assert story.gained() == (100, -100)
