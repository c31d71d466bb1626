"""What a peer can do wrong, each with its own number; all of it ends as a value, and freezes the channel."""

from collections.abc import Callable
from typing import Any

import pytest

from l1.ground.codec import encode
from l1.ground.faults import Fault
from l1.ground.hashing import digest
from l1.ground.limits import CLOCK_SKEW_MS_MAX
from l1.ground.merkle import EMPTY_ROOT, Frontier
from l1.ground.signing import Purpose
from l1.rules.commitment import Resume, sign_shape
from l1.rules.log.entries import Entry, Pay, Receipt, Seen
from l1.rules.log.leaves import encode_parts, leaf_hashes
from l2.protocol.batch import encode_batch
from l2.protocol.events import (
    BlockSeen,
    MessageReceived,
    Send,
    Written,
)
from l2.protocol.limits import HELD_BATCHES_MAX, WINDOW_BATCHES
from l2.protocol.messages import Message, Reestablish, ResumeAsk, ResumeGiven, Shutdown
from l2.protocol.phases import Phase
from tests.unit.l2.protocol.mallory import Mallory
from tests.unit.l2.protocol.stories import (
    CONSENTED,
    granted,
    request,
    request_terms,
    write,
)
from tests.unit.l2.protocol.world import CHAIN, KEYS, NOW_MS, Pair


def gap(mallory: Mallory) -> Fault | None:
    frontier, _ = Frontier().extend([digest(b"unknown")])
    mallory.victim.peer.frontier, known = frontier, mallory.victim.peer.frontier
    message = mallory.requests()
    mallory.victim.peer.frontier = known
    return mallory.say(message)


def wrong_root(mallory: Mallory) -> Fault | None:
    return mallory.say(mallory.requests(root=digest(b"root")))


def other_salts(mallory: Mallory) -> Fault | None:
    """The private part is not what was hashed."""
    publics, privates = encode_parts([request()], [request_terms()])
    _, others = encode_parts([request()], [request_terms(role=1)])
    salts = mallory.victim.readers[1].salts.span(0, 1)
    frontier, _ = Frontier().extend(leaf_hashes(publics, privates, salts))
    return mallory.say(encode_batch(publics, others, mallory.commitment(frontier)))


def two_heads(mallory: Mallory) -> Fault | None:
    assert mallory.say(mallory.requests()) is None
    mallory.victim.peer.frontier, known = Frontier(), mallory.victim.peer.frontier
    message = mallory.requests(at=5)
    mallory.victim.peer.frontier = known
    return mallory.say(message)


def unknown_head(mallory: Mallory) -> Fault | None:
    return mallory.say(mallory.requests(seen_size=3, seen_root=digest(b"seen")))


def seen_entry_lies(mallory: Mallory) -> Fault | None:
    """The commitment names our head, the entry in the log another root."""
    write(mallory.pair, 0, *CONSENTED)
    lie = Seen(time=NOW_MS, size=mallory.victim.own.size, root=digest(b"another"))
    own = mallory.victim.own
    message = mallory.batch([lie], [], seen_size=own.size, seen_root=own.frontier.root())
    return mallory.say(message)


def seen_is_not_in_the_log(mallory: Mallory) -> Fault | None:
    mallory.pair.append(0, [CONSENTED[0]], [CONSENTED[1]])
    own = mallory.victim.own
    return mallory.say(mallory.requests(seen_size=own.size, seen_root=own.frontier.root()))


def wrong_spent(mallory: Mallory) -> Fault | None:
    return mallory.say(mallory.requests(spent=1))


def not_covered(mallory: Mallory) -> Fault | None:
    index = granted(mallory.pair, fee=1_001)
    paid: list[Entry] = [Pay(time=NOW_MS + 5, amount=1_001, grant=index), Receipt(time=NOW_MS + 5, grant=index)]
    own = mallory.victim.own
    seen = Seen(time=NOW_MS + 5, size=own.size, root=own.frontier.root())
    if mallory.pair.channels[1].fold.logs[1].seen != own.size:
        paid = [seen, *paid]
    head = {"seen_size": own.size, "seen_root": own.frontier.root()}
    return mallory.say(mallory.batch(paid, [], spent=1_001, **head))


def too_many_entries(mallory: Mallory) -> Fault | None:
    return mallory.say(mallory.requests(4_097))


def more_entries_than_the_log(mallory: Mallory) -> Fault | None:
    return mallory.say(mallory.requests(2, size=1))


def height_falls(mallory: Mallory) -> Fault | None:
    assert mallory.say(mallory.requests(height=9)) is None
    return mallory.say(mallory.requests(height=8))


