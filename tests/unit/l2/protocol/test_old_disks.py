"""Disks that go back in time one after the other: each alone was made good, and still neither peer is to blame."""

import pytest

from l2.protocol.channel import new_rows
from l2.protocol.events import Froze
from l2.protocol.journal import Reason, read_journal
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
