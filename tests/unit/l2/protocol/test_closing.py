"""How a channel ends: together, alone, lost; what is challenged; and that every phase can end."""

import pytest
from msgspec.structs import replace

from l1.ground.faults import LocalError
from l1.ground.hashing import digest
from l1.ground.merkle import EMPTY_ROOT
from l1.ground.signing import Context
from l1.rules import state as l1_state
from l1.rules.commitment import Head, decode_commitment, open_closing
from l1.rules.transactions import Action, Challenge, Checkpoint, Close, CloseTogether, Settle
from l2.protocol.events import AskCheckpoint, AskClose, BlockSeen, Declined, MessageReceived, Submit, Written
from l2.protocol.limits import BATCH_ENTRIES_AIM, WINDOW_BATCHES
from l2.protocol.messages import Message
from l2.protocol.phases import PHASES, Cue, Phase, advance
from tests.unit.l2.protocol.stories import CONSENTED, access, access_terms, granted, request, request_terms, write
from tests.unit.l2.protocol.world import CHAIN, KEYS, NOW_MS, OPENING, Pair


def submitted(pair: Pair, side: int) -> list[Action]:
    return [effect.action for effect in pair.effects[side] if isinstance(effect, Submit)]


def check_together(pair: Pair) -> CloseTogether:
    """Both ask the chain for the same close, which both signed."""
    first, second = submitted(pair, 0)[-1], submitted(pair, 1)[-1]
    assert isinstance(first, CloseTogether)
    assert first == second
    for side in (0, 1):
        key = KEYS[side].public_key
        open_closing(first.closings[side], Context(chain=CHAIN, channel=first.channel), key, first.finals)
    return first


def close(*, alone: bool = False, lost: bool = False) -> AskClose:
    return AskClose(alone=alone, lost=lost)


def test_together_with_empty_logs() -> None:
    pair = Pair()
    pair.do(0, close())
    pair.settle()
    finals = [decode_commitment(final.body) for final in check_together(pair).finals]
    assert [(final.size, final.root, final.spent) for final in finals] == [(0, EMPTY_ROOT, 0)] * 2


def test_together_with_entries_under_way() -> None:
    pair = Pair()
    granted(pair)
    pair.append(1, [request(5)], [request_terms()])
    pair.do(0, close())
    pair.settle()
    finals = [decode_commitment(final.body) for final in check_together(pair).finals]
    assert [final.size for final in finals] == [pair.channels[side].own.size for side in (0, 1)]
    pair.check()


def test_both_ask_at_once() -> None:
    pair = Pair()
    for side in (0, 1):
        pair.append(side, [request(side)], [request_terms()])
        pair.do(side, close())
    pair.settle()
    check_together(pair)
    pair.check()


def test_a_full_queue_does_not_keep_a_peer_from_closing() -> None:
    """Who closes answers no more, so what waits for room would wait for ever: it is declined."""
    pair = Pair()
    index = granted(pair)
    many = BATCH_ENTRIES_AIM * (WINDOW_BATCHES + 4)
    pair.append(1, [access(index, 3)] * many, [access_terms()] * many)
    pair.do(0, close())
    pair.settle()
    check_together(pair)
    told = [effect for effect in pair.effects[1] if isinstance(effect, (Written, Declined))]
    assert isinstance(told[-1], Declined)
    pair.check()


def test_the_last_word_comes_after_all_that_is_lacking() -> None:
    """[END-5] More than one step can send again: said at once, the last word would name a head not held yet."""
    pair = Pair()
    for at in range(12):
        pair.append(1, [request(at)], [request_terms()])
    pair.do(0, close())
    pair.deliver(1)
    assert pair.channels[1].phase is Phase.CLOSING
    pair.cut()
    pair.calm()
    check_together(pair)
    pair.check()


def test_who_closed_signs_nothing_any_more() -> None:
    pair = Pair()
    pair.do(0, close())
    size = pair.channels[0].own.size
    pair.append(0, [CONSENTED[0]], [CONSENTED[1]])
    pair.settle()
    assert pair.channels[0].own.size == size


