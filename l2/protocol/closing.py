"""Closing: together, alone, or lost; and the checkpoint, which is a close that leaves the channel open.

[END-1] A side writes `closing` durably before it signs or posts any close, and signs no commitment after.
[END-2] Together: each sends its final commitment; then both sign over those two; the chain pays out at once.
[END-3] If that does not come about, either closes alone on the same two.
[END-4] Lost: the closer doubts its own disk, posts no commitment of its own and waits the double window.
[END-5] On every connection the last word comes after all that the peer lacks, the closing after both last words.
[END-8] A close alone that was decided, and that the chain does not show, is posted by the next process.
[END-9] A peer that has said its last word is answered no more. What still waits came after our own, that we forgot.
"""

from l1.ground.codec import encode
from l1.ground.faults import Fault, LocalError, require
from l1.ground.merkle import EMPTY_ROOT, Frontier
from l1.ground.signing import Purpose
from l1.rules.commitment import (
    EMPTY_HEAD,
    Commitment,
    Signed,
    closing_of,
    decode_commitment,
    open_closing,
    sign_shape,
)
from l1.rules.transactions import ChannelHeads, Checkpoint, Close, CloseTogether
from l2.protocol.cases import check_words, showable
from l2.protocol.channel import Channel, commitment_at
from l2.protocol.events import Effect, Persist, Send, Submit
from l2.protocol.messages import ClosingAgreed, Message, Shutdown, decode_closing, decode_shutdown
from l2.protocol.phases import Cue, Phase
from l2.protocol.receiver import hold, must_wait, open_peer, peer_key
from l2.protocol.reconnect import knows_floor
from l2.protocol.rows import close_key
from l2.protocol.state_rows import change, move

__all__ = [
    "ask_checkpoint",
    "ask_close",
    "checkpoint_heads",
    "close_again",
    "close_alone",
    "closing_received",
    "owes_last_word",
    "proceed",
    "shutdown_received",
    "warn",
]


def ask_close(channel: Channel, *, alone: bool, lost: bool) -> list[Effect]:
    """Raises `LocalError` where it cannot be done now."""
    if channel.phase in (Phase.ON_CHAIN, Phase.SETTLED):
        raise LocalError("the channel is already closing on the chain", "watch it with `interward channel show`")
    if alone and not lost and not channel.resumed and channel.may_lack_words():
        cause = "this disk may hold less than was said from it, and an old commitment of ours would cost the bond"
        raise LocalError(cause, "wait until the channel has resumed, or close it with --lost")
    if alone or lost:
        return close_alone(channel, lost=lost, reason="closed alone by us" + (", state lost" if lost else ""))
    if channel.phase is Phase.FROZEN:
        raise LocalError("the channel is frozen: the peer committed a fault", "close it with --alone")
    if not channel.established or not channel.resumed:
        raise LocalError("the peer is not connected", "wait until it is back, or close with --alone")
    channel.close_wanted = True
    return []


def close_alone(channel: Channel, *, lost: bool, reason: str) -> list[Effect]:
    """Close alone on the newest of both that we hold; `reason` is for people."""
    effects: list[Effect] = []
    moved = move(channel, Cue.CLOSE_DECIDED, reason)
    if moved is not None:
        effects.append(moved)
    channel.closing_alone = lost
    effects.append(channel.persist([(close_key(), bytes([lost]))]))
    return [*effects, _post(channel, lost=lost, why="close alone")]


def close_again(channel: Channel) -> list[Effect]:
    """[END-8] What was decided before a crash; once in each process, which asks until the chain has answered."""
    if channel.closing_alone is None or channel.close_posted:
        return []
    return [_post(channel, lost=channel.closing_alone, why="close alone, as was decided before the process ended")]


def _post(channel: Channel, *, lost: bool, why: str) -> Submit:
    channel.close_posted = True
    own = None if lost else _unsettled(channel, channel.side, channel.own.signed)
    peer = _unsettled(channel, 1 - channel.side, showable(channel))
    return Submit(Close(channel=channel.id, own=own, peer=peer, lost=lost), why)


