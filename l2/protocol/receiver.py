"""Receiving: a batch is decoded, hashed, opened, judged, made durable, and answered with our own next batch.

[LOG-4] A repeated batch is passed over: its answer may have been lost on the way, and it comes with our next `seen`.
[LOG-5] Only what does not decode, hash, verify or cover its payment is refused; an entry that breaks the fold is void
and stays as evidence, since a refusal would wedge the channel.
[LOG-6] A batch more than five minutes ahead of our clock is held, not refused; so is everything signed by a key that we
cannot know yet: the peer may have read a newer block.
"""

from collections.abc import Callable, Sequence
from operator import attrgetter

from l1.ground.faults import Fault, Refused, require
from l1.ground.limits import CLOCK_SKEW_MS_MAX
from l1.rules.commitment import Commitment, Signed, decode_commitment, open_commitment
from l1.rules.log.entries import Entry, Seen
from l1.rules.log.leaves import decode_parts, leaf_hashes
from l2.protocol.batch import decode_batch
from l2.protocol.cases import check_words, overspent, void_accesses
from l2.protocol.channel import Channel, says_something
from l2.protocol.doubt import floor_of, is_refused
from l2.protocol.events import Acknowledged, Arrived, Effect, Tell
from l2.protocol.fold_rows import let_stand
from l2.protocol.limits import HELD_BATCHES_MAX, WINDOW_BATCHES
from l2.protocol.log import tiles
from l2.protocol.messages import Message
from l2.protocol.reconnect import heads
from l2.protocol.rows import batch_key

__all__ = ["hold", "let_go", "must_wait", "open_peer", "peer_key", "receive_batch"]

_time_of = attrgetter("time")


def peer_key(channel: Channel, signed: Signed) -> bytes:
    """The peer's channel key that the words name. Raises `Refused` (UNKNOWN_KEY) if it does not count here."""
    key = channel.peer_keys.get(signed.key)
    if key is None:
        raise Refused(Fault.UNKNOWN_KEY, f"the peer has no valid channel key number {signed.key}")
    return key


def must_wait(channel: Channel, key: int) -> bool:
    """[LOG-6] Whether words by this key of the peer come before their time, or behind others that do."""
    return bool(channel.held) or key not in channel.peer_keys


def open_peer(channel: Channel, signed: Signed) -> Commitment:
    """A commitment of the peer, opened with the key it names."""
    commitment = open_commitment(signed, channel.context, peer_key(channel, signed))
    require(commitment.side == 1 - channel.side, Fault.BAD_SIGNATURE, "the commitment is for the other side's log")
    return commitment


def receive_batch(channel: Channel, message: bytes, now_ms: int) -> list[Effect]:
    """Take in a batch message. Raises `Refused` for a fault of the peer."""
    if channel.held and channel.resumed:
        return hold(channel, Message.BATCH, message)
    batch = decode_batch(message)
    if not channel.resumed and is_refused(channel, decode_commitment(batch.commitment.body)):
        return []  # [START-10] the peer sends it again, signed anew, once it has heard of our floor
    if must_wait(channel, batch.commitment.key):
        return hold(channel, Message.BATCH, message)
    commitment = open_peer(channel, batch.commitment)
    check_words(channel, batch.commitment, commitment)
    first = commitment.size - batch.size
    require(first >= 0, Fault.BATCH_SIZE, "the batch has more entries than its log")
    if commitment.size <= channel.peer.size:
        return []  # [LOG-4]
    if not channel.resumed and (first != channel.peer.size or commitment.seen_size > channel.own.size):
        return []  # our disk is behind: what cannot be joined yet is asked for again when it can
    require(first == channel.peer.size, Fault.LOG_GAP, f"the batch starts at {first}, we hold {channel.peer.size}")
    _check_place(channel, commitment, batch.commitment.key)
    entries, terms = decode_parts(batch.publics, batch.privates)
    if max(map(_time_of, entries)) > now_ms + CLOCK_SKEW_MS_MAX:
        return hold(channel, Message.BATCH, message)

    side, before = 1 - channel.side, channel.peer.frontier
    salts = channel.readers[side].salts.span(first, len(entries))
    frontier, made = before.extend(leaf_hashes(batch.publics, batch.privates, salts))
    require(frontier.root() == commitment.root, Fault.WRONG_ROOT, "the entries do not hash to the signed root")
    _check_seen(channel, commitment, entries)
    said = says_something(entries)
    full = said and channel.resumed and channel.unanswered >= WINDOW_BATCHES
    require(not full, Fault.WINDOW_EXCEEDED, f"more than {WINDOW_BATCHES} batches wait for our answer")
    voids = channel.fold.judge(side, entries, terms)
    try:
        _check_totals(channel, batch.commitment, commitment)
    except Refused:
        channel.fold.undo()
        raise

    channel.peer.advance(frontier, batch.commitment, commitment)
    channel.unanswered += said
    rows = [(batch_key(side, first), message), *tiles(side, before, made), *let_stand(channel, side, first, voids)]
    effects: list[Effect] = [channel.persist(rows), Arrived(side, first, entries, terms, voids)]
    effects += take_acknowledgement(channel, commitment)
    return effects + void_accesses(channel, batch.commitment, first, entries, voids) if voids else effects


