"""A hospital that agreed to close forgets it with its disk: its next process signs nothing beyond that last word."""

from l1.rules.transactions import CloseTogether
from l2.protocol.channel import new_rows
from l2.protocol.events import AskClose, BlockSeen, ClockSeen, Froze, MessageReceived, Submit
from l2.protocol.phases import Phase
from tests.unit.l2.protocol.stories import CONSENTED, granted, request, request_terms
from tests.unit.l2.protocol.world import NOW_MS, OPENING, MemoryRows, Pair

LAST_WORD = 5  # of side 0 in these stories: a consent, `seen`, a grant, `seen`, a consent


def closed_over_words_under_way() -> tuple[Pair, MemoryRows]:
    """Side 0 said its last word; what its peer wrote meanwhile waits for no answer.

    Returns side 0's disk besides, as it was when its newest words were not acknowledged yet.
    """
    pair = Pair()
    granted(pair)
    pair.append(0, [CONSENTED[0]], [CONSENTED[1]])
    older = pair.stores[0].copy()
    pair.settle()
    pair.do(0, AskClose(alone=False, lost=False))
    pair.append(1, [request(5)], [request_terms()])
    return pair, older


def empty() -> MemoryRows:
    return MemoryRows(new_rows(OPENING, 0))


def calm_but_for_a_clock(pair: Pair) -> None:
    """[LOG-3] Side 1's is off: it signs no commitment, and so it cannot decide to close."""
    pair.connect()
    for _ in range(4):
        pair.settle()
        pair.height += 1
        row = pair.row() if any(pair.shown) else None
        for side in (0, 1):
            pair.do(side, BlockSeen(height=pair.height, clock_ms=NOW_MS, row=row, clock_is_off=side == 1))
    pair.settle()


def check_nothing_beyond_the_last_word(pair: Pair) -> None:
    assert not [effect for side in (0, 1) for effect in pair.effects[side] if isinstance(effect, Froze)]
    assert pair.channels[0].own.size == LAST_WORD
    asked = [[effect.action for effect in effects if isinstance(effect, Submit)] for effects in pair.effects]
    assert isinstance(asked[0][-1], CloseTogether)
    assert asked[0][-1] == asked[1][-1]
    pair.check()


def test_who_forgot_its_last_word_answers_nothing_any_more() -> None:
    """[END-9] The peer warns it; what still waits for an answer came after the last word."""
    pair, _ = closed_over_words_under_way()
    pair.settle()
    pair.crash(0, empty())
    pair.calm()
    check_nothing_beyond_the_last_word(pair)


def test_nor_what_it_gets_only_after_the_warning() -> None:
    """[END-9] It is warned and resumes while the line is full, and lacks even what acknowledged its own words."""
    pair, older = closed_over_words_under_way()
    pair.settle()
    pair.crash(0, older)
    pair.connect()
    pair.channels[1].line_is_full = True
    for _ in range(3):
        pair.block()
        pair.settle()
    assert pair.channels[0].resumed
    assert pair.channels[0].under_way
    pair.channels[1].line_is_full = False
    pair.block()
    late = [MessageReceived(send.type, send.payload) for send in pair.inboxes[0]]
    pair.inboxes[0].clear()
    pair.do(0, *late)
    pair.settle()
    check_nothing_beyond_the_last_word(pair)


def test_who_holds_the_last_word_of_the_asker_says_its_own_before_it_answers() -> None:
    """[END-6] Here it cannot yet; without the warning the asker would sign beyond its last word."""
    pair, _ = closed_over_words_under_way()
    pair.do(1, ClockSeen(is_off=True))
    pair.settle()
    pair.crash(0, empty())
    calm_but_for_a_clock(pair)
    assert pair.channels[1].phase is Phase.OPEN
    assert not pair.channels[0].resumed
    pair.calm()
    check_nothing_beyond_the_last_word(pair)


def test_nor_does_a_new_process_answer_before_it_has_said_its_own() -> None:
    """[END-6] Both have started, and both ask: the one that forgot its last word answers first."""
    pair, _ = closed_over_words_under_way()
    pair.do(1, ClockSeen(is_off=True))
    pair.settle()
    pair.crash(1)
    pair.crash(0, empty())
    pair.calm()
    pair.calm()
    check_nothing_beyond_the_last_word(pair)
