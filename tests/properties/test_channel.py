"""Two hospitals, cuts, crashes and old disks in any order: nobody signs two things, nothing acknowledged is lost, no
honest peer is blamed, and in calm weather everything arrives."""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from l1.ground.faults import LocalError
from l1.rules.commitment import decode_commitment
from l1.rules.log.entries import (
    AccessTerms,
    Deny,
    DenyTerms,
    Entry,
    Pay,
    Receipt,
    Release,
    Review,
    ReviewTerms,
    Revoke,
    Terms,
    Withdraw,
)
from l2.protocol.channel import Channel, commitment_at, new_rows, own_head
from l2.protocol.events import Acknowledged, AskClose, BlockSeen, Froze, Submit
from l2.protocol.phases import Phase
from tests.unit.l2.protocol.stories import (
    SECRET,
    access,
    access_terms,
    consent,
    consent_terms,
    grant,
    grant_terms,
    request,
    request_terms,
)
from tests.unit.l2.protocol.world import NOW_MS, OPENING, MemoryRows, Pair

SIDES = st.integers(0, 1)
INDEX = st.integers(0, 12)
LATER_MS = 80 * 3_600_000  # beyond the life of a request


def _entries(index: int, number: int, at: int) -> list[tuple[list[Entry], list[Terms]]]:
    time = NOW_MS + at
    return [
        ([consent(at)], [consent_terms()]),
        ([Withdraw(time=time, consent=index)], []),
        ([request(at, emergency=number % 2 == 0)], [request_terms()]),
        ([grant(at, consent=index, fee=number % 3)], [grant_terms()]),
        ([grant(at, basis=1, consent=None, request=index, fee=number % 3)], [grant_terms()]),
        ([Deny(time=time, request=index)], [DenyTerms(reason=1)]),
        ([Revoke(time=time, grant=index)], []),
        ([Receipt(time=time, grant=index)], []),
        ([Pay(time=time, amount=number % 3, grant=index), Receipt(time=time, grant=index)], []),
        ([Pay(time=time, amount=number % 3, grant=index)], []),
        ([Release(time=time, grant=index, secret=SECRET)], []),
        ([access(index, at)], [access_terms()]),
        ([access(index, at)] * 3, [AccessTerms(practitioner=b"p" * 16, role=1, purpose=number % 2)] * 3),
        ([Review(time=time, request=index)], [ReviewTerms(reviewer=b"r" * 16, justified=True)]),
    ]


class Storm(RuleBasedStateMachine):
    """At most one disk is behind at a time: what two hospitals both forgot, nobody knows."""

    both_may_forget = False

    def __init__(self) -> None:
        super().__init__()
        self.pair = Pair()
        self.copies: tuple[list[MemoryRows], list[MemoryRows]] = ([], [])
        self.is_behind = [False, False]
        self.acknowledged: list[tuple[int, bytes]] = [(0, b""), (0, b"")]
        self.heard = [0, 0]
        self.at = 0

    # -- what hospitals do ------------------------------------------------------------------------------------------

    @rule(side=SIDES, index=INDEX, number=st.integers(0, 5), kind=st.integers(0, 13))
    def append(self, side: int, index: int, number: int, kind: int) -> None:
        self.at += 1
        entries, terms = _entries(index, number, self.at)[kind]
        self.pair.append(side, entries, terms)

    @rule(side=SIDES, really=st.sampled_from([False] * 9 + [True]))
    def ask_to_close(self, side: int, *, really: bool) -> None:
        if really:
            try:
                self.pair.do(side, AskClose(alone=False, lost=False))
            except LocalError:
                return

    # -- what happens to them ---------------------------------------------------------------------------------------

    @rule(side=SIDES, count=st.integers(1, 4))
    def deliver(self, side: int, count: int) -> None:
        self.pair.deliver(side, count)

    @rule()
    def cut(self) -> None:
        self.pair.cut()

    @rule()
    def connect(self) -> None:
        self.pair.connect()

    @rule(sides=st.sampled_from([(0,), (1,), (0, 1)]))
    def block(self, sides: tuple[int, ...]) -> None:
        self.pair.height += 1
        for side in sides:
            self.pair.do(side, BlockSeen(height=self.pair.height, clock_ms=self.pair.now_ms, row=None))

    @rule(side=SIDES)
    def back_up(self, side: int) -> None:
        self.copies[side].append(self.pair.stores[side].copy())

    @rule(side=SIDES)
    def crash(self, side: int) -> None:
        self.pair.crash(side)

    @precondition(lambda self: self.copies[0] or self.copies[1])
    @rule(data=st.data())
    def crash_and_restore(self, data: Any) -> None:
        side = data.draw(st.sampled_from([side for side in (0, 1) if self.copies[side]]))
        if self.is_behind[1 - side] and not self.both_may_forget:
            return
        copies = self.copies[side]
        at = data.draw(st.integers(0, len(copies) - 1))
        self.pair.crash(side, copies[at].copy())
        self.is_behind[side] = True

    @rule()
    def days_pass(self) -> None:
        self.at += LATER_MS
        self.pair.now_ms += LATER_MS

    @rule()
    def calm(self) -> None:
        """Everything arrives, and both are where they should be."""
        self.pair.calm()
        for side in (0, 1):
            if self.pair.channels[side].doubtful:  # an old copy, from before a loss: its operator asks the peer
                self.pair.restart(side, MemoryRows(new_rows(OPENING, side)))
        self.is_behind = [False, False]
        self.pair.check()
        for side in (0, 1):
            channel = self.pair.channels[side]
            assert channel.phase is not Phase.FROZEN, channel.row.reason
            assert channel.resumed or channel.phase is not Phase.OPEN
            assert not channel.queue
            if channel.phase is Phase.OPEN:
                assert not channel.under_way
                assert not channel.close_wanted
            else:
                assert any(isinstance(effect, Submit) for effect in self.pair.effects[side]), "never agreed to close"

    # -- what must hold at every moment -----------------------------------------------------------------------------

    @invariant()
    def nobody_blames_an_honest_peer(self) -> None:
        for side in (0, 1):
            faults = [effect for effect in self.pair.effects[side] if isinstance(effect, Froze)]
            assert not faults, faults

    @invariant()
    def nobody_signs_two_things(self) -> None:
        self.pair.words.check()

    @invariant()
    def acknowledged_is_never_lost(self) -> None:
        for side in (0, 1):
            effects = self.pair.effects[side]
            for effect in effects[self.heard[side] :]:
                if isinstance(effect, Acknowledged) and effect.size > self.acknowledged[side][0]:
                    self.acknowledged[side] = (effect.size, own_head(self.pair.channels[side], effect.size)[0])
            self.heard[side] = len(effects)
            size, root = self.acknowledged[side]
            holders = [each for each in self.pair.channels if each.heads[side].size >= size]
            assert self.both_may_forget or holders, "what was acknowledged is lost"
            for channel in holders if size else ():
                assert _root_at(channel, side, size) == root or self.both_may_forget

    def teardown(self) -> None:
        self.calm()


def _root_at(channel: Channel, side: int, size: int) -> bytes:
    signed = commitment_at(channel, side, size)
    assert signed is not None, "an acknowledged head is a batch's end"
    return decode_commitment(signed.body).root


Storm.TestCase.settings = settings(
    max_examples=120,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestStorm = Storm.TestCase


class Oblivion(Storm):
    """Both disks may be behind at once. What both forgot is gone; still nobody signs two things or blames the other."""

    both_may_forget = True


Oblivion.TestCase.settings = Storm.TestCase.settings
TestOblivion = Oblivion.TestCase