def _unsettled(channel: Channel, side: int, newest: Signed | None) -> Signed | None:
    """A side's newest commitment; None where the chain has settled more, and would refuse to go back: a disk that is
    behind knows less than a checkpoint."""
    settled = 0 if channel.l1 is None else channel.l1.sides[side].settled.size
    return None if newest is None or decode_commitment(newest.body).size < settled else newest


def proceed(channel: Channel) -> list[Effect]:
    """Once nothing of ours waits any more, write `closing`; once nothing is lacking, say our last word."""
    effects: list[Effect] = []
    if _may_decide(channel):
        final = channel.own.signed or _empty_final(channel)
        moved = move(channel, Cue.CLOSE_DECIDED, "closing together")
        assert moved is not None
        effects += [moved, _note_final(channel, channel.side, final)]
    return effects + _say_final(channel)


def _may_decide(channel: Channel) -> bool:
    ready = channel.close_wanted and channel.established and channel.may_sign()
    if not ready or channel.queue or channel.resend_at is not None:
        return False
    # Who asked answers, and waits for what is under way: the peer's answer brings it. [END-9] A peer that is closing
    # answers no more, and waits for no answer.
    return channel.peer_closes or not (channel.unanswered or channel.under_way)


def _empty_final(channel: Channel) -> Signed:
    """An empty log was never signed; closing together needs words for it all the same."""
    return channel.sign_commitment(channel.commitment_to(Frontier(), EMPTY_ROOT, 0, (0, EMPTY_ROOT)))


def _note_final(channel: Channel, side: int, final: Signed) -> Persist:
    finals = list(channel.row.finals)
    finals[side] = final
    return change(channel, finals=(finals[0], finals[1]))


def _say_final(channel: Channel) -> list[Effect]:
    """[END-5] Said once on every connection, after everything that the peer lacked."""
    final = channel.row.finals[channel.side]
    ready = channel.established and knows_floor(channel) and channel.phase is Phase.CLOSING and final is not None
    if not ready or channel.final_said or channel.resend_at is not None or channel.give_back_at is not None:
        return []
    assert final is not None
    channel.final_said = True
    return [Send(Message.SHUTDOWN, encode(Shutdown(final=final))), *_agree(channel)]


def owes_last_word(channel: Channel) -> bool:
    """[END-6] Whether the peer has said its last word to us, and we cannot say ours yet. A new process of it may not
    know that, and would sign beyond."""
    ours, theirs = channel.row.finals[channel.side], channel.row.finals[1 - channel.side]
    return theirs is not None and (ours is None or channel.phase is not Phase.CLOSING)


def warn(channel: Channel) -> list[Effect]:
    """[END-6] Before a peer may sign again it hears that we do not: its older self may have agreed to close. Never
    where `owes_last_word`."""
    final = channel.row.finals[channel.side]
    if channel.phase is not Phase.CLOSING or final is None:
        return []
    return [Send(Message.SHUTDOWN, encode(Shutdown(final=final)))]


def shutdown_received(channel: Channel, payload: bytes) -> list[Effect]:
    said: Shutdown = decode_shutdown(payload)
    channel.peer_closes = True  # [END-9] even where the words themselves must wait
    if must_wait(channel, said.final.key):
        return hold(channel, Message.SHUTDOWN, payload)
    commitment = open_peer(channel, said.final)
    channel.close_wanted = True
    if commitment.size > channel.peer.size and not channel.resumed:
        return []  # our disk is behind: it is said again once we have caught up
    check_words(channel, said.final, commitment)
    _check_final(channel, commitment)
    channel.final_heard = True
    return [_note_final(channel, 1 - channel.side, said.final), *_agree(channel)]


