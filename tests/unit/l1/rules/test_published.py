"""Whatever words of a channel stand in a block are found, and none of other channels."""

import pytest

from l1.ground.faults import Fault
from l1.rules.commitment import Signed, decode_commitment
from l1.rules.outcomes import failed_item
from l1.rules.published import Revealed, published_in, revealed_in
from l1.rules.transactions import Ended, ResumeChannel, Reveal, Secret, Settle
from tests.stories.misdeeds import PLAYS, Play
from tests.stories.world import Story


@pytest.mark.parametrize("play", PLAYS)
@pytest.mark.parametrize("failed", [False, True])
def test_every_signed_commitment_of_a_transaction_is_found(play: Play, failed: bool) -> None:
    story = Story()
    deed = play(story)
    data = story.sign(deed.key, deed.action)
    found = published_in([failed_item(data, Fault.BAD_PROOF) if failed else data], story.chain, {story.id})
    assert {each.channel for each in found} <= {story.id}
    wanted = set() if isinstance(deed.action, ResumeChannel) else _signed_in(deed.action)
    assert {each.signed for each in found} == wanted
    for each in found:
        assert decode_commitment(each.signed.body).channel == story.id


def _signed_in(value: object) -> set[Signed]:
    """Every commitment at whatever depth of an action; a resume is none."""
    if isinstance(value, Signed):
        return {value}
    parts = value if isinstance(value, tuple) else [getattr(value, f) for f in getattr(value, "__struct_fields__", ())]
    return {found for part in parts for found in _signed_in(part)}


def test_other_channels_and_silent_transactions_show_nothing() -> None:
    story = Story()
    deed = PLAYS[0](story)
    assert published_in([story.sign(deed.key, deed.action)], story.chain, {bytes(32)}) == []
    settle = story.sign(story.registrar, Settle(channel=story.id))
    assert published_in([settle], story.chain, {story.id}) == []


def test_a_secret_that_a_block_shows_is_found_also_where_it_failed() -> None:
    story = Story()
    action = Reveal(channel=story.id, side=0, grant=7, answer=Secret(secret=bytes(32)))
    data = story.sign(story.a.channel, action)
    settle = story.sign(story.registrar, Settle(channel=story.id))
    shown = [Revealed(story.id, 0, 7, bytes(32))]
    assert revealed_in([settle, data], story.chain, {story.id}) == shown
    assert revealed_in([failed_item(data, Fault.NOT_DEMANDED)], story.chain, {story.id}) == shown
    assert revealed_in([data], story.chain, {bytes(32)}) == []


@pytest.mark.parametrize("play", PLAYS)
def test_nothing_else_is_taken_for_a_secret(play: Play) -> None:
    story = Story()
    deed = play(story)
    is_secret = isinstance(deed.action, Reveal) and not isinstance(deed.action.answer, Ended)
    found = revealed_in([story.sign(deed.key, deed.action)], story.chain, {story.id})
    assert bool(found) == is_secret
