"""Every charge once: what the offender does, and what shows it. For properties, vectors and measurements.

`MISDEEDS` are judged by evidence alone, and the offender is the recipient of the story. `PLAYS` are whole quarrels on
the chain, of every charge and every answer to one; each ends before what decides it.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from l1.ground.signing import PrivateKey
from l1.rules.commitment import Signed
from l1.rules.evidence import Evidence, Overspent, TwoWords
from l1.rules.judge import Guilty, Unproven, judge
from l1.rules.log.entries import Revoke
from l1.rules.log.marks import Void
from l1.rules.shown import Court
from l1.rules.transactions import Action, Challenge, Close, Demand, Ended, Report, ResumeChannel, Reveal, Secret
from l2.protocol.evidence import build_demand, build_ended, build_fork, show
from tests.stories.world import Story, secret_of

Misdeed = Callable[[Story], Evidence]


def court(story: Story) -> Court:
    hospitals = (story.hospital(story.side(0)), story.hospital(story.side(1)))
    return Court(story.chain, story.channel(story.id), hospitals, story.draft.get_parameters().key_window_ms)


def verdict(story: Story, evidence: Evidence) -> Guilty | Unproven:
    return judge(evidence, court(story), story.tip.clock_ms)


# -- every charge, once -----------------------------------------------------------------------------------------


def two_words(story: Story) -> Evidence:
    first, second = story.two_roots(story.recipient)
    return TwoWords(first=first, second=second)


def forked(story: Story) -> Evidence:
    story.request()
    fork = story.logs[story.recipient].copy()
    story.access(1)
    fork.append(Revoke(time=2, grant=0), None)
    held, other = story.commit(story.recipient), story.commit(story.recipient, fork)
    at = fork.size - 1
    return build_fork((held, other), at, story.logs[story.recipient], show(fork, at, fork.size))


def after_end(story: Story) -> Evidence:
    grant = story.granted()
    ending = story.revoke(grant)
    story.see(story.recipient)
    return story.charged(story.access(grant), Void.ENDED, ending)


def after_withdrawal(story: Story) -> Evidence:
    consent = story.consent()
    grant = story.grant(consent=consent)
    ending = story.withdraw(consent)
    story.see(story.recipient)
    return story.charged(story.access(grant), Void.CONSENT_WITHDRAWN, ending)


def not_seen(story: Story) -> Evidence:
    return story.charged(story.access(99), Void.NOT_SEEN)


def no_grant(story: Story) -> Evidence:
    consent = story.consent()
    story.see(story.recipient)
    return story.charged(story.access(consent), Void.NO_SUCH_ENTRY)


def other_purpose(story: Story) -> Evidence:
    return story.charged(story.access(story.granted(), purpose=5), Void.PURPOSE)


def other_period(story: Story) -> Evidence:
    return story.charged(story.access(story.granted(until_ms=7)), Void.PERIOD)


def overspent(story: Story) -> Evidence:
    story.consent()
    story.see(story.recipient)
    return Overspent(commitment=story.commit(story.recipient, spent=5_000), peer=story.commit(story.custodian))


MISDEEDS: tuple[Misdeed, ...] = (
    two_words, forked, after_end, after_withdrawal, not_seen, no_grant, other_purpose, other_period, overspent,
)  # fmt: skip


# -- what decides a quarrel: who asks the chain for what ----------------------------------------------------------


class Deed(NamedTuple):
    """What a key asks of the chain; the chain takes it."""

    key: PrivateKey
    action: Action


Play = Callable[[Story], Deed]


def _key(story: Story, side: int) -> PrivateKey:
    return story.side(side).channel


def stale_close(story: Story) -> Deed:
    """The recipient closes with words from before its payment."""
    grant = story.granted(fee=200)
    yesterday = story.commit(story.recipient)
    story.pay(grant, 200)
    today = story.commit(story.recipient)
    story.close(story.recipient, yesterday, story.commit(story.custodian))
    return Deed(_key(story, story.custodian), Challenge(channel=story.id, side=story.recipient, commitment=today))


def second_close(story: Story) -> Deed:
    """As before, and the custodian shows it by closing too."""
    challenge = stale_close(story).action
    assert isinstance(challenge, Challenge)
    action = Close(channel=story.id, own=None, peer=challenge.commitment, lost=False)
    return Deed(_key(story, story.custodian), action)


def _restored(story: Story) -> tuple[Signed, Signed, ResumeChannel]:
    """Two roots that the recipient signed, and the custodian's later word that it holds neither."""
    first, second = story.two_roots(story.recipient)
    story.wait(1)
    return first, second, ResumeChannel(channel=story.id, resume=story.resumes(story.recipient, 0))


