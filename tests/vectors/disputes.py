"""Makes `disputes.json`: what the chain knows, evidence, and the verdict. `python -m tests.vectors.disputes` writes it.

One case, one reason, the rule it exercises. Keys are derived from names and signatures are RFC 6979, so every byte is
the same wherever it is made.
"""

import json
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from l1.ground.codec import encode
from l1.rules.evidence import AccessShown, Evidence, TwoWords
from l1.rules.judge import Guilty, judge
from l1.rules.log.marks import Void
from l2.protocol.evidence import show
from tests.stories.misdeeds import (
    after_end,
    after_withdrawal,
    court,
    forked,
    no_grant,
    not_seen,
    other_period,
    other_purpose,
    overspent,
    two_words,
)
from tests.stories.world import Story

FILE = Path(__file__).with_name("disputes.json")


def too_late_to_know(story: Story) -> Evidence:
    """The ending stands behind what was seen."""
    evidence = after_end(story)
    assert isinstance(evidence, AccessShown)
    assert evidence.ending is not None
    return replace(evidence, ending=replace(evidence.ending, index=evidence.ending.index + 1))


def emergency(story: Story) -> Evidence:
    request = story.request(emergency=True)
    story.see(story.custodian)
    grant = story.grant(request=request, emergency=True)
    ending = story.revoke(grant)
    story.see(story.recipient)
    return story.charged(story.access(grant), Void.ENDED, ending)


def talkative(story: Story) -> Evidence:
    """The access is opened where only the grant's period is the charge."""
    evidence = other_period(story)
    assert isinstance(evidence, AccessShown)
    log = story.logs[story.recipient]
    return replace(evidence, access=show(log, evidence.access.index, log.size, opened=True))


def both_true(story: Story) -> Evidence:
    story.request()
    words = story.commit(story.recipient)
    return TwoWords(first=words, second=words)


CASES = (
    ("two roots at one size", "JUDGE-3", two_words),
    ("two leaves at one index", "JUDGE-4", forked),
    ("access after a revocation", "JUDGE-6", after_end),
    ("access after a withdrawal", "JUDGE-6", after_withdrawal),
    ("access to what was not seen", "JUDGE-6", not_seen),
    ("access to what is no grant", "JUDGE-6", no_grant),
    ("access for another purpose", "EVIDENCE-2", other_purpose),
    ("access outside the period", "EVIDENCE-2", other_period),
    ("overspending", "JUDGE-8", overspent),
    ("words that can both be true", "JUDGE-3", both_true),
    ("an ending at another index", "JUDGE-6", too_late_to_know),
    ("an emergency", "JUDGE-7", emergency),
    ("a private part that is not the charge", "EVIDENCE-2", talkative),
)


def make() -> list[dict[str, Any]]:
    made = []
    for case, rule, misdeed in CASES:
        story = Story()
        evidence = misdeed(story)
        here = court(story)
        said = judge(evidence, here, story.tip.clock_ms)
        verdict: dict[str, Any] = (
            {"guilty": said.side, "charge": int(said.charge), "waits": said.waits}
            if isinstance(said, Guilty)
            else {"fault": int(said.fault)}
        )
        made.append(
            {
                "case": case,
                "rule": rule,
                "chain": here.chain.hex(),
                "channel": encode(here.channel).hex(),
                "hospitals": [encode(hospital).hex() for hospital in here.hospitals],
                "key_window_ms": here.key_window_ms,
                "clock_ms": story.tip.clock_ms,
                "evidence": encode(evidence).hex(),
                "verdict": verdict,
            }
        )
    return made


if __name__ == "__main__":
    FILE.write_text(json.dumps(make(), indent=1) + "\n")
