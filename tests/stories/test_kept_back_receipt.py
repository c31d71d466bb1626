"""Mallory takes the ciphertext and keeps back the receipt, or the fee. Nobody opens it for her."""

from msgspec.structs import replace

from l1.ground.faults import Fault
from l2.protocol.evidence import build_demand, show
from tests.stories.world import Story


def test_without_her_payment_the_chain_demands_nothing_on_her_behalf() -> None:
    story = Story()
    grant = story.granted(fee=50)
    granted = story.commit(0)
    story.pay(grant, 50)
    receipt = story.receipt(grant)
    demand = build_demand(story.id, story.logs, story.commit(1), granted, receipt)
    for wrong in (
        replace(demand, pay=None),
        replace(demand, commitment=story.commit(1, spent=0)),
        replace(demand, receipt=show(story.logs[1], receipt - 1, story.logs[1].size)),
    ):
        assert story.refused(wrong, by=story.b.root).fault is Fault.EVIDENCE_PROVES_NOTHING
    assert story.gained() == (0, 0)


def test_a_receipt_for_another_grant_opens_none() -> None:
    story = Story()
    cheap = story.grant(consent=story.consent())
    dear = story.granted(fee=50)
    granted = story.commit(0)
    receipt = story.receipt(cheap)
    demand = build_demand(story.id, story.logs, story.commit(1), granted, receipt)
    wrong = replace(demand, grant=show(story.logs[0], dear, story.logs[0].size))
    assert story.refused(wrong, by=story.b.root).fault is Fault.EVIDENCE_PROVES_NOTHING


def test_only_the_recipient_may_ask() -> None:
    story = Story()
    grant = story.granted()
    granted = story.commit(0)
    receipt = story.receipt(grant)
    demand = build_demand(story.id, story.logs, story.commit(1), granted, receipt)
    assert story.refused(demand).fault is Fault.NOT_AUTHORISED
