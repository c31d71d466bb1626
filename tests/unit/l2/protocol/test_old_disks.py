"""Disks that go back in time one after the other: each alone was made good, and still neither peer is to blame."""

import pytest
from msgspec.structs import replace

from l1.ground.faults import Fault, LocalError
from l1.ground.hashing import digest
from l1.rules import state as l1_state
from l1.rules.commitment import Head
from l1.rules.transactions import Close
from l2.protocol.channel import new_rows
from l2.protocol.events import AskClose, BlockSeen, Froze, Submit
from l2.protocol.journal import Reason, read_journal
from l2.protocol.limits import STALE_MS
from tests.unit.l2.protocol.stories import consent, consent_terms, granted, request, request_terms
from tests.unit.l2.protocol.world import OPENING, MemoryRows, Pair


def blamed(pair: Pair) -> list[Froze]:
    return [effect for side in (0, 1) for effect in pair.effects[side] if isinstance(effect, Froze)]


def promised() -> tuple[Pair, MemoryRows, MemoryRows]:
    """Side 1 lost everything, and promised side 0 to refuse what it had signed before. Then all was made good.

    Returns side 0's disk as it was before the promise, and side 1's as it was right after it.
    """
    pair = Pair()
    for _ in range(3):
        granted(pair)
    before = pair.stores[0].copy()
    pair.crash(1, MemoryRows(new_rows(OPENING, 1)))
    pair.crash(0)
    pair.connect()
    pair.block()
    pair.block()
    while not pair.channels[1].row.peer_floor:
        pair.deliver(0, 1)
        pair.deliver(1, 1)
    after = pair.stores[1].copy()
    pair.calm()
    pair.check()
    return pair, before, after


def test_a_promise_that_only_its_giver_remembers_is_met() -> None:
    """What came after the promise is forgotten, and so is the promise by the one who got it."""
    pair, before, after = promised()
    pair.restart(0, before)
    pair.restart(1, after)
    assert not blamed(pair)
    pair.check()


def test_a_promise_that_both_remember_is_met() -> None:
    pair, _, after = promised()
    pair.restart(1, after)
    assert not blamed(pair)
    pair.check()


def test_heights_do_not_fall_behind_what_was_signed_anew() -> None:
    pair, before, after = promised()
    pair.restart(0, before)
    for _ in range(3):
        granted(pair)
    pair.restart(1, after)
    assert not blamed(pair)
    pair.check()


def test_copies_come_back_at_any_time() -> None:
    """One disk is restored from every copy in turn, each time after all was made good."""
    pair = Pair()
    copies: tuple[list[MemoryRows], list[MemoryRows]] = ([], [])
    for _ in range(4):
        granted(pair)
        for side in (0, 1):
            copies[side].append(pair.stores[side].copy())
            pair.restart(side, copies[side][0].copy())
            copies[side].append(pair.stores[side].copy())
    for first, second in zip(*copies, strict=True):
        pair.restart(0, first.copy())
        pair.restart(1, second.copy())
        assert not blamed(pair)
        pair.check()


def lost_words() -> tuple[Pair, MemoryRows]:
    """Side 0 wrote what its peer never heard, lost it, and wrote something else: the pair, and the copy from before."""
    pair = Pair()
    granted(pair)
    short = pair.stores[0].copy()
    pair.append(0, [consent(2)] * 3, [consent_terms()] * 3)
    pair.inboxes[1].clear()
    copy = pair.stores[0].copy()
    pair.restart(0, short)
    return pair, copy


@pytest.mark.parametrize("others", [1, 3, 5])
def test_a_copy_from_before_a_loss_blames_nobody_and_signs_nothing(others: int) -> None:
    pair, copy = lost_words()
    pair.append(0, [request(5)] * others, [request_terms()] * others)
    pair.settle()
    granted(pair)
    pair.restart(0, copy)
    assert not blamed(pair)
    assert pair.channels[0].doubtful
    assert not pair.channels[0].resumed
    assert read_journal(pair.stores[0])[-1].reason == Reason.DOUBT
    pair.restart(0, MemoryRows(new_rows(OPENING, 0)))
    assert pair.channels[0].resumed
    assert not blamed(pair)
    pair.check()


