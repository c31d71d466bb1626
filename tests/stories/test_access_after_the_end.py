"""The patient changes her mind; mallory's hospital goes on reading."""

from l1.ground.faults import Fault
from l1.rules.evidence import Charge
from l1.rules.log.marks import Void
from l1.rules.transactions import Report
from tests.stories.world import Story


def test_reading_after_a_withdrawal_that_was_acknowledged() -> None:
    story = Story()
    consent = story.consent()
    grant = story.grant(consent=consent)
    story.see(1)
    story.access(grant)
    ending = story.withdraw(consent)
    story.see(1)
    story.report(story.charged(story.access(grant), Void.CONSENT_WITHDRAWN, ending))
    assert story.guilty() == (0, Charge.ACCESS_AFTER_END)
    assert story.gained() == (100, -100)


def test_bob_who_had_not_heard_of_it_yet_is_innocent() -> None:
    story = Story()
    grant = story.granted()
    ending = story.revoke(grant)
    access = story.access(grant)
    story.see(1)
    for evidence in (story.charged(access, Void.NO_SUCH_ENTRY), story.charged(access, Void.PURPOSE)):
        assert story.refused(Report(channel=story.id, evidence=evidence)).fault is Fault.EVIDENCE_PROVES_NOTHING
    assert ending > grant
    assert story.gained() == (0, 0)


def test_bob_who_broke_the_glass_for_a_dying_patient_is_innocent() -> None:
    story = Story()
    request = story.request(emergency=True)
    story.see(0)
    grant = story.grant(request=request, emergency=True)
    ending = story.revoke(grant)
    story.see(1)
    evidence = story.charged(story.access(grant), Void.ENDED, ending)
    assert story.refused(Report(channel=story.id, evidence=evidence)).fault is Fault.EMERGENCY
