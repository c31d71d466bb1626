"""Coming back after a cut: both say which heads they hold, and each sends what the other lacks.

[REC-1] On every connection both first say which heads they hold; anything before that is left over from an older line.
[REC-2] What the other lacks of our log is sent again, as it was signed; what it lost of its own is given back.
[REC-3] Every batch comes after what it has seen of the other log, so that it joins at once. Where both hold both logs,
such an order exists: it is the one in which they were written.
[REC-4] What was given back counts by our own signature alone.
[REC-6] A peer that refuses what we signed below a height gets it signed anew: a disk may forget a promise that it got,
or remember one and forget what came after it; or the peer has started, and forgot what it promised before [START-10].
[REC-5] What a peer lacks is sent as fast as it takes it: whole logs do not fit on a line.
"""

from l1.ground.codec import encode
from l1.ground.faults import Fault, require
from l1.rules.commitment import Commitment, decode_commitment, open_commitment
from l1.rules.log.leaves import decode_parts, leaf_hashes
from l2.protocol.batch import decode_batch, encode_batch
from l2.protocol.channel import Channel, commitment_at, own_head, says_something
from l2.protocol.doubt import floor_of
from l2.protocol.events import Arrived, Effect, Send
from l2.protocol.fold_rows import let_stand
from l2.protocol.log import tiles
from l2.protocol.messages import Message, Reestablish, decode_reestablish
from l2.protocol.phases import Phase
from l2.protocol.rows import Damaged, batch_key
from l2.protocol.stored import check_stored

__all__ = [
    "connect",
    "disconnect",
    "given_back",
    "has_more",
    "heads",
    "knows_floor",
    "lacks_old_words",
    "may_renew",
    "own_head_or_fault",
    "reestablish",
    "resend",
]

RESEND_BATCHES = 8  # per step: a peer that lost everything is served between other work


def connect(channel: Channel) -> list[Effect]:
    disconnect(channel)
    channel.connected = True
    return [heads(channel)] if knows_floor(channel) else []


def disconnect(channel: Channel) -> None:
    channel.connected = channel.established = False
    channel.resend_at = channel.give_back_at = None
    channel.doubtful = False
    channel.asked = None
    channel.resume_asked = channel.final_said = channel.final_heard = channel.line_is_full = False
    channel.held.clear()  # they come again


def knows_floor(channel: Channel) -> bool:
    """[START-10] Whether it is known below which height the peer's words are refused. Nothing is said before that."""
    return channel.trusted is None or channel.started_at is not None


def heads(channel: Channel) -> Effect:
    said = Reestablish(
        own_size=channel.own.size,
        own_root=channel.own.frontier.root(),
        peer_size=channel.peer.size,
        peer_root=channel.peer.frontier.root(),
        floor=floor_of(channel),
    )
    return Send(Message.REESTABLISH, encode(said))


def reestablish(channel: Channel, payload: bytes) -> None:
    """What the peer holds: from here on we know what it lacks."""
    said: Reestablish = decode_reestablish(payload)
    channel.established = True
    channel.peer_said = said.own_size
    channel.renew_below = said.floor
    channel.final_said = False
    channel.resend_at = channel.give_back_at = None
    if said.peer_size > channel.own.size:
        require(not channel.resumed, Fault.UNKNOWN_HEAD, "the peer says that it holds more of our log than we signed")
    else:
        root, _ = own_head_or_fault(channel, said.peer_size)
        require(root == said.peer_root, Fault.UNKNOWN_HEAD, "the peer holds a head of ours that we did not sign")
        channel.resend_at = said.peer_size if said.peer_size < channel.own.size else None
    if said.own_size < channel.peer.size:
        # Where no batch starts there, its disk is of another history: it learns so from its own signature.
        channel.give_back_at = channel.readers[1 - channel.side].first_of(said.own_size)


def own_head_or_fault(channel: Channel, size: int) -> tuple[bytes, int]:
    known = size == 0 or commitment_at(channel, channel.side, size) is not None
    require(known, Fault.UNKNOWN_HEAD, f"no batch of ours ends at {size} entries")
    return own_head(channel, size)


# -- what the other lacks -----------------------------------------------------------------------------------------


def resend(channel: Channel) -> list[Effect]:
    """Stored batches that the peer lacks, a few at a time."""
    effects: list[Effect] = []
    while has_more(channel) and len(effects) < RESEND_BATCHES:
        if _may_give_back(channel):
            assert channel.give_back_at is not None
            at, size = channel.give_back_at, channel.peer.size
            message, after = _stored(channel, 1 - channel.side, at)
            effects.append(Send(Message.GIVEN_BACK, message))
            channel.give_back_at = after if after < size else None
        else:
            assert channel.resend_at is not None
            message, after = _outgoing(channel, channel.resend_at)
            effects.append(Send(Message.BATCH, message))
            channel.resend_at = after if after < channel.own.size else None
    return effects


def has_more(channel: Channel) -> bool:
    """[REC-5] Whether `resend` has something to send now, and the line has room for it."""
    return not channel.line_is_full and knows_floor(channel) and (_may_give_back(channel) or _may_resend(channel))