def lying_report(story: Story) -> Deed:
    """The custodian reports by its own key what its resume denies; then the resume is shown."""
    first, second, resume = _restored(story)
    story.report(TwoWords(first=first, second=second), by=_key(story, story.custodian))
    return Deed(_key(story, story.recipient), resume)


def lying_challenge(story: Story) -> Deed:
    """The custodian shows by its own key what its resume, which stands on the chain, denies."""
    first, _, resume = _restored(story)
    story.do(_key(story, story.recipient), resume)
    story.close(story.recipient, None, None)
    return Deed(_key(story, story.custodian), Challenge(channel=story.id, side=story.recipient, commitment=first))


def clearing_resume(story: Story) -> Deed:
    """A stranger reported a recipient that was restored from a backup; the resume clears it."""
    first, second, resume = _restored(story)
    story.report(TwoWords(first=first, second=second))
    return Deed(_key(story, story.recipient), resume)


def demanded(story: Story, *, fee: int = 50) -> Deed:
    """The recipient paid, and asks on the chain for the release."""
    grant = story.granted(fee=fee)
    granted = story.commit(story.custodian)
    if fee:
        story.pay(grant, fee)
    receipt = story.receipt(grant)
    demand = build_demand(story.id, story.logs, story.commit(story.recipient), granted, receipt)
    return Deed(_key(story, story.recipient), demand)


def demanded_free(story: Story) -> Deed:
    return demanded(story, fee=0)


def _answered(story: Story, answer: Callable[[int], Secret | Ended]) -> Deed:
    asked = demanded(story)
    story.do(*asked)
    assert isinstance(asked.action, Demand)
    grant = asked.action.grant.index
    action = Reveal(channel=story.id, side=story.custodian, grant=grant, answer=answer(grant))
    return Deed(_key(story, story.custodian), action)


def revealed(story: Story) -> Deed:
    return _answered(story, lambda grant: Secret(secret=secret_of(grant)))


def revoked_instead(story: Story) -> Deed:
    return _answered(story, lambda grant: _ended(story, story.revoke(grant)))


def withdrawn_instead(story: Story) -> Deed:
    return _answered(story, lambda grant: _ended(story, story.withdraw(grant - 1)))


def _ended(story: Story, ending: int) -> Ended:
    return build_ended(story.logs[story.custodian], story.commit(story.custodian), ending)


def reported(misdeed: Misdeed) -> Play:
    """The misdeed, reported to the chain by a stranger."""

    def play(story: Story) -> Deed:
        return Deed(story.registrar, Report(channel=story.id, evidence=misdeed(story)))

    play.__name__ = misdeed.__name__
    return play


PLAYS: tuple[Play, ...] = (
    *(reported(misdeed) for misdeed in MISDEEDS), stale_close, second_close, lying_report, lying_challenge,
    clearing_resume, demanded, demanded_free, revealed, revoked_instead, withdrawn_instead,
)  # fmt: skip


@cache
def done(misdeed: Misdeed) -> tuple[Story, Evidence]:
    story = Story()
    return story, misdeed(story)


@cache
def played(play: Play) -> tuple[Story, Deed]:
    """The story up to what decides it, and that: the chain would take it now."""
    story = Story()
    return story, play(story)
