"""[START-10] A disk goes back to before a `resume` that was given from it; the peer has kept that, and may be honest or
not. [START-2] Such a `resume` never lies ahead of the chain."""

import pytest
from msgspec.structs import replace

from l1.ground.codec import encode
from l1.ground.faults import Fault
from l1.rules import state as l1_state
from l1.rules.commitment import decode_commitment
from l1.rules.transactions import Challenge, Close
from l2.protocol.channel import new_rows
from l2.protocol.doubt import floor_of
from l2.protocol.events import (
    AskClose,
    BlockSeen,
    Connected,
    Disconnected,
    Effect,
    Froze,
    MessageReceived,
    Send,
    Submit,
    WordsSeen,
)
from l2.protocol.messages import Message, ResumeAsk, decode_reestablish, decode_resume_given
from l2.protocol.phases import Phase
from l2.protocol.rows import doubt_key
from l2.protocol.watch import is_quiet
from tests.unit.l2.protocol.mallory import Mallory
from tests.unit.l2.protocol.stories import consent, consent_terms, granted, request, request_terms
from tests.unit.l2.protocol.world import NOW_MS, OPENING, MemoryRows, Pair

BACK_AT = 20  # the height at which a process starts on the older disk


def sent(effects: list[Effect], type_: Message) -> list[bytes]:
    return [effect.payload for effect in effects if isinstance(effect, Send) and effect.type == type_]


def block(pair: Pair, side: int, height: int, row: l1_state.Channel | None = None) -> list[Effect]:
    pair.height = max(pair.height, height)
    return pair.do(side, BlockSeen(height=height, clock_ms=pair.now_ms, row=row))


def ask(pair: Pair, height: int) -> list[Effect]:
    return pair.do(0, MessageReceived(Message.RESUME_ASK, encode(ResumeAsk(height=height))))


def gone_back() -> Mallory:
    """Side 0 gave a `resume` at a height that its disk has forgotten. It has started again, and not resumed."""
    pair = Pair()
    granted(pair)
    before = pair.stores[0].copy()
    block(pair, 0, BACK_AT - 1)
    assert sent(ask(pair, BACK_AT - 1), Message.RESUME_GIVEN)
    pair.crash(0, before)
    block(pair, 0, BACK_AT)
    mallory = Mallory(pair)
    pair.connect()
    pair.settle()
    return mallory


def resumed() -> Mallory:
    mallory = gone_back()
    for height in (BACK_AT + 1, BACK_AT + 2):
        for side in (1, 0):
            block(mallory.pair, side, height)
        mallory.pair.settle()
    assert mallory.victim.resumed
    return mallory


# -- what is not taken --------------------------------------------------------------------------------------------


def test_what_a_forgotten_resume_could_make_void_is_not_taken_and_no_fault_before_we_resume() -> None:
    mallory = gone_back()
    size = mallory.victim.peer.size
    assert mallory.say(mallory.requests(height=BACK_AT - 2)) is None
    assert mallory.victim.peer.size == size
    assert mallory.say(mallory.requests(height=BACK_AT)) is None
    assert mallory.victim.peer.size == size + 1


def test_once_we_have_resumed_it_is_a_fault() -> None:
    mallory = resumed()
    assert mallory.say(mallory.requests(height=BACK_AT - 1)) is Fault.BELOW_RESUME


def test_before_the_first_block_nothing_is_said_or_taken() -> None:
    pair = Pair()
    granted(pair)
    mallory = Mallory(pair)
    pair.crash(0)
    mallory.victim = pair.channels[0]
    pair.connect()
    assert not pair.inboxes[1], "nobody knows the floor yet"
    pair.deliver(0)
    size = mallory.victim.peer.size
    assert mallory.say(mallory.requests(height=10**6)) is None
    assert mallory.victim.peer.size == size
    pair.settle()
    [heads] = sent(block(pair, 0, BACK_AT), Message.REESTABLISH)
    assert decode_reestablish(heads).floor == BACK_AT


def test_a_channel_that_this_process_opened_has_nothing_to_forget() -> None:
    pair = Pair()
    block(pair, 0, BACK_AT)
    assert floor_of(pair.channels[0]) == 0
    assert pair.channels[0].trusted is None


