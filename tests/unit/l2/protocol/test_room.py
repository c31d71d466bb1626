"""What a peer lacks is sent as fast as the line takes it [REC-5]."""

from l2.protocol.channel import new_rows
from l2.protocol.events import BlockSeen, MessageReceived, Send
from l2.protocol.messages import Message
from l2.protocol.reconnect import RESEND_BATCHES
from l2.protocol.step import has_work, step
from tests.unit.l2.protocol.stories import granted
from tests.unit.l2.protocol.world import NOW_MS, OPENING, MemoryRows, Pair

BATCHES = 3 * RESEND_BATCHES


def lacking() -> Pair:
    """Side 1 lost its disk: side 0 hears that it lacks every batch."""
    pair = Pair()
    for _ in range(BATCHES):
        granted(pair)
    pair.crash(1, MemoryRows(new_rows(OPENING, 1)))
    pair.block()
    pair.connect()
    return pair


def sent(pair: Pair) -> list[Send]:
    effects = step(pair.channels[0], (), NOW_MS, {})
    pair.channels[0].rows.written()
    return [effect for effect in effects if isinstance(effect, Send)]


def test_nothing_that_the_peer_lacks_is_sent_while_the_line_is_full() -> None:
    pair = lacking()
    channel = pair.channels[0]
    said = next(send for send in pair.inboxes[0] if send.type == Message.REESTABLISH)
    channel.line_is_full = True
    effects = step(channel, [MessageReceived(said.type, said.payload)], NOW_MS, {})
    channel.rows.written()
    assert not [effect for effect in effects if isinstance(effect, Send)]
    assert not has_work(channel)
    channel.line_is_full = False
    assert has_work(channel)
    assert len(sent(pair)) == RESEND_BATCHES


def test_a_full_line_is_forgotten_with_the_line() -> None:
    pair = lacking()
    pair.channels[0].line_is_full = True
    pair.cut()
    assert not pair.channels[0].line_is_full


def test_all_arrives_in_the_end() -> None:
    pair = lacking()
    pair.settle()
    pair.do(1, BlockSeen(height=pair.height, clock_ms=NOW_MS, row=None))
    pair.calm()
    pair.check()