def below_resume(mallory: Mallory) -> Fault | None:
    mallory.pair.do(0, BlockSeen(height=5, clock_ms=NOW_MS, row=None))
    assert mallory.say(encode(ResumeAsk(height=5)), Message.RESUME_ASK) is None
    return mallory.say(mallory.requests(height=4))


def after_closing(mallory: Mallory) -> Fault | None:
    assert mallory.say(mallory.requests()) is None
    final = mallory.victim.peer.signed
    assert final is not None
    assert mallory.say(encode(Shutdown(final=final)), Message.SHUTDOWN) is None
    return mallory.say(mallory.requests())


def window_exceeded(mallory: Mallory) -> Fault | None:
    mallory.victim.clock_is_off = True  # it cannot answer
    for at in range(WINDOW_BATCHES):
        assert mallory.say(mallory.requests(at=at)) is None
    return mallory.say(mallory.requests(at=WINDOW_BATCHES))


def resume_for_another_height(mallory: Mallory) -> Fault | None:
    return _resume(mallory, height=1_000)


def resume_for_the_other_side(mallory: Mallory) -> Fault | None:
    return _resume(mallory, side=1)


def _resume(mallory: Mallory, **changes: Any) -> Fault | None:
    pair = mallory.pair
    write(pair, 0, *CONSENTED)
    pair.crash(0)
    mallory.victim = pair.channels[0]
    pair.connect()
    pair.deliver(0)
    pair.block()
    pair.block()
    asked = mallory.victim.resume_height
    assert asked is not None
    own = mallory.victim.own
    fields: dict[str, Any] = {"side": 0, "height": asked, "size": own.size, "root": own.frontier.root()}
    resume = Resume(version=1, chain=CHAIN, channel=mallory.victim.id, **fields | changes)
    signed = sign_shape(KEYS[1], 1, Purpose.RESUME, mallory.context, resume)
    return mallory.say(encode(ResumeGiven(resume=signed)), Message.RESUME_GIVEN)


def message_without_place(mallory: Mallory) -> Fault | None:
    return mallory.say(b"", Message.ACCEPT)


def closing_before_the_last_words(mallory: Mallory) -> Fault | None:
    frontier = Frontier()
    return mallory.say(encode([mallory.commitment(frontier)]), Message.CLOSING)


def too_much_from_the_future(mallory: Mallory) -> Fault | None:
    message = mallory.requests(at=CLOCK_SKEW_MS_MAX + 1)
    for _ in range(HELD_BATCHES_MAX):
        assert mallory.say(message) is None
    return mallory.say(message)


def other_key(mallory: Mallory) -> Fault | None:
    """A number that is registered, another's signature."""
    message = mallory.requests()
    mallory.victim.peer_keys = {1: KEYS[0].public_key}
    return mallory.say(message)


def our_own_words(mallory: Mallory) -> Fault | None:
    mallory.victim.peer_keys = {1: KEYS[1].public_key}
    return mallory.say(mallory.requests(side=0))


def another_channel(mallory: Mallory) -> Fault | None:
    return mallory.say(mallory.requests(channel=digest(b"elsewhere")))


def another_version(mallory: Mallory) -> Fault | None:
    return mallory.say(mallory.requests(version=2))


def garbage(mallory: Mallory) -> Fault | None:
    return mallory.say(b"\x93\x00")


def holds_more_than_was_signed(mallory: Mallory) -> Fault | None:
    said = Reestablish(own_size=0, own_root=EMPTY_ROOT, peer_size=5, peer_root=digest(b"root"), floor=0)
    return mallory.say(encode(said), Message.REESTABLISH)


def holds_another_head(mallory: Mallory) -> Fault | None:
    write(mallory.pair, 0, *CONSENTED)
    said = Reestablish(own_size=0, own_root=EMPTY_ROOT, peer_size=1, peer_root=digest(b"root"), floor=0)
    return mallory.say(encode(said), Message.REESTABLISH)


def test_who_lost_half_a_batch_is_given_back_the_whole() -> None:
    """[START-7] Her own signature tells her that she wrote otherwise since."""
    mallory = Mallory()
    assert mallory.say(mallory.requests(3)) is None
    said = Reestablish(own_size=2, own_root=digest(b"root"), peer_size=0, peer_root=EMPTY_ROOT, floor=0)
    assert mallory.say(encode(said), Message.REESTABLISH) is None
    assert mallory.victim.phase is Phase.OPEN
    assert mallory.victim.give_back_at is None
    assert any(send.type == Message.GIVEN_BACK for send in mallory.pair.inboxes[1])


