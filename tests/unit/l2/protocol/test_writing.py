"""Writing: what is cut, refused, covered, lifted, held back by the window, and declined."""

from l1.rules import state as l1_state
from l1.rules.log.entries import Entry, Pay, Receipt
from l1.rules.log.fold import Void
from l2.protocol.channel import new_rows
from l2.protocol.events import Acknowledged, Append, BlockSeen, ClockSeen, Declined, Persist, Resumed, Send, Written
from l2.protocol.journal import Reason, read_journal
from l2.protocol.limits import BATCH_ENTRIES_AIM, WINDOW_BATCHES
from l2.protocol.messages import Message
from l2.protocol.rows import head_key, mark_key
from tests.unit.l2.protocol.stories import access, access_terms, granted, request, request_terms
from tests.unit.l2.protocol.world import NOW_MS, OPENING, MemoryRows, Pair


def sent(pair: Pair, side: int) -> int:
    return sum(isinstance(effect, Send) and effect.type == Message.BATCH for effect in pair.effects[side])


def test_the_window_holds_back_what_is_not_acknowledged() -> None:
    pair = Pair()
    index = granted(pair)
    many = BATCH_ENTRIES_AIM * (WINDOW_BATCHES + 4)
    before = sent(pair, 1)
    pair.append(1, [access(index, 3)] * many, [access_terms()] * many)
    assert sent(pair, 1) - before == WINDOW_BATCHES
    assert pair.channels[1].queued == 4 * BATCH_ENTRIES_AIM
    pair.settle()
    assert pair.channels[1].queued == 0
    pair.check()


def test_everything_is_acknowledged_once_it_has_arrived() -> None:
    pair = Pair()
    index = granted(pair)
    pair.append(1, [access(index, 3)] * 10, [access_terms()] * 10)
    size = pair.channels[1].own.size
    pair.settle()
    assert Acknowledged(size) in pair.effects[1]


def test_what_comes_while_the_disk_is_at_work_gets_one_answer_afterwards() -> None:
    pair = Pair()
    pair.channels[0].answers_wait = True
    for _ in range(3):
        pair.append(1, [request()], [request_terms()])
        pair.deliver(0)
    assert sent(pair, 0) == 0
    assert pair.channels[0].peer.size == 3
    pair.channels[0].answers_wait = False
    pair.do(0)
    pair.settle()
    assert sent(pair, 0) == 1
    assert Acknowledged(pair.channels[1].own.size) in pair.effects[1]
    pair.check()


def test_a_head_is_written_once_for_all_batches_of_a_step() -> None:
    pair = Pair()
    pair.channels[1].batch_entries = 2
    effects = pair.append(1, [request()] * 8, [request_terms()] * 8)
    rows = [key for effect in effects if isinstance(effect, Persist) for key, _ in effect.rows]
    assert sum(key[:1] == b"b" for key in rows) == 4
    assert rows.count(head_key(1)) == rows.count(mark_key(1, 0)) == 1
    pair.settle()
    pair.check()


def test_a_batch_of_nothing_but_seen_is_not_acknowledged() -> None:
    pair = Pair()
    pair.append(1, [request()], [request_terms()])
    pair.settle()
    assert sent(pair, 0) == 1
    assert sent(pair, 1) == 1


def test_persist_comes_before_send() -> None:
    pair = Pair()
    effects = pair.append(1, [request()], [request_terms()])
    kinds = [type(effect) for effect in effects]
    assert kinds.index(Persist) < kinds.index(Send)


def test_what_our_own_fold_would_call_void_is_refused_to_its_caller() -> None:
    pair = Pair()
    index = granted(pair)
    entries = [access(index, 3), access(77, 3), access(index, 3), access(index, 3)]
    terms = [access_terms(), access_terms(), access_terms(purpose=9), access_terms()]
    effects = pair.append(1, entries, terms)
    written = next(effect for effect in effects if isinstance(effect, Written))
    assert list(written.refused) == [(1, Void.NOT_SEEN), (2, Void.PURPOSE)]
    assert written.count == 2
    pair.settle()
    pair.check()


def test_a_payment_beyond_what_is_covered_is_refused() -> None:
    pair = Pair()
    index = granted(pair, 2, fee=600)
    pay: list[Entry]
    for grant, stands in ((index, True), (index + 1, False)):
        pay = [Pay(time=NOW_MS + 5, amount=600, grant=grant), Receipt(time=NOW_MS + 5, grant=grant)]
        written = [effect for effect in pair.append(1, pay) if isinstance(effect, Written)]
        assert (written[0].count == 2) is stands
        pair.settle()
    assert pair.channels[0].fold.logs[1].spent == 600
    pair.check()