def lied_to() -> Pair:
    """Side 0 runs on a copy, and its peer names exactly what the copy holds, though it holds more."""
    pair = Pair()
    granted(pair)
    copies = [store.copy() for store in pair.stores]
    pair.append(0, [consent(2)], [consent_terms()])
    pair.settle()
    pair.crash(1, copies[1])  # the liar has not forgotten: it only says so
    pair.crash(0, copies[0])
    pair.channels[0].is_copy = pair.channels[1].resumed = True
    pair.connect()
    for _ in range(3):
        pair.settle()
        pair.height += 1
        for side in (1, 0):
            pair.do(side, BlockSeen(height=pair.height, clock_ms=pair.now_ms, row=None))
    pair.settle()
    return pair


def test_on_a_copy_nothing_is_signed_before_the_chain_holds_the_resume() -> None:
    pair = lied_to()
    assert pair.shown[0] is not None
    assert not pair.channels[0].may_sign()
    pair.append(0, [consent(3)], [consent_terms()])
    assert not pair.inboxes[1], "nothing is said either"
    pair.block()
    assert pair.channels[0].may_sign()
    assert pair.inboxes[1], "what waited is written now"


@pytest.mark.parametrize(("age_ms", "is_copy"), [(STALE_MS, False), (STALE_MS + 1, True)])
def test_rows_that_are_minutes_old_are_a_copys_though_nothing_marks_them(age_ms: int, is_copy: bool) -> None:
    """[START-9] A snapshot of the machine knows of no backup."""
    pair = Pair()
    granted(pair)
    pair.restart(0)
    assert not pair.channels[0].is_copy
    snapshot = pair.stores[0].copy()
    pair.now_ms += age_ms
    pair.crash(0, snapshot)
    pair.connect()
    for _ in range(3):
        pair.settle()
        pair.block()
    assert pair.channels[0].is_copy == is_copy
    assert (pair.shown[0] is not None) == is_copy
    pair.calm()
    assert pair.channels[0].may_sign()


def test_rows_stay_young_while_the_channel_can_sign_and_no_longer() -> None:
    pair = Pair()
    granted(pair)
    pair.now_ms += 10 * STALE_MS
    pair.block()
    pair.crash(0)
    pair.block()
    assert not pair.channels[0].is_copy
    pair.now_ms += STALE_MS + 1
    pair.block()
    assert pair.channels[0].is_copy, "it has not resumed since"
    pair.crash(0)
    pair.block()
    assert pair.channels[0].is_copy, "and a new process does not forget it"


def test_on_a_copy_nobody_closes_alone_with_words_that_may_be_old() -> None:
    pair = Pair()
    granted(pair)
    pair.crash(0)
    pair.channels[0].is_copy = True
    with pytest.raises(LocalError, match="--lost"):
        pair.do(0, AskClose(alone=True, lost=False))
    asked = [effect.action for effect in pair.do(0, AskClose(alone=True, lost=True)) if isinstance(effect, Submit)]
    assert [type(action) for action in asked] == [Close]


def test_on_a_copy_what_the_liar_settles_first_leaves_nothing_signed_twice() -> None:
    """It brings the words that it kept back to the chain before our `resume` stands there."""
    pair = lied_to()
    size = pair.channels[0].own.size
    row = pair.row()
    settled = l1_state.SideState(deposit=1, bond=1, settled=Head(size=size + 1, root=digest(b"kept back")))
    row = replace(row, sides=(settled, row.sides[1]))
    effects = pair.do(0, BlockSeen(height=pair.height + 1, clock_ms=pair.now_ms, row=row))
    assert [effect.fault for effect in effects if isinstance(effect, Froze)] == [Fault.BAD_RESUME]
    assert not pair.channels[0].may_sign()


def test_what_the_chain_does_not_hold_is_brought_to_it_again() -> None:
    pair = lied_to()
    asked = list[Submit]()
    for _ in range(12):
        pair.height += 1
        effects = pair.do(0, BlockSeen(height=pair.height, clock_ms=pair.now_ms, row=None))
        asked += [effect for effect in effects if isinstance(effect, Submit)]
    assert len(asked) == 1
