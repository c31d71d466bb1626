"""What looks like a fault and is none: repetitions, bad clocks, keys not known yet, remains of an older line."""

import pytest

from l1.ground.codec import encode
from l1.ground.faults import Fault
from l1.ground.hashing import digest
from l1.ground.limits import CLOCK_SKEW_MS_MAX
from l1.ground.merkle import EMPTY_ROOT
from l1.rules.log.entries import Request
from l2.protocol.events import (
    Arrived,
    AskClose,
    BlockSeen,
    Connected,
    Disconnected,
    MessageReceived,
    PeerKeysSeen,
    Tick,
)
from l2.protocol.limits import HELD_BATCHES_MAX
from l2.protocol.messages import Message, Reestablish, ResumeAsk
from l2.protocol.phases import Phase
from l2.protocol.rows import batch_key
from tests.unit.l2.protocol.mallory import Mallory
from tests.unit.l2.protocol.stories import (
    request_terms,
)
from tests.unit.l2.protocol.world import KEYS, NOW_MS, Pair


def test_a_repeated_batch_is_passed_over() -> None:
    mallory = Mallory()
    message = mallory.requests()
    assert mallory.say(message) is None
    assert mallory.say(message) is None
    assert mallory.victim.peer.size == 1


def test_a_void_entry_stays_as_evidence() -> None:
    mallory = Mallory()
    falls = [Request(time=NOW_MS, emergency=False), Request(time=NOW_MS - 1, emergency=False)]
    effects = mallory.pair.do(0, MessageReceived(Message.BATCH, mallory.batch(falls, [request_terms()] * 2)))
    arrived = next(effect for effect in effects if isinstance(effect, Arrived) and effect.side == 1)
    assert [index for index, _ in arrived.voids] == [1]
    assert mallory.victim.phase is Phase.OPEN


@pytest.mark.parametrize("order", [[0, 1, 2], [1, 0, 2], [2, 1, 0]])
def test_a_batch_from_the_future_is_held_until_its_time(order: list[int]) -> None:
    """Whichever of its entries it is: one from far ahead would lift every later time of both logs."""
    mallory = Mallory()
    times = [NOW_MS, NOW_MS + CLOCK_SKEW_MS_MAX + 10, NOW_MS + 1]
    entries = [Request(time=times[at], emergency=False) for at in order]
    assert mallory.say(mallory.batch(entries, [request_terms()] * 3)) is None
    assert mallory.victim.peer.size == 0
    mallory.pair.do(0, Tick())
    assert mallory.victim.peer.size == 0
    mallory.pair.now_ms += 10
    mallory.pair.do(0, Tick())
    assert mallory.victim.peer.size == 3
    assert mallory.victim.fold.logs[0].seen == 3


def test_what_was_let_go_before_a_fault_is_durable() -> None:
    """A held batch counts once it is taken in, though what was held behind it is no message at all."""
    mallory = Mallory()
    assert mallory.say(mallory.requests(at=CLOCK_SKEW_MS_MAX + 10)) is None
    assert mallory.say(b"no batch") is None
    mallory.pair.now_ms += 10
    mallory.pair.do(0, Tick())
    assert mallory.victim.phase is Phase.FROZEN
    assert mallory.victim.peer.size == 1
    assert mallory.victim.rows.get(batch_key(1, 0)) is not None


def test_held_batches_are_forgotten_with_the_line_they_came_on() -> None:
    """They come again: kept, they would add up until an honest peer is blamed."""
    mallory = Mallory()
    for _ in range(HELD_BATCHES_MAX + 5):
        assert mallory.say(mallory.requests(at=CLOCK_SKEW_MS_MAX + 1)) is None
        mallory.pair.do(0, Disconnected())
        mallory.pair.do(0, Connected())
        heads = Reestablish(own_size=0, own_root=EMPTY_ROOT, peer_size=0, peer_root=EMPTY_ROOT, floor=0)
        assert mallory.say(encode(heads), Message.REESTABLISH) is None


def test_a_batch_by_a_key_we_do_not_know_yet_is_held() -> None:
    mallory = Mallory()
    mallory.key = 4
    assert mallory.say(mallory.requests()) is None
    assert mallory.victim.peer.size == 0
    mallory.pair.do(0, PeerKeysSeen({1: KEYS[1].public_key, 4: KEYS[1].public_key}))
    assert mallory.victim.peer.size == 1


def test_what_comes_before_the_heads_is_left_over_and_passed_over() -> None:
    mallory = Mallory()
    mallory.pair.do(0, Disconnected())
    mallory.pair.do(0, Connected())
    assert mallory.say(wrong := mallory.requests(root=digest(b"root"))) is None
    heads = Reestablish(own_size=0, own_root=EMPTY_ROOT, peer_size=0, peer_root=EMPTY_ROOT, floor=0)
    assert mallory.say(encode(heads), Message.REESTABLISH) is None
    assert mallory.say(wrong) is Fault.WRONG_ROOT


def test_a_height_counts_once() -> None:
    """[START-1] Two processes with one disk between them must not get one `resume`: both would sign under it."""
    mallory = Mallory()
    mallory.pair.do(0, BlockSeen(height=6, clock_ms=NOW_MS, row=None))
    given = []
    for height in (5, 5, 4, 6):
        effects = mallory.pair.do(0, MessageReceived(Message.RESUME_ASK, encode(ResumeAsk(height=height))))
        given.append([type(effect).__name__ for effect in effects])
    assert given == [["Persist", "Send"], ["Tell", "Persist"], ["Tell"], ["Persist", "Send"]]


def test_a_promise_is_written_before_it_is_given() -> None:
    mallory = Mallory()
    mallory.pair.do(0, BlockSeen(height=5, clock_ms=NOW_MS, row=None))
    mallory.pair.do(0, MessageReceived(Message.RESUME_ASK, encode(ResumeAsk(height=5))))
    mallory.pair.crash(0)
    assert mallory.pair.channels[0].row.peer_floor == 5


def test_close_is_not_agreed_before_both_spoke() -> None:
    pair = Pair()
    pair.do(0, AskClose(alone=False, lost=False))
    assert pair.channels[0].row.closings == (None, None)