def _check_final(channel: Channel, final: Commitment) -> None:
    """[END-7] The last word is what we hold already, whole: another `spent` would pay out something else."""
    held = channel.peer.commitment
    require(final.size == channel.peer.size, Fault.LOG_GAP, "the final commitment is not the newest we hold")
    said = (final.root, final.spent, final.seen)
    expected = (EMPTY_ROOT, 0, EMPTY_HEAD) if held is None else (held.root, held.spent, held.seen)
    require(said == expected, Fault.EQUIVOCATION, "the final commitment says something else than the one we hold")


def _finals(channel: Channel) -> tuple[Signed, Signed] | None:
    first, second = channel.row.finals
    return None if first is None or second is None else (first, second)


def _agree(channel: Channel) -> list[Effect]:
    """Sign the closing once both last words were said on this connection, and our own `closing` is written."""
    finals = _finals(channel)
    said = channel.final_said and channel.final_heard
    if finals is None or channel.phase is not Phase.CLOSING or not said:
        return []
    closing = closing_of(channel.context, finals)
    signed = sign_shape(channel.me.signer, channel.me.key, Purpose.CLOSING, channel.context, closing)
    effects: list[Effect] = [_note_closing(channel, channel.side, signed)]
    effects.append(Send(Message.CLOSING, encode(ClosingAgreed(closing=signed))))
    return effects + _submit_together(channel)


def _note_closing(channel: Channel, side: int, closing: Signed) -> Persist:
    closings = list(channel.row.closings)
    closings[side] = closing
    return change(channel, closings=(closings[0], closings[1]))


def closing_received(channel: Channel, payload: bytes) -> list[Effect]:
    said = decode_closing(payload)
    if must_wait(channel, said.closing.key):
        return hold(channel, Message.CLOSING, payload)
    finals = _finals(channel)
    require(finals is not None, Fault.UNEXPECTED, "a closing before both final commitments")
    assert finals is not None
    open_closing(said.closing, channel.context, peer_key(channel, said.closing), finals)
    return [_note_closing(channel, 1 - channel.side, said.closing), *_submit_together(channel)]


def _submit_together(channel: Channel) -> list[Effect]:
    finals, (first, second) = _finals(channel), channel.row.closings
    if finals is None or first is None or second is None:
        return []
    together = CloseTogether(channel=channel.id, finals=finals, closings=(first, second))
    return [Submit(together, "close together")]


# -- checkpoints --------------------------------------------------------------------------------------------------


def checkpoint_heads(channel: Channel) -> ChannelHeads | None:
    """Commitments that settle both newest heads that both signed; None where the chain knows them already.

    Our head counts by our commitment at the size that the peer saw and the peer's newest; the peer's likewise.
    """
    own, peer = channel.own, channel.peer
    if own.signed is None or peer.signed is None:
        return None
    assert own.commitment is not None
    assert peer.commitment is not None
    seen = peer.commitment.seen_size
    found = [
        # The newest head is perhaps signed again with a later key than its batch.
        own.signed if seen == own.size else commitment_at(channel, channel.side, seen),
        peer.signed,
        own.signed,
        commitment_at(channel, 1 - channel.side, own.commitment.seen_size),
    ]
    if channel.l1 is not None:
        known = [side.settled.size for side in channel.l1.sides]
        settled = [peer.commitment.seen_size, own.commitment.seen_size]
        rotated = seen == own.size and own.signed.key > channel.l1.sides[channel.side].newest_key
        if settled[0] <= known[channel.side] and settled[1] <= known[1 - channel.side] and not rotated:
            return None
    distinct = list(dict.fromkeys(signed for signed in found if signed is not None))
    return ChannelHeads(channel=channel.id, commitments=tuple(distinct))


def ask_checkpoint(channel: Channel) -> list[Effect]:
    heads = checkpoint_heads(channel)
    if heads is None:
        raise LocalError("there is nothing new that both hospitals signed", "write entries first")
    return [Submit(Checkpoint(heads=(heads,)), "checkpoint")]