def test_a_side_that_forgot_that_it_closed_is_told_before_it_may_sign() -> None:
    """[END-6] Its older self has agreed already; one more commitment would be lost to the close."""
    pair = Pair()
    write(pair, 0, *CONSENTED)
    older = pair.stores[0].copy()
    pair.do(0, close())
    pair.settle()
    pair.crash(0, older)
    pair.append(0, [CONSENTED[0]], [CONSENTED[1]])
    pair.calm()
    assert pair.channels[0].own.size == pair.channels[1].peer.size
    assert pair.channels[0].phase is Phase.CLOSING
    check_together(pair)


def test_together_needs_a_peer() -> None:
    pair = Pair()
    pair.cut()
    with pytest.raises(LocalError, match="not connected"):
        pair.do(0, close())
    assert pair.channels[0].phase is Phase.OPEN


def test_alone_posts_the_newest_pair() -> None:
    pair = Pair()
    granted(pair)
    pair.cut()
    pair.do(0, close(alone=True))
    posted = submitted(pair, 0)[-1]
    assert isinstance(posted, Close)
    assert (posted.own, posted.peer) == (pair.channels[0].own.signed, pair.channels[0].peer.signed)
    assert pair.channels[0].phase is Phase.CLOSING
    pair.crash(0)
    assert pair.channels[0].phase is Phase.CLOSING


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("frozen", [False, True])
def test_a_close_that_a_crash_kept_from_the_chain_is_posted_by_the_next_process(*, lost: bool, frozen: bool) -> None:
    pair = Pair()
    granted(pair)
    if frozen:
        pair.do(0, MessageReceived(Message.BATCH, b"rubbish"))
        assert pair.channels[0].phase is Phase.FROZEN
    pair.do(0, close(alone=True, lost=lost))
    decided = submitted(pair, 0)[-1]
    assert posted_again(pair) == [], "this process is still asking"
    pair.crash(0)
    assert posted_again(pair) == [decided]
    assert posted_again(pair) == [], "once for each process"
    pair.crash(0)
    assert posted_again(pair, closing_row(pair, posted=0)) == [], "the chain has one"


def posted_again(pair: Pair, row: l1_state.Channel | None = None) -> list[Action]:
    """The closes that side 0 brings to the chain when it shows the channel open, or as `row`."""
    row = replace(closing_row(pair, posted=0), phase=l1_state.Phase.OPEN, closer=None) if row is None else row
    pair.height += 1
    effects = pair.do(0, BlockSeen(height=pair.height, clock_ms=NOW_MS, row=row))
    return [effect.action for effect in effects if isinstance(effect, Submit) and isinstance(effect.action, Close)]


def test_a_close_together_that_a_crash_kept_from_the_chain_is_agreed_on_again() -> None:
    pair = Pair()
    granted(pair)
    pair.do(0, close())
    pair.settle()
    together = check_together(pair)
    for side in (0, 1):
        pair.effects[side].clear()
        pair.restart(side)
        assert submitted(pair, side)[-1] == together
    pair.check()


def test_lost_posts_nothing_of_its_own() -> None:
    pair = Pair()
    granted(pair)
    pair.do(0, close(alone=True, lost=True))
    posted = submitted(pair, 0)[-1]
    assert isinstance(posted, Close)
    assert posted.own is None
    assert posted.lost


def test_a_disk_that_knows_less_than_a_checkpoint_closes_on_the_checkpoint() -> None:
    """The chain would refuse to go back."""
    pair = Pair()
    write(pair, 0, *CONSENTED)
    write(pair, 1, request(), request_terms())
    first, second = (l1_state.SideState(deposit=1_000, bond=500, settled=Head(size=99, root=bytes(32))) for _ in "ab")
    row = l1_state.Channel(
        id=pair.channels[0].id,
        opening=OPENING,
        opened_at=1,
        opened_at_ms=0,
        phase=l1_state.Phase.OPEN,
        sides=(first, second),
    )
    pair.do(0, BlockSeen(height=2, clock_ms=NOW_MS, row=row))
    pair.do(0, close(alone=True, lost=True))
    posted = submitted(pair, 0)[-1]
    assert isinstance(posted, Close)
    assert posted.peer is None


