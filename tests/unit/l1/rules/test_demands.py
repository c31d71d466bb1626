"""A release that is kept back: demands, answers, and who forfeits."""

import pytest
from msgspec.structs import replace

from l1.ground.faults import Fault
from l1.ground.limits import DEMANDS_WAITING_MAX
from l1.rules.evidence import Charge
from l1.rules.transactions import Demand, Reveal, Secret, Settle
from l2.protocol.evidence import build_demand, build_ended
from tests.stories.world import Story, secret_of

ALICE, BOB = 0, 1


@pytest.fixture
def story() -> Story:
    return Story()


def receipted(story: Story, fee: int = 0) -> tuple[int, Demand]:
    grant = story.granted(fee=fee)
    custodian = story.commit(ALICE)
    if fee:
        story.pay(grant, fee)
    receipt = story.receipt(grant)
    return grant, build_demand(story.id, story.logs, story.commit(BOB), custodian, receipt)


def test_a_release_kept_back_forfeits_after_the_window(story: Story) -> None:
    _, action = receipted(story, fee=30)
    story.do(story.b.root, action)
    story.window_passes()
    story.settle()
    assert story.guilty() == (Charge.KEPT_BACK_RELEASE, 0)
    assert story.channel(story.id).sides[BOB].spent == 30


def test_a_demand_is_answered_by_the_secret(story: Story) -> None:
    grant, action = receipted(story)
    story.do(story.b.root, action)
    wrong = Reveal(channel=story.id, side=ALICE, grant=grant, answer=Secret(secret=bytes(32)))
    assert story.refused(wrong).fault is Fault.BAD_DIGEST
    assert story.refused(action, by=story.b.root).fault is Fault.ALREADY_DONE
    right = replace(wrong, answer=Secret(secret=secret_of(grant)))
    story.do(story.registrar, right)
    assert story.refused(right).fault is Fault.NOT_DEMANDED
    story.window_passes()
    assert story.refused(Settle(channel=story.id)).fault is Fault.WINDOW_OPEN
    assert story.gained() == (0, 0)


@pytest.mark.parametrize("how", ["revoke", "withdraw", "another"])
def test_a_demand_is_answered_by_an_ending(story: Story, how: str) -> None:
    grant, action = receipted(story)
    story.do(story.b.root, action)
    ending = {
        "revoke": lambda: story.revoke(grant),
        "withdraw": lambda: story.withdraw(grant - 1),
        "another": lambda: story.revoke(grant + 1),
    }[how]()
    answer = Reveal(
        channel=story.id,
        side=ALICE,
        grant=grant,
        answer=build_ended(story.logs[ALICE], story.commit(ALICE), ending),
    )
    if how == "another":
        assert story.refused(answer).fault is Fault.EVIDENCE_PROVES_NOTHING
        return
    story.do(story.registrar, answer)
    assert story.channel(story.id).claims == ()


def test_a_demand_without_its_payment_or_by_the_wrong_hand_is_refused(story: Story) -> None:
    grant, action = receipted(story, fee=30)
    assert story.refused(replace(action, pay=None), by=story.b.root).fault is Fault.EVIDENCE_PROVES_NOTHING
    assert story.refused(action, by=story.a.root).fault is Fault.EVIDENCE_PROVES_NOTHING
    assert story.refused(action).fault is Fault.NOT_AUTHORISED
    underpaid = replace(action, commitment=story.commit(BOB, spent=29))
    assert story.refused(underpaid, by=story.b.root).fault is Fault.EVIDENCE_PROVES_NOTHING
    assert grant == 1


def test_demands_at_once_are_few(story: Story) -> None:
    consent = story.consent()
    grants = [story.grant(consent=consent) for _ in range(DEMANDS_WAITING_MAX + 1)]
    story.see(BOB)
    custodian = story.commit(ALICE)
    receipts = [story.receipt(grant) for grant in grants]
    own = story.commit(BOB)
    actions = [build_demand(story.id, story.logs, own, custodian, receipt) for receipt in receipts]
    for action in actions[:-1]:
        story.do(story.b.root, action)
    assert story.refused(actions[-1], by=story.b.root).fault is Fault.OUT_OF_BOUNDS
