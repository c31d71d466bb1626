"""What a hospital answers when the chain is shown words of its own that its peer's `resume` made void."""

from msgspec.structs import replace

from l1.ground.hashing import digest
from l1.rules import state as l1_state
from l1.rules.commitment import Head
from l1.rules.transactions import ResumeChannel
from l2.protocol.channel import new_rows
from l2.protocol.events import AskClose, BlockSeen, Froze, Submit
from l2.protocol.messages import Message
from l2.protocol.phases import Phase
from tests.unit.l2.protocol.stories import consent, consent_terms, granted
from tests.unit.l2.protocol.world import NOW_MS, OPENING, MemoryRows, Pair


def shown(pair: Pair, *, size: int, height: int, resume_height: int = 0) -> l1_state.Channel:
    """Side 1 closed alone, and the chain was shown a commitment of side 0 of that size and height."""
    side = l1_state.SideState(deposit=1_000, bond=500)
    posted = Head(size=size, root=digest(b"posted"))
    return l1_state.Channel(
        id=pair.channels[0].id,
        opening=OPENING,
        opened_at=1,
        opened_at_ms=0,
        phase=l1_state.Phase.CLOSING,
        sides=(replace(side, posted=posted, posted_height=height, resume_height=resume_height), side),
        closer=1,
        closes_at_ms=NOW_MS + 60_000,
        closed_size=0,
    )


def resumes(pair: Pair, row: l1_state.Channel) -> list[ResumeChannel]:
    """What side 0 brings to the chain when it sees this row."""
    effects = pair.do(0, BlockSeen(height=pair.height + 1, clock_ms=NOW_MS, row=row))
    actions = [effect.action for effect in effects if isinstance(effect, Submit)]
    return [action for action in actions if isinstance(action, ResumeChannel)]


def resumed_pair() -> tuple[Pair, int, int]:
    """Side 0 has resumed: the pair, and height and size of the resume that its peer signed."""
    pair = Pair()
    granted(pair)
    pair.restart(0)
    height = pair.channels[0].resume_height
    assert height is not None
    return pair, height, pair.channels[0].own.size


def test_words_made_void_by_a_resume_are_answered_with_it() -> None:
    pair, height, size = resumed_pair()
    row = shown(pair, size=size + 3, height=height - 1)
    assert [action.resume for action in resumes(pair, row)] == [pair.channels[0].row.resume]
    assert not resumes(pair, row)  # once is enough for a while


def test_words_that_count_are_not_answered() -> None:
    pair, height, size = resumed_pair()
    assert not resumes(pair, shown(pair, size=size, height=height - 1))
    assert not resumes(pair, shown(pair, size=size + 3, height=height))


def test_what_we_say_to_this_day_is_no_reason_to_take_a_peers_bond() -> None:
    """A peer that lost its disk promised to refuse it; restored from an old copy, it closes lost and shows it."""
    pair, height, size = resumed_pair()
    pair.append(0, [consent()], [consent_terms(document=digest(b"later"))])
    pair.settle()
    head = pair.channels[0].own
    assert head.size > size
    row = shown(pair, size=head.size, height=height - 1)
    ours = replace(row.sides[0], posted=Head(size=head.size, root=head.frontier.root()))
    assert not resumes(pair, replace(row, sides=(ours, row.sides[1])))
    closed_by_us = replace(row, closer=0, stale=True, sides=(ours, row.sides[1]))
    assert resumes(pair, closed_by_us), "but it takes our own bond, if it shows our close to be stale"


def test_a_resume_that_the_chain_knows_is_not_shown_again() -> None:
    pair, height, size = resumed_pair()
    assert not resumes(pair, shown(pair, size=size + 3, height=height - 1, resume_height=height))


def test_a_process_that_never_resumed_has_nothing_to_show() -> None:
    pair = Pair()
    granted(pair)
    assert not resumes(pair, shown(pair, size=99, height=0))


def shown_at_start(pair: Pair) -> list[ResumeChannel]:
    actions = [effect.action for effect in pair.effects[0] if isinstance(effect, Submit)]
    return [action for action in actions if isinstance(action, ResumeChannel)]


def test_a_hospital_whose_log_came_back_shows_its_resume_at_once() -> None:
    """The peer may hold more than it gave back: those words are void before it can settle them."""
    pair = Pair()
    granted(pair)
    pair.restart(0, MemoryRows(new_rows(OPENING, 0)))
    assert [action.resume for action in shown_at_start(pair)] == [pair.channels[0].row.resume]


def test_a_hospital_that_is_told_it_wrote_nothing_shows_that() -> None:
    pair = Pair()
    pair.restart(0, MemoryRows(new_rows(OPENING, 0)))
    assert [action.resume for action in shown_at_start(pair)] == [pair.channels[0].row.resume]


def test_who_closes_alone_before_the_answer_comes_sends_nothing_that_it_makes_void() -> None:
    """Its peer has promised to refuse what was signed before, and would call it a fault."""
    pair = Pair()
    granted(pair)
    pair.append(0, [consent(2)], [consent_terms()])
    pair.inboxes[1].clear()  # what side 0 has just written never arrives
    pair.crash(0)
    pair.connect()
    pair.settle()
    pair.block()  # the first that this process sees
    pair.block()
    asked = [send for send in pair.inboxes[1] if send.type == Message.RESUME_ASK]
    assert asked
    pair.do(0, AskClose(alone=True, lost=False))
    pair.settle()
    assert not [effect for effect in pair.effects[1] if isinstance(effect, Froze)]
    assert pair.channels[1].phase is Phase.OPEN


def test_a_hospital_whose_disk_was_whole_shows_nothing() -> None:
    pair, _, _ = resumed_pair()
    assert not shown_at_start(pair)