def test_a_resume_of_another_log_leaves_the_process_in_doubt() -> None:
    mallory = Mallory()
    assert _resume(mallory, root=digest(b"root")) is None
    assert mallory.victim.doubtful
    assert not mallory.victim.resumed


def last_word_spends_less(mallory: Mallory) -> Fault | None:
    """[END-7] It would be paid out by the chain: the fees that were paid would come back to her."""
    index = granted(mallory.pair, fee=7)
    mallory.pair.append(1, [Pay(time=NOW_MS + 5, amount=7, grant=index), Receipt(time=NOW_MS + 5, grant=index)])
    mallory.pair.settle()
    held = mallory.victim.peer
    final = mallory.commitment(held.frontier, spent=0)
    return mallory.say(encode(Shutdown(final=final)), Message.SHUTDOWN)


def last_word_of_an_empty_log_spends(mallory: Mallory) -> Fault | None:
    return mallory.say(encode(Shutdown(final=mallory.commitment(Frontier(), spent=7))), Message.SHUTDOWN)


def last_word_is_not_the_newest(mallory: Mallory) -> Fault | None:
    frontier, _ = Frontier().extend([digest(b"more")])
    return mallory.say(encode(Shutdown(final=mallory.commitment(frontier))), Message.SHUTDOWN)


CASES: list[tuple[Fault, Callable[[Mallory], Fault | None]]] = [
    (Fault.MALFORMED, garbage),
    (Fault.MALFORMED, too_many_entries),
    (Fault.BAD_SIGNATURE, other_key),
    (Fault.BAD_SIGNATURE, our_own_words),
    (Fault.WRONG_CHANNEL, another_channel),
    (Fault.WRONG_VERSION, another_version),
    (Fault.LOG_GAP, gap),
    (Fault.LOG_GAP, last_word_is_not_the_newest),
    (Fault.WRONG_ROOT, wrong_root),
    (Fault.WRONG_ROOT, other_salts),
    (Fault.EQUIVOCATION, two_heads),
    (Fault.EQUIVOCATION, last_word_spends_less),
    (Fault.EQUIVOCATION, last_word_of_an_empty_log_spends),
    (Fault.UNKNOWN_HEAD, unknown_head),
    (Fault.UNKNOWN_HEAD, seen_entry_lies),
    (Fault.UNKNOWN_HEAD, seen_is_not_in_the_log),
    (Fault.UNKNOWN_HEAD, holds_more_than_was_signed),
    (Fault.UNKNOWN_HEAD, holds_another_head),
    (Fault.WRONG_SPENT, wrong_spent),
    (Fault.NOT_COVERED, not_covered),
    (Fault.BATCH_SIZE, more_entries_than_the_log),
    (Fault.HEIGHT_FALLS, height_falls),
    (Fault.BELOW_RESUME, below_resume),
    (Fault.AFTER_CLOSING, after_closing),
    (Fault.WINDOW_EXCEEDED, window_exceeded),
    (Fault.BAD_RESUME, resume_for_another_height),
    (Fault.BAD_RESUME, resume_for_the_other_side),
    (Fault.UNEXPECTED, message_without_place),
    (Fault.UNEXPECTED, closing_before_the_last_words),
    (Fault.HELD, too_much_from_the_future),
]


@pytest.mark.parametrize(("fault", "story"), CASES, ids=[story.__name__ for _, story in CASES])
def test_a_fault_ends_as_a_value(fault: Fault, story: Callable[[Mallory], Fault | None]) -> None:
    assert story(Mallory()) is fault


def test_every_fault_of_a_channel_is_tried() -> None:
    assert {fault for fault in Fault if 200 <= fault <= 213} <= {fault for fault, _ in CASES}


def test_a_frozen_channel_takes_nothing_and_signs_nothing() -> None:
    mallory = Mallory()
    assert mallory.say(b"") is Fault.MALFORMED
    assert mallory.pair.do(0, MessageReceived(Message.BATCH, mallory.requests())) == []
    effects = mallory.pair.append(0, [CONSENTED[0]], [CONSENTED[1]])
    assert not [effect for effect in effects if isinstance(effect, (Send, Written))]
    mallory.pair.crash(0)
    assert mallory.pair.channels[0].phase is Phase.FROZEN


def test_every_message_survives_any_bytes() -> None:
    for type_ in range(40):
        for payload in (b"", b"\xc0", b"\x90", b"\x91\x00", b"\x94\x00\x00\x00\x00", b"\xff" * 40):
            pair = Pair()
            pair.do(0, MessageReceived(type_, payload))
            assert pair.channels[0].phase in (Phase.OPEN, Phase.FROZEN)