def test_words_from_elsewhere_that_may_be_void_are_no_case() -> None:
    """To report them could cost our own bond. What stood in the log when we started still proves something."""
    mallory = resumed()
    held = mallory.victim.peer.commitment
    assert held is not None
    longer = replace(held, size=held.size + 5, spent=0, seen_size=0, height=BACK_AT - 2)
    fields = {name: getattr(longer, name) for name in ("size", "spent", "seen_size", "seen_root", "height")}
    old = mallory.commitment(mallory.victim.peer.frontier, **fields)
    assert not froze(mallory.pair.do(0, WordsSeen(old)))
    new = mallory.commitment(mallory.victim.peer.frontier, **fields | {"height": BACK_AT})
    assert froze(mallory.pair.do(0, WordsSeen(new)))


def froze(effects: list[Effect]) -> list[Froze]:
    return [effect for effect in effects if isinstance(effect, Froze)]


# -- what the peer does -------------------------------------------------------------------------------------------


def test_a_peer_whose_chain_is_behind_sends_nothing_from_below_the_floor() -> None:
    """It waits for the block that lifts it there, and signs anew what it wrote meanwhile."""
    pair = Pair()
    granted(pair)
    pair.crash(0)
    block(pair, 0, BACK_AT)
    pair.connect()
    pair.settle()
    effects = pair.append(1, [request(5)], [request_terms()])
    assert not sent(effects, Message.BATCH)
    assert not is_quiet(pair.channels[1]), "it wants to hear of the next block"
    assert not sent(block(pair, 1, BACK_AT - 1), Message.BATCH)
    assert sent(block(pair, 1, BACK_AT), Message.BATCH)
    pair.calm()
    assert not froze([*pair.effects[0], *pair.effects[1]])
    pair.check()


def test_both_that_start_at_once_sign_again_after_the_second_block() -> None:
    """Neither waits for the other: the floor of a start is no height that was promised."""
    pair = Pair()
    granted(pair)
    pair.crash(0)
    pair.crash(1)
    pair.connect()
    for _ in range(2):
        pair.settle()
        pair.block()
    pair.settle()
    assert all(channel.resumed for channel in pair.channels)


@pytest.mark.parametrize("restarts", [(0,), (1,), (0, 1)])
def test_who_closes_signs_its_last_words_anew_for_a_peer_that_started_again(restarts: tuple[int, ...]) -> None:
    """Side 1 is closing, and the answer that it gave last got lost: it says nothing new, but the same again."""
    pair = Pair()
    granted(pair)
    pair.append(0, [consent(5)], [consent_terms()])
    pair.deliver(1)
    pair.do(1, AskClose(alone=False, lost=False))
    assert pair.channels[1].phase is Phase.CLOSING
    assert pair.channels[0].peer.size < pair.channels[1].own.size, "its last answer is on its way"
    pair.cut()
    for side in restarts:
        pair.crash(side)
    pair.calm()
    for side in (0, 1):
        assert not froze(pair.effects[side])
        assert pair.channels[side].phase is Phase.CLOSING
        assert any(isinstance(effect, Submit) for effect in pair.effects[side])
    pair.check()
    final, closer = pair.channels[1].row.finals[1], pair.channels[1]
    if closer.row.resume is not None:
        assert final == closer.own.signed, "its last word is not one that its own resume makes void"


def test_who_closes_alone_signs_nothing_anew() -> None:
    pair = Pair()
    granted(pair)
    pair.append(1, [request(5)], [request_terms()])
    pair.cut()
    pair.crash(0)
    pair.do(1, AskClose(alone=True, lost=False))
    pair.calm()
    assert pair.channels[0].peer.size < pair.channels[1].own.size
    assert not froze([*pair.effects[0], *pair.effects[1]])


# -- a channel that closes on the chain ---------------------------------------------------------------------------


def closing(pair: Pair, posted: int) -> l1_state.Channel:
    """Side 1 has closed alone with so many entries of its log."""
    row = pair.row()
    shown = replace(row.sides[1], posted=replace(row.sides[1].posted, size=posted))
    return replace(
        row, phase=l1_state.Phase.CLOSING, closer=1, closes_at_ms=NOW_MS + 60_000, sides=(row.sides[0], shown)
    )


