"""Alice, for once, sets the traps: for bob, who is honest."""

from l1.ground.faults import Fault
from l1.rules.commitment import channel_id
from l1.rules.log.marks import Void
from l1.rules.transactions import ChannelHeads, Checkpoint, Report
from tests.stories.world import NOW_MS, Story, fold_of


def test_an_ending_out_of_time_counts_so_that_nobody_steps_into_it() -> None:
    """Alice writes a revocation that is older than her last entry. It is no trap: bob's own fold heeds it too."""
    story = Story()
    grant = story.granted()
    ending = story.revoke(grant, time=NOW_MS - 5)
    story.see(1)
    access = story.access(grant)
    assert list(fold_of(story.logs)) == [(1, access, Void.ENDED)], "bob's hospital would not have written it"
    story.report(story.charged(access, Void.ENDED, ending))
    assert story.gained() == (100, -100)


def test_an_ending_of_what_does_not_exist_yet_ends_nothing() -> None:
    """She revokes a grant before she writes it."""
    story = Story()
    consent = story.consent()
    ending = story.revoke(consent + 2)
    grant = story.grant(consent=consent)
    story.see(1)
    access = story.access(grant)
    assert [void for void in fold_of(story.logs) if void[0] == 1] == []
    evidence = story.charged(access, Void.ENDED, ending)
    assert story.refused(Report(channel=story.id, evidence=evidence)).fault is Fault.EVIDENCE_PROVES_NOTHING


def test_words_of_another_channel_say_nothing_here() -> None:
    """Bob has a second channel with alice; what he did there is shown in this one."""
    story = Story()
    second = story.opening(2)
    story.do(story.a.root, story.signed_opening(second))
    here, story.id = story.id, channel_id(second)
    evidence = story.charged(story.access(9), Void.NOT_SEEN)
    there, story.id = story.id, here
    assert story.refused(Report(channel=here, evidence=evidence)).fault is Fault.BAD_SIGNATURE
    story.do(story.registrar, Report(channel=there, evidence=evidence))
    assert story.guilty() == (0, 0)


def test_a_head_that_only_alice_signed_raises_no_floor() -> None:
    story = Story()
    story.consent()
    private = story.commit(0)
    story.request()
    heads = ChannelHeads(channel=story.id, commitments=(private, story.commit(1)))
    assert story.refused(Checkpoint(heads=(heads,))).fault is Fault.NOT_SETTLED_HEAD
