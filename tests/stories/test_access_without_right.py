"""Mallory reads what nobody granted, for what nobody allowed, when it was over."""

import pytest

from l1.rules.evidence import Charge
from l1.rules.log.marks import Void
from tests.stories.world import Story


def test_she_names_a_grant_that_does_not_exist() -> None:
    story = Story()
    story.granted()
    story.report(story.charged(story.access(41), Void.NOT_SEEN))
    assert story.guilty() == (0, Charge.ACCESS_WITHOUT_GRANT)
    assert story.gained() == (100, -100)


def test_she_names_a_consent_as_if_it_were_a_grant() -> None:
    story = Story()
    consent = story.consent()
    story.see(1)
    story.report(story.charged(story.access(consent), Void.NO_SUCH_ENTRY))
    assert story.gained() == (100, -100)


@pytest.mark.parametrize(("reason", "charge"), [
    (Void.PURPOSE, Charge.ACCESS_OUTSIDE_PURPOSE), (Void.PERIOD, Charge.ACCESS_OUTSIDE_PERIOD),
])  # fmt: skip
def test_granted_for_treatment_until_monday(reason: Void, charge: Charge) -> None:
    """She reads for research, or on Tuesday."""
    story = Story()
    grant = story.granted(purposes=1, until_ms=story.now_ms + 5)
    late = story.now_ms + (6 if reason is Void.PERIOD else 0)
    access = story.access(grant, purpose=2 if reason is Void.PURPOSE else 0, time=late)
    story.report(story.charged(access, reason))
    assert story.guilty() == (0, charge)
    assert story.gained() == (100, -100)
