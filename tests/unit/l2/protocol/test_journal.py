"""The journal: what happened to a channel is durable, with its reason, and nobody can push it out."""

import ast
from pathlib import Path
from typing import get_args

from l1.ground.codec import encode
from l1.ground.faults import Fault
from l1.rules.transactions import Action
from l2.protocol import journal
from l2.protocol.channel import new_rows
from l2.protocol.events import AskClose, BlockSeen, ChainRefused, Event, MessageReceived, Persist
from l2.protocol.journal import Reason, read_journal
from l2.protocol.limits import JOURNAL_NOTES_MAX
from l2.protocol.messages import Message, ResumeAsk
from l2.protocol.rows import journal_key
from tests.unit.l2.protocol.stories import granted
from tests.unit.l2.protocol.test_watch import shown
from tests.unit.l2.protocol.world import NOW_MS, OPENING, MemoryRows, Pair


def reasons(pair: Pair, side: int = 0) -> list[Reason]:
    return [Reason(note.reason) for note in read_journal(pair.stores[side])]


def test_a_quiet_channel_has_no_story() -> None:
    pair = Pair()
    granted(pair)
    assert reasons(pair) == []


def test_a_restart_is_told_with_what_was_here_and_what_came_back() -> None:
    pair = Pair()
    granted(pair)
    size = pair.channels[0].own.size
    pair.restart(0)
    assert reasons(pair) == [Reason.RESUMED]
    assert f"{size} entries of ours were on our disk" in read_journal(pair.stores[0])[0].detail
    empty = MemoryRows(new_rows(OPENING, 0))
    pair.restart(0, empty)
    assert any(f"{size} came back from the peer" in note.detail for note in read_journal(pair.stores[0]))


def test_a_fault_is_kept_with_its_number() -> None:
    pair = Pair()
    granted(pair)
    pair.do(0, MessageReceived(Message.BATCH, b"rubbish"))
    (note,) = read_journal(pair.stores[0])
    assert (note.reason, note.fault) == (Reason.FROZEN, Fault.MALFORMED)


def test_closing_alone_is_told_from_the_decision_to_the_chain() -> None:
    pair = Pair()
    granted(pair)
    pair.do(0, AskClose(alone=True, lost=False))
    assert reasons(pair) == [Reason.CLOSING, Reason.CLOSING_ALONE]
    pair.do(1, BlockSeen(height=pair.height + 1, clock_ms=NOW_MS, row=shown(pair, size=1, height=1)))
    assert Reason.CLOSED_BY_US in reasons(pair, 1)


def test_a_note_is_written_with_what_it_tells_of() -> None:
    pair = Pair()
    effects = pair.do(0, ChainRefused("Checkpoint", "goes back"))
    rows = [key for effect in effects if isinstance(effect, Persist) for key, _ in effect.rows]
    assert journal_key(0) in rows
    assert read_journal(pair.stores[0])[0].detail == "Checkpoint: goes back"


def test_the_oldest_give_way_and_the_rest_stays_in_order() -> None:
    pair = Pair()
    for number in range(JOURNAL_NOTES_MAX + 10):
        pair.do(0, ChainRefused("Close", f"{number}"))
    notes = read_journal(pair.stores[0])
    assert [note.number for note in notes] == list(range(10, JOURNAL_NOTES_MAX + 10))


def test_a_peer_cannot_push_the_story_out() -> None:
    pair = Pair()
    granted(pair)
    asks: list[Event] = [MessageReceived(Message.RESUME_ASK, encode(ResumeAsk(height=0))) for _ in range(20)]
    for ask in asks:
        pair.do(0, ask)
    assert reasons(pair) == [Reason.RESUME_NOT_GIVEN]


def test_whatever_is_brought_to_the_chain_has_a_reason() -> None:
    """Every action that the protocol makes is one that the journal can tell of."""
    asked = {action.__name__ for action in get_args(Action)}
    sources = [ast.parse(path.read_text()) for path in Path(journal.__file__).parent.glob("*.py")]
    calls = [node.func for tree in sources for node in ast.walk(tree) if isinstance(node, ast.Call)]
    made = {call.id for call in calls if isinstance(call, ast.Name)} & asked
    told = ast.parse(Path(journal.__file__).read_text())
    known = {
        node.cls.id for node in ast.walk(told) if isinstance(node, ast.MatchClass) and isinstance(node.cls, ast.Name)
    }
    assert {"Close", "CloseTogether", "Settle"} <= made <= known
