"""Mallory closes with yesterday's words, in which she owed less."""

from l1.rules.transactions import Settle
from tests.stories.world import Story


def test_the_newer_words_count_and_her_bond_goes_to_alice() -> None:
    story = Story()
    grant = story.granted(fee=200)
    yesterday = story.commit(1)
    story.pay(grant, 200)
    today = story.commit(1)
    story.close(1, yesterday, story.commit(0))
    story.challenge(today, 1, by=story.a.root)
    story.window_passes()
    story.settle()
    assert story.gained() == (200 + 100, -200 - 100)


def test_alice_asleep_for_a_whole_window_loses_the_fee_and_nothing_more() -> None:
    """Watching is her duty, or her tower's: the chain knows only what it is shown."""
    story = Story()
    grant = story.granted(fee=200)
    yesterday = story.commit(1)
    story.pay(grant, 200)
    story.close(1, yesterday, story.commit(0))
    story.window_passes()
    story.settle()
    assert story.gained() == (0, 0)
    assert story.refused(Settle(channel=story.id))