def _may_give_back(channel: Channel) -> bool:
    at, ours = channel.give_back_at, channel.resend_at
    return at is not None and (ours is None or _seen_at(channel, 1 - channel.side, at) <= ours)


def _may_resend(channel: Channel) -> bool:
    """Before we have resumed nothing of ours is sent: it will be signed again. Who said its last word had resumed; who
    closed alone had perhaps not, and its peer may have promised to refuse what was signed before a `resume`."""
    at, theirs = channel.resend_at, channel.give_back_at
    if at is None or not (channel.resumed or channel.row.finals[channel.side] is not None):
        return False
    renews = _said_at(channel, channel.side, at).height < channel.renew_below
    if renews and not (may_renew(channel) and channel.resumed and channel.height >= channel.renew_below):
        return False  # it would be refused
    if channel.key_is_over() and (renews or channel.readers[channel.side].message(at).commitment.key < channel.over):
        return False  # [ROT-2] the peer may hold words before it under a later key of ours
    return theirs is None or _seen_at(channel, channel.side, at) <= theirs


def may_renew(channel: Channel) -> bool:
    """Whether words of ours may be signed again at the height of now: not once one of us goes to the chain alone."""
    together = channel.phase is Phase.CLOSING and channel.closing_alone is None
    return channel.phase is Phase.OPEN or together


def lacks_old_words(channel: Channel) -> bool:
    """Whether the peer lacks words of ours that it takes only if they are signed anew."""
    at = channel.resend_at
    return at is not None and _said_at(channel, channel.side, at).height < channel.renew_below


def _seen_at(channel: Channel, side: int, first: int) -> int:
    """How much of the other log a stored batch has seen."""
    return _said_at(channel, side, first).seen_size


def _said_at(channel: Channel, side: int, first: int) -> Commitment:
    return decode_commitment(channel.readers[side].message(first).commitment.body)


def _outgoing(channel: Channel, first: int) -> tuple[bytes, int]:
    """A batch of ours as it is stored; [ROT-3] under the new key if its own gave way since; [REC-6] at the height of
    now if the peer would refuse its own, or if one before it was renewed: heights never fall along a log."""
    message, after = _stored(channel, channel.side, first)
    batch, said = channel.readers[channel.side].message(first), _said_at(channel, channel.side, first)
    if said.height < channel.renew_below:
        channel.renew_below = max(channel.renew_below, channel.height)
        signed = channel.sign_commitment(channel.renewed(said))
        return encode_batch(batch.publics, batch.privates, signed), after
    channel.renew_below = max(channel.renew_below, said.height)
    if batch.commitment.key >= channel.me.key:
        return message, after
    signed = channel.sign_again(batch.commitment)
    return encode_batch(batch.publics, batch.privates, signed), after


def _stored(channel: Channel, side: int, first: int) -> tuple[bytes, int]:
    """A stored batch message, and where the next one starts."""
    message = channel.rows.get(batch_key(side, first))
    if message is None:  # a batch starts where another ends
        raise Damaged(f"no batch of side {side} starts at {first}")
    batch = channel.readers[side].message(first)
    check_stored(channel, batch.commitment, side)
    return message, first + batch.size


# -- getting our own log back -------------------------------------------------------------------------------------


def given_back(channel: Channel, payload: bytes, own_keys: dict[int, bytes]) -> list[Effect]:
    """[REC-4] One of our own batches comes back."""
    if channel.resumed:
        return []
    batch = decode_batch(payload)
    key = own_keys.get(batch.commitment.key)
    require(key is not None, Fault.UNKNOWN_KEY, "that was never a channel key of ours")
    assert key is not None
    commitment = open_commitment(batch.commitment, channel.context, key)
    require(commitment.side == channel.side, Fault.BAD_SIGNATURE, "that is not a batch of our log")
    first, side = commitment.size - batch.size, channel.side
    if first < channel.own.size:
        known = commitment_at(channel, side, commitment.size)
        same = known is not None and decode_commitment(known.body).root == commitment.root
        require(same, Fault.UNKNOWN_HEAD, f"we signed another head of {commitment.size} entries than our disk holds")
    if first != channel.own.size or commitment.seen_size > channel.peer.size:
        return []
    entries, terms = decode_parts(batch.publics, batch.privates)
    before = channel.own.frontier
    salts = channel.readers[side].salts.span(first, len(entries))
    frontier, made = before.extend(leaf_hashes(batch.publics, batch.privates, salts))
    require(frontier.root() == commitment.root, Fault.WRONG_ROOT, "the entries do not hash to our signed root")
    voids = channel.fold.judge(side, entries, terms)
    channel.own.advance(frontier, batch.commitment, commitment)
    rows = [(batch_key(side, first), payload), *tiles(side, before, made), *let_stand(channel, side, first, voids)]
    channel.unseen[frontier.size] = (commitment.root, commitment.spent)
    if says_something(entries):
        channel.under_way.append(frontier.size)
    if channel.fold.logs[side].seen == channel.peer.size:
        channel.unanswered = 0
    return [channel.persist(rows), Arrived(side, first, entries, terms, voids)]
