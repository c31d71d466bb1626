"""What must hold of every verdict: evidence cannot be bent, parties are alike, and whoever was honest is safe."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from l1.ground.codec import encode
from l1.ground.faults import Refused
from l1.rules.evidence import Evidence, Overspent, TwoWords, decode_evidence
from l1.rules.judge import Guilty, Unproven, judge
from l1.rules.log.entries import Revoke
from l1.rules.log.marks import Void
from l1.rules.shown import Court
from l1.rules.transactions import Demand, Report, Reveal, Secret
from l2.protocol.evidence import build_demand, build_fork, show
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


@cache
def done(misdeed: Misdeed) -> tuple[Story, Evidence]:
    story = Story()
    return story, misdeed(story)


@pytest.mark.parametrize("misdeed", MISDEEDS)
def test_swapping_the_parties_swaps_the_verdict_and_nothing_else(misdeed: Misdeed) -> None:
    found = []
    for custodian in (0, 1):
        story = Story(custodian=custodian, deposits=(700, 700))
        evidence = misdeed(story)
        said = verdict(story, evidence)
        assert isinstance(said, Guilty), said
        story.report(evidence)
        story.window_passes()
        if said.waits:
            story.settle()
        gained = story.gained()
        found.append((said.side == story.recipient, said.charge, said.waits, gained[custodian]))
    assert found[0] == found[1]
    assert found[0][3] == 100


@pytest.mark.parametrize("misdeed", MISDEEDS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_no_bit_of_evidence_can_change(misdeed: Misdeed, data: st.DataObject) -> None:
    story, evidence = done(misdeed)
    bent = bytearray(encode(evidence))
    bit = data.draw(st.integers(0, len(bent) * 8 - 1))
    bent[bit // 8] ^= 1 << bit % 8
    try:
        changed = decode_evidence(bytes(bent))
    except Refused:
        return
    assert isinstance(verdict(story, changed), Unproven)


def test_no_bit_of_the_smallest_evidence_can_change_at_all() -> None:
    story, evidence = done(two_words)
    good = encode(evidence)
    for bit in range(len(good) * 8):
        bent = bytearray(good)
        bent[bit // 8] ^= 1 << bit % 8
        try:
            changed = decode_evidence(bytes(bent))
        except Refused:
            continue
        assert isinstance(verdict(story, changed), Unproven)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_no_bit_of_a_demand_or_its_answer_can_change(data: st.DataObject) -> None:
    story, actions = demanded()
    which = data.draw(st.integers(0, 1))
    good = encode(actions[which])
    bit = data.draw(st.integers(0, len(good) * 8 - 1))
    bent = bytearray(good)
    bent[bit // 8] ^= 1 << bit % 8
    from msgspec import DecodeError
    from msgspec.msgpack import decode

    try:
        changed = decode(bytes(bent), type=type(actions[which]))
    except DecodeError:
        return
    if encode(changed) != bytes(bent):
        return
    story.refused(changed, by=story.b.root if which == 0 else None)


@cache
def demanded() -> tuple[Story, tuple[Demand, Reveal]]:
    story = Story()
    first, second = story.grant(consent=story.consent(), fee=5), story.grant(consent=0)
    story.see(1)
    story.pay(first, 5)
    receipts = (story.receipt(first), story.receipt(second))
    words = (story.commit(1), story.commit(0))
    demands = [build_demand(story.id, story.logs, *words, receipt) for receipt in receipts]
    story.do(story.b.root, demands[1])
    return story, (demands[0], Reveal(channel=story.id, side=0, grant=second, answer=Secret(secret=secret_of(second))))


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_whatever_decodes_gets_a_verdict(data: st.DataObject) -> None:
    """Fields of one piece of evidence in the place of another's, and many bits at once."""
    story, one = done(data.draw(st.sampled_from(MISDEEDS)))
    _, another = done(data.draw(st.sampled_from(MISDEEDS)))
    fields: dict[str, Any] = {}
    for name in one.__struct_fields__:
        donors = [getattr(another, other) for other in another.__struct_fields__]
        alike = [value for value in donors if type(value) is type(getattr(one, name))]
        chosen: Any = data.draw(st.sampled_from([None, *alike]))
        fields |= {} if chosen is None else {name: chosen}
    mixed = encode(replace(one, **fields))
    bent = bytearray(mixed)
    for at in data.draw(st.lists(st.integers(0, len(bent) - 1), max_size=3)):
        bent[at] = data.draw(st.integers(0, 255))
    try:
        evidence = decode_evidence(bytes(bent))
    except Refused:
        return
    assert isinstance(verdict(story, evidence), Guilty | Unproven)


@given(chosen=st.lists(st.sampled_from(MISDEEDS), min_size=1, max_size=4), extra=st.data())
@settings(max_examples=40, deadline=None)
def test_more_evidence_never_helps_the_guilty(chosen: list[Misdeed], extra: st.DataObject) -> None:
    """With more reports, in whatever order, as many are guilty as with fewer, and they own no more."""
    few, many = Story(), Story()
    marked = [(misdeed, extra.draw(st.booleans())) for misdeed in chosen]
    for misdeed, told in marked:
        for story, wanted in ((few, told), (many, True)):
            evidence = misdeed(story)
            if wanted:
                _try_report(story, evidence)
    for story in (few, many):
        story.window_passes()
        if story.channel(story.id).claims:
            story.settle()
    assert bool(few.guilty()[1]) <= bool(many.guilty()[1])
    assert few.guilty()[0] == many.guilty()[0] == 0
    assert many.gained()[1] <= few.gained()[1]


def _try_report(story: Story, evidence: Evidence) -> None:
    story.try_do(story.registrar, Report(channel=story.id, evidence=evidence))
