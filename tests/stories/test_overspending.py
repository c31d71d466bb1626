"""Mallory pays with credits that she does not have; later, alice pretends that she did."""

from l1.rules.evidence import Charge, Overspent, TwoWords
from tests.stories.world import Story


def test_more_than_her_deposit_and_what_she_was_paid() -> None:
    story = Story()
    story.granted(fee=600)
    story.report(Overspent(commitment=story.commit(1, spent=600), peer=story.commit(0)))
    story.window_passes()
    story.settle()
    assert story.guilty() == (0, Charge.OVERSPEND)
    assert story.gained() == (100, -100)


def test_alice_signs_a_lower_total_to_frame_bob_and_is_caught_by_it() -> None:
    """Bob spent what alice had paid him. She signs the same head again, as if she had paid nothing."""
    story = Story()
    story.consent()
    story.see(1)
    paid_him, paid_nothing = story.commit(0, spent=300), story.commit(0, spent=0)
    bobs = story.commit(1, spent=800)
    story.report(Overspent(commitment=bobs, peer=paid_nothing), by=story.a.root)
    story.report(TwoWords(first=paid_him, second=paid_nothing), by=story.b.root)
    story.window_passes()
    story.settle()
    assert story.guilty() == (Charge.EQUIVOCATION, 0)
    assert story.gained() == (-100, 100)