def challenged(effects: list[Effect]) -> list[int]:
    actions = [effect.action for effect in effects if isinstance(effect, Submit)]
    return [decode_commitment(each.commitment.body).size for each in actions if isinstance(each, Challenge)]


def test_a_start_challenges_with_what_its_disk_holds() -> None:
    pair = Pair()
    granted(pair)
    pair.append(1, [request(5)], [request_terms()])
    pair.settle()
    pair.crash(0)
    assert challenged(block(pair, 0, BACK_AT, closing(pair, 1))) == [pair.channels[0].peer.size]


def test_a_log_that_comes_back_while_the_window_runs_is_taken_and_not_shown() -> None:
    """The peer signs nothing anew by then, and what is there is wanted; but some of it may be void."""
    pair = Pair()
    granted(pair)
    pair.append(1, [request(5)], [request_terms()])
    pair.settle()
    copy, held = pair.stores[0].copy(), pair.channels[0].peer.size
    pair.append(1, [request(6)], [request_terms()])
    pair.settle()
    whole, row = pair.channels[0].peer.size, closing(pair, 1)
    pair.crash(0, copy)
    assert challenged(block(pair, 0, BACK_AT, row)) == [held]
    pair.connect()
    pair.settle()
    assert pair.channels[0].peer.size == whole > held
    assert challenged(block(pair, 0, BACK_AT + 20, row)) == [held]
    assert pair.stores[0].get(doubt_key()) is not None
    pair.crash(0)
    assert challenged(block(pair, 0, BACK_AT + 40, row)) == [held], "nor does the next process forget it"
    assert not challenged(block(pair, 0, BACK_AT + 60, closing(pair, held)))


def test_a_lost_disk_shows_nothing_of_what_came_back_while_the_window_runs() -> None:
    pair = Pair()
    granted(pair)
    pair.crash(0, MemoryRows(new_rows(OPENING, 0)))
    block(pair, 0, BACK_AT, closing(pair, 0))
    pair.connect()
    pair.settle()
    assert pair.channels[0].peer.size
    assert not challenged(block(pair, 0, BACK_AT + 20, closing(pair, 0)))


def test_a_close_of_ours_shows_what_was_held() -> None:
    mallory = gone_back()
    held = mallory.victim.peer.signed
    effects = mallory.pair.do(0, AskClose(alone=True, lost=True))
    [close] = [effect.action for effect in effects if isinstance(effect, Submit)]
    assert isinstance(close, Close)
    assert close.peer == held


# -- heights that lie ahead ---------------------------------------------------------------------------------------


def given(effects: list[Effect]) -> list[bytes]:
    return [decode_resume_given(payload).resume.body for payload in sent(effects, Message.RESUME_GIVEN)]


def test_a_height_that_lies_ahead_is_answered_at_its_block() -> None:
    pair = Pair()
    assert not ask(pair, 5)
    assert not is_quiet(pair.channels[0])
    assert pair.channels[0].row.peer_floor == 0
    assert not given(block(pair, 0, 4))
    assert given(block(pair, 0, 6))
    assert pair.channels[0].row.peer_floor == 5
    assert not given(block(pair, 0, 7)), "once"


def test_the_newest_ask_counts() -> None:
    pair = Pair()
    ask(pair, 5)
    ask(pair, 7)
    assert not given(block(pair, 0, 6))
    assert given(block(pair, 0, 7))
    assert pair.channels[0].row.peer_floor == 7


def test_an_ask_is_forgotten_with_its_line() -> None:
    pair = Pair()
    ask(pair, 5)
    pair.do(0, Disconnected())
    pair.do(0, Connected())
    assert not given(block(pair, 0, 6))


def test_no_answer_comes_to_a_peer_that_was_found_at_fault() -> None:
    mallory = Mallory()
    ask(mallory.pair, 5)
    assert mallory.say(mallory.requests(spent=1)) is Fault.WRONG_SPENT
    assert not given(block(mallory.pair, 0, 6))
