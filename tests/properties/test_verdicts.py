"""What must hold of every verdict: parties are alike, it is total, and more evidence never helps the guilty.

That evidence cannot be bent: `test_every_bit.py`.
"""

from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from l1.ground.codec import encode
from l1.ground.faults import Refused
from l1.rules.evidence import Charge, Evidence, decode_evidence
from l1.rules.judge import Guilty, Unproven
from l1.rules.state import Phase
from l1.rules.transactions import Report
from tests.stories.misdeeds import MISDEEDS, PLAYS, Misdeed, Play, done, verdict
from tests.stories.world import Story


@pytest.mark.parametrize("misdeed", MISDEEDS)
def test_swapping_the_parties_swaps_the_verdict_and_nothing_else(misdeed: Misdeed) -> None:
    found = []
    for custodian in (0, 1):
        story = Story(custodian=custodian, deposits=(700, 700))
        said = verdict(story, misdeed(story))
        assert isinstance(said, Guilty), said
        found.append((said.side == story.recipient, said.charge, said.waits))
    assert found[0] == found[1]
    assert found[0][0]


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("play", PLAYS)
def test_swapping_the_parties_swaps_who_is_guilty_and_who_is_paid(play: Play, answered: bool) -> None:
    """The whole quarrel on the chain, to the last credit; and the same where nobody does what decides it."""
    first, second = (_ending(Story(custodian=side, deposits=(700, 700)), play, answered) for side in (0, 1))
    assert first == second


def _ending(story: Story, play: Play, answered: bool) -> tuple[int, int, int, int]:
    """Of what custodian and recipient are guilty, and what each gained, once nothing waits any more."""
    deed = play(story)
    if answered:
        story.do(*deed)
    story.window_passes()
    if story.channel(story.id).claims or story.channel(story.id).phase == Phase.CLOSING:
        story.settle()
    guilty, gained = story.guilty(), story.gained()
    order = (story.custodian, story.recipient)
    return tuple(each[side] for each in (guilty, gained) for side in order)  # type: ignore[return-value]


def test_every_charge_is_played() -> None:
    charges = set()
    for play in PLAYS:
        story = Story()
        guilty = _ending(story, play, True)[:2]
        charges |= {*guilty, Charge.STALE_CLOSE if story.channel(story.id).stale else 0}
    assert charges - {0} == set(Charge)


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_whatever_decodes_gets_a_verdict(data: st.DataObject) -> None:
    """Fields of one piece of evidence in the place of another's, and many bits at once."""
    story, one = done(data.draw(st.sampled_from(MISDEEDS)))
    _, another = done(data.draw(st.sampled_from(MISDEEDS)))
    fields: dict[str, Any] = {}
    for name in one.__struct_fields__:
        donors = [getattr(another, other) for other in another.__struct_fields__]
        alike = [value for value in donors if type(value) is type(getattr(one, name))]
        chosen: Any = data.draw(st.sampled_from([None, *alike]))
        fields |= {} if chosen is None else {name: chosen}
    mixed = encode(replace(one, **fields))
    bent = bytearray(mixed)
    for at in data.draw(st.lists(st.integers(0, len(bent) - 1), max_size=3)):
        bent[at] = data.draw(st.integers(0, 255))
    try:
        evidence = decode_evidence(bytes(bent))
    except Refused:
        return
    assert isinstance(verdict(story, evidence), Guilty | Unproven)


@given(chosen=st.lists(st.sampled_from(MISDEEDS), min_size=1, max_size=4), extra=st.data())
@settings(max_examples=40, deadline=None)
def test_more_evidence_never_helps_the_guilty(chosen: list[Misdeed], extra: st.DataObject) -> None:
    """With more reports, in whatever order, as many are guilty as with fewer, and they own no more."""
    few, many = Story(), Story()
    marked = [(misdeed, extra.draw(st.booleans())) for misdeed in chosen]
    for misdeed, told in marked:
        for story, wanted in ((few, told), (many, True)):
            evidence = misdeed(story)
            if wanted:
                _try_report(story, evidence)
    for story in (few, many):
        story.window_passes()
        if story.channel(story.id).claims:
            story.settle()
    assert bool(few.guilty()[1]) <= bool(many.guilty()[1])
    assert few.guilty()[0] == many.guilty()[0] == 0
    assert many.gained()[1] <= few.gained()[1]


def _try_report(story: Story, evidence: Evidence) -> None:
    story.try_do(story.registrar, Report(channel=story.id, evidence=evidence))


@pytest.mark.parametrize("closing", [False, True])
@pytest.mark.parametrize(("first", "second"), list(product(MISDEEDS, MISDEEDS)))
def test_a_second_report_takes_nothing_back(first: Misdeed, second: Misdeed, closing: bool) -> None:
    """Each after each, in an open channel and in the window of a close by the guilty side."""
    story = Story()
    evidence = first(story), second(story)
    if closing:
        story.close(story.recipient, None, None)
    for each in evidence:
        _try_report(story, each)
    story.window_passes()
    if story.channel(story.id).claims or closing:
        story.settle()
    assert story.guilty()[0] == 0
    assert story.guilty()[1]
    assert story.gained() == (100, -100)
