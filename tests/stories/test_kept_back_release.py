"""Alice takes bob's receipt, and his fee, and says nothing more."""

from l1.rules.evidence import Charge
from l1.rules.transactions import Demand, Reveal, Secret
from l2.protocol.evidence import build_demand, build_ended
from tests.stories.world import Story, secret_of


def kept_back(story: Story) -> tuple[int, Demand]:
    grant = story.granted(fee=50)
    granted = story.commit(0)
    story.pay(grant, 50)
    receipt = story.receipt(grant)
    return grant, build_demand(story.id, story.logs, story.commit(1), granted, receipt)


def test_silence_costs_her_the_bond() -> None:
    story = Story()
    _, demand = kept_back(story)
    story.do(story.b.root, demand)
    story.window_passes()
    story.settle()
    assert story.guilty() == (Charge.KEPT_BACK_RELEASE, 0)
    assert story.gained() == (-100, 100), "the fee is settled when the channel closes"
    story.close(1, None, None)
    story.window_passes()
    story.settle()
    assert story.gained() == (-100 + 50, 100 - 50)


def test_the_secret_on_the_chain_helps_bob_and_nobody_else() -> None:
    story = Story()
    grant, demand = kept_back(story)
    story.do(story.b.root, demand)
    story.do(story.a.channel, Reveal(channel=story.id, side=0, grant=grant, answer=Secret(secret=secret_of(grant))))
    story.window_passes()
    assert story.gained() == (0, 0)


def test_the_patient_withdrew_meanwhile_and_alice_keeps_the_secret_rightly() -> None:
    story = Story()
    grant, demand = kept_back(story)
    story.do(story.b.root, demand)
    ending = story.withdraw(grant - 1)
    answer = build_ended(story.logs[0], story.commit(0), ending)
    story.do(story.a.channel, Reveal(channel=story.id, side=0, grant=grant, answer=answer))
    story.window_passes()
    assert story.gained() == (0, 0)
