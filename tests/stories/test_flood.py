"""Mallory floods the chain with accusations that prove nothing."""

from msgspec.structs import replace

from l1.ground.codec import encode
from l1.ground.signing import Context, Purpose, sign
from l1.rules.blocks import select
from l1.rules.evidence import TwoWords
from l1.rules.fees import fee_of
from l1.rules.transactions import Report, SetParameters, sign_transaction
from tests.stories.world import Story

FLOOD = 40


def test_every_one_of_them_costs_her_and_none_of_them_alice() -> None:
    story = Story()
    parameters = replace(story.draft.get_parameters(), fee=2, fee_per_kib=3, serial=1)
    approval = sign(story.registrar, Purpose.PARAMETERS, Context(chain=story.chain), encode(parameters))
    approvals = ((story.registrar.public_key, approval),)
    story.do(story.registrar, SetParameters(parameters=parameters, approvals=approvals))
    words = story.commit(0)
    nothing = Report(channel=story.id, evidence=TwoWords(first=words, second=words))
    nonce, before = story.nonce(story.b.root), (story.credits(story.a), story.credits(story.b))
    flood = [sign_transaction(story.b.root, story.chain, nonce + at, nothing) for at in range(FLOOD)]
    items, refused = select(story, story.tip, flood, story.tip.time_ms)
    assert refused == []
    story.block(*items)
    paid = sum(fee_of(parameters, len(each)) for each in flood)
    assert (story.credits(story.a), story.credits(story.b)) == (before[0], before[1] - paid)
    assert paid == FLOOD * (2 + 3)
    assert story.guilty() == (0, 0)
