"""Mallory shows an auditor an entry that alice never saw at that place."""

from l1.rules.log.entries import Revoke
from l2.protocol.evidence import build_fork, show
from tests.stories.world import Story


def test_two_leaves_at_one_index_are_enough_and_nobody_reads_them() -> None:
    story = Story()
    story.request()
    for_auditor = story.logs[1].copy()
    at = story.access(3)
    for_auditor.append(Revoke(time=1, grant=0), None)
    alice_holds = story.commit(1)
    for_auditor.append(Revoke(time=2, grant=1), None)
    auditor_holds = story.commit(1, for_auditor)
    evidence = build_fork((alice_holds, auditor_holds), at, story.logs[1], show(for_auditor, at, for_auditor.size))
    shown = (evidence.leaves, evidence.paths)
    assert story.logs[1].publics[at] not in repr(shown).encode()
    story.report(evidence)
    story.window_passes()
    story.settle()
    assert story.gained() == (100, -100)