def _check_place(channel: Channel, commitment: Commitment, key: int) -> None:
    """[LOG-8] Heights never fall, nor below a `resume`; nothing comes after the last word. [ROT-2] Nor do keys."""
    before = 0 if channel.peer.signed is None else channel.peer.signed.key
    require(key >= before, Fault.EXPIRED, f"channel key {key} gave way to key {before} in this log")
    previous = channel.peer.commitment
    fallen = previous is not None and commitment.height < previous.height
    require(not fallen, Fault.HEIGHT_FALLS, "the commitment's height is below the one before")
    floor = floor_of(channel)
    require(commitment.height >= floor, Fault.BELOW_RESUME, f"signed below the height {floor} of its resume")
    last_word = channel.row.finals[1 - channel.side]
    require(last_word is None, Fault.AFTER_CLOSING, "a batch after the peer's final commitment")


def _check_seen(channel: Channel, commitment: Commitment, entries: Sequence[Entry]) -> None:
    """[LOG-7] `seen` is a head that we signed, and never an older one than before; in the entries as well."""
    said = [(commitment.seen_size, commitment.seen_root)]
    said += [(entry.size, entry.root) for entry in entries if type(entry) is Seen]
    for size, root in said:
        head = channel.unseen.get(size)
        known = head is not None and head[0] == root
        require(known, Fault.UNKNOWN_HEAD, f"`seen` names a head of {size} entries that we did not sign")


def _check_totals(channel: Channel, signed: Signed, commitment: Commitment) -> None:
    """[PAY-1] `spent` and `seen` are what the log itself says; [PAY-2] what is spent is covered."""
    log = channel.fold.logs[1 - channel.side]
    require(log.seen == commitment.seen_size, Fault.UNKNOWN_HEAD, "`seen` is not what the log itself says")
    income = channel.unseen[commitment.seen_size][1]
    if commitment.spent > channel.deposits[1 - channel.side] + income:
        raise overspent(channel, signed, commitment)
    require(
        log.spent == commitment.spent, Fault.WRONG_SPENT, f"`spent` is {commitment.spent}, the fold says {log.spent}"
    )


def take_acknowledgement(channel: Channel, commitment: Commitment) -> list[Effect]:
    """What the peer's `seen` tells of our own log."""
    if commitment.seen_size <= channel.acknowledged:
        return []
    channel.acknowledged = commitment.seen_size
    while channel.under_way and channel.under_way[0] <= commitment.seen_size:
        channel.under_way.popleft()
    for size in [size for size in channel.unseen if size < commitment.seen_size]:
        del channel.unseen[size]
    return [Acknowledged(commitment.seen_size)]


def hold(channel: Channel, type_: int, message: bytes) -> list[Effect]:
    """[LOG-6] Keep a message back, and whatever comes behind it."""
    if len(channel.held) == HELD_BATCHES_MAX and not channel.resumed:
        return []  # it is our clock that is slow, and an honest peer sends us all that we lost: asked for again later
    require(len(channel.held) < HELD_BATCHES_MAX, Fault.HELD, "too many messages before their time")
    channel.held.append((type_, message))
    return [Tell("held", "a message is ahead of our clock, or by a key we do not know yet; it is kept until its time")]


def let_go(channel: Channel, take: Callable[[int, bytes], list[Effect]]) -> list[Effect]:
    """Take in what was held and whose time has come."""
    effects: list[Effect] = []
    waiting, channel.held = list(channel.held), type(channel.held)()
    for type_, message in waiting:
        effects += take(type_, message)
    if waiting and not channel.held and channel.established and not channel.resumed:
        effects.append(heads(channel))  # what came after them was passed over
    return [effect for effect in effects if not (type(effect) is Tell and effect.what == "held")]