def test_a_deposit_on_the_chain_covers_more() -> None:
    pair = Pair()
    index = granted(pair, fee=1_500)
    pay: list[Entry] = [Pay(time=NOW_MS + 5, amount=1_500, grant=index), Receipt(time=NOW_MS + 5, grant=index)]
    assert [effect.count for effect in pair.append(1, pay) if isinstance(effect, Written)] == [0]
    sides = (l1_state.SideState(deposit=1_000, bond=500), l1_state.SideState(deposit=1_500, bond=500))
    row = l1_state.Channel(
        id=pair.channels[0].id, opening=OPENING, opened_at=1, opened_at_ms=0, phase=l1_state.Phase.OPEN, sides=sides
    )
    for side in (0, 1):
        pair.do(side, BlockSeen(height=2, clock_ms=NOW_MS, row=row))
    assert [effect.count for effect in pair.append(1, pay) if isinstance(effect, Written)] == [2]
    pair.settle()
    pair.check()


def test_times_that_fall_are_lifted() -> None:
    pair = Pair()
    pair.append(1, [request(5), request(3), request(7), request(6)], [request_terms()] * 4)
    pair.append(1, [request(1)], [request_terms()])
    pair.settle()
    times = [pair.channels[0].readers[1].entry(at)[0].time - NOW_MS for at in range(pair.channels[0].peer.size)]
    assert times == sorted(times)
    assert pair.channels[0].peer.size == 5
    pair.check()


def test_a_pair_is_never_torn() -> None:
    pair = Pair()
    index = granted(pair, fee=1)
    pair.channels[1].resumed = False
    room = BATCH_ENTRIES_AIM - 1
    pair.append(1, [access(index, 3)] * room, [access_terms()] * room)
    pair.append(1, [Pay(time=NOW_MS + 5, amount=1, grant=index), Receipt(time=NOW_MS + 5, grant=index)])
    pair.channels[1].resumed = True
    effects = pair.append(1, [], [])
    assert not [effect for effect in effects if isinstance(effect, Written) and effect.refused]
    pair.settle()
    pair.check()


def test_with_the_clock_off_nothing_is_signed() -> None:
    pair = Pair()
    pair.do(1, BlockSeen(height=2, clock_ms=NOW_MS, row=None, clock_is_off=True))
    effects = pair.append(1, [request()], [request_terms()])
    assert effects == []
    effects = pair.do(1, BlockSeen(height=3, clock_ms=NOW_MS, row=None))
    assert any(isinstance(effect, Written) for effect in effects)


def test_a_clock_that_jumps_is_noticed_without_a_block_and_leaves_no_time_behind() -> None:
    """[LOG-3] Entries drafted an hour ahead are written with the time at which they are signed, so the peer, whose
    clock is right, takes them at once."""
    pair, ahead = Pair(), 3_600_000
    pair.do(1, ClockSeen(is_off=True))
    effects = pair.append(1, [request(ahead), request(ahead + 1)], [request_terms()] * 2)
    assert effects == []
    pair.now_ms += 10
    effects = pair.do(1, ClockSeen(is_off=False))
    assert any(isinstance(effect, Written) for effect in effects)
    pair.settle()
    assert not pair.channels[0].held
    assert [pair.channels[0].readers[1].entry(at)[0].time for at in (0, 1)] == [pair.now_ms, pair.now_ms]
    notes = [note.reason for note in read_journal(pair.channels[1].rows)]
    assert notes == [Reason.CLOCK_OFF, Reason.CLOCK_RIGHT]
    pair.check()


def test_before_it_has_resumed_a_process_signs_nothing() -> None:
    pair = Pair()
    pair.append(1, [request()], [request_terms()])
    pair.crash(1)
    assert not pair.append(1, [request(1)], [request_terms()])
    pair.connect()
    pair.settle()
    assert sent(pair, 1) == 1
    pair.calm()
    assert any(isinstance(effect, Resumed) for effect in pair.effects[1])
    assert pair.channels[0].peer.size == 2
    pair.check()


def test_unsent_batches_are_signed_again_at_the_new_height() -> None:
    pair = Pair()
    pair.cut()
    pair.append(1, [request()], [request_terms()])
    old = pair.channels[1].own.commitment
    pair.restart(1)
    new = pair.channels[0].peer.commitment
    assert old is not None
    assert new is not None
    assert (old.size, old.root, old.spent, old.seen) == (new.size, new.root, new.spent, new.seen)
    assert new.height > old.height
    pair.check()


def test_a_lost_disk_comes_back_whole_in_one_pass() -> None:
    """Each batch once, in the order in which it was written: a log of millions must not come back in pieces."""
    pair = Pair()
    index = granted(pair)
    for at in range(30):
        pair.append(1, [access(index, 3 + at)] * 3, [access_terms()] * 3)
        pair.append(0, [], [])
        pair.settle()
    batches = sum(key[:1] == b"b" for key, _ in pair.stores[0].scan(b"b", b"c"))
    before = len(pair.effects[0])
    pair.restart(1, MemoryRows(new_rows(OPENING, 1)))
    told = [effect for effect in pair.effects[0][before:] if isinstance(effect, Send)]
    assert sum(effect.type in (Message.BATCH, Message.GIVEN_BACK) for effect in told) == batches
    pair.check()


def test_a_channel_that_closes_declines_entries() -> None:
    pair = Pair()
    pair.channels[1].close_wanted = True
    effects = pair.do(1, Append(entries=[request()], terms=[request_terms()], ticket=7))
    assert Declined(7, "the channel is closing") in effects