def closing_row(pair: Pair, *, posted: int, closes_at_ms: int = NOW_MS + 60_000) -> l1_state.Channel:
    """Side 0 closed alone with its commitment of so many entries."""
    sides = (
        l1_state.SideState(deposit=1_000, bond=500, posted=Head(size=posted, root=digest(b"posted"))),
        l1_state.SideState(deposit=1_000, bond=500),
    )
    return l1_state.Channel(
        id=pair.channels[0].id,
        opening=OPENING,
        opened_at=1,
        opened_at_ms=0,
        phase=l1_state.Phase.CLOSING,
        sides=sides,
        closer=0,
        closes_at_ms=closes_at_ms,
        closed_size=posted,
    )


def test_a_stale_close_is_challenged_once() -> None:
    pair = Pair()
    granted(pair)
    row = closing_row(pair, posted=1)
    for _ in range(2):
        pair.do(1, BlockSeen(height=5, clock_ms=NOW_MS, row=row))
    challenges = [action for action in submitted(pair, 1) if isinstance(action, Challenge)]
    assert [(each.side, each.commitment) for each in challenges] == [(0, pair.channels[1].peer.signed)]
    assert pair.channels[1].phase is Phase.ON_CHAIN


def test_a_close_with_the_newest_is_left_alone() -> None:
    pair = Pair()
    granted(pair)
    row = closing_row(pair, posted=pair.channels[1].peer.size)
    pair.do(1, BlockSeen(height=5, clock_ms=NOW_MS, row=row))
    assert not submitted(pair, 1)


def test_a_process_that_starts_late_challenges_too() -> None:
    pair = Pair()
    granted(pair)
    pair.crash(1)
    pair.do(1, BlockSeen(height=5, clock_ms=NOW_MS, row=closing_row(pair, posted=1)))
    assert any(isinstance(action, Challenge) for action in submitted(pair, 1))


def test_settled_once_the_window_is_over_on_the_chain_clock() -> None:
    pair = Pair()
    row = closing_row(pair, posted=0)
    pair.do(1, BlockSeen(height=5, clock_ms=row.closes_at_ms - 1, row=row))
    assert not submitted(pair, 1)
    for _ in range(2):
        pair.do(1, BlockSeen(height=6, clock_ms=row.closes_at_ms, row=row))
    assert [type(action) for action in submitted(pair, 1)] == [Settle]


def test_a_checkpoint_shows_heads_that_both_signed() -> None:
    pair = Pair()
    with pytest.raises(LocalError):
        pair.do(0, AskCheckpoint())
    granted(pair)
    pair.append(1, [request(5)], [request_terms()])
    pair.settle()
    pair.do(0, AskCheckpoint())
    shown = submitted(pair, 0)[-1]
    assert isinstance(shown, Checkpoint)
    commitments = [decode_commitment(signed.body) for signed in shown.heads[0].commitments]
    for side in (0, 1):
        seen = {each.seen for each in commitments if each.side != side}
        assert any(each.head in seen for each in commitments if each.side == side)


def test_every_phase_takes_every_cue_and_can_end() -> None:
    assert set(PHASES) == set(Phase)
    for phase in Phase:
        assert set(PHASES[phase]) == set(Cue)
        assert advance(phase, Cue.PAID_OUT) is Phase.SETTLED
        assert advance(Phase.SETTLED, Cue(1)) is Phase.SETTLED


def test_no_phase_leads_back_to_open() -> None:
    """Whoever may not sign any more never may again."""
    for phase in Phase:
        for cue in Cue:
            assert phase is Phase.OPEN or advance(phase, cue) is not Phase.OPEN
