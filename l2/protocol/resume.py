"""Resuming: a process that starts signs nothing before its peer has said what it holds, signed, at a new height.

[START-1] It asks with a height above every block that it saw when it started, above all that it signed as far as it
knows, and above what it asked with before. So two processes of one hospital never get the same `resume`.
[START-2] Who signs a `resume` at h refuses that side's commitments below h from then on, and wrote so first. It has
seen the chain reach h.
[START-3] If the peer holds more of our log than we do, it gives it back first; then we go on.
[START-4] Batches that the peer never got are signed again at the new height: same size, same root, same words.
[START-5] A channel that is closing needs no `resume`, for nothing new is signed in it; but to sign last words again.
[START-7] Before it has resumed a process blames nobody for what does not fit its disk: that may be a copy from before a
loss, with words that were never heard and then written otherwise. It signs nothing, and tells its operator.
[START-6] Who did not find its log on its own disk, or knows that its disk is a copy, shows the `resume` to the chain
and signs nothing before it stands there: the peer may hold more than it said, and what it kept back must not count.
"""

from l1.ground.codec import encode
from l1.ground.faults import Fault, Refused, require
from l1.ground.limits import VERSION
from l1.ground.signing import Purpose
from l1.rules.commitment import Resume, Signed, decode_commitment, open_resume, sign_shape
from l1.rules.state import Claim
from l1.rules.transactions import ResumeChannel
from l2.protocol.batch import encode_batch
from l2.protocol.channel import Channel
from l2.protocol.events import Effect, Resumed, Send, Submit, Tell
from l2.protocol.messages import Message, ResumeAsk, ResumeGiven, decode_resume_ask, decode_resume_given
from l2.protocol.phases import Phase
from l2.protocol.receiver import hold, peer_key
from l2.protocol.reconnect import heads, lacks_old_words, may_renew, own_head_or_fault
from l2.protocol.rows import batch_key
from l2.protocol.state_rows import change

__all__ = ["ask_resume", "doubt", "give_resume", "proceed_resume", "resume_asked", "resume_given"]

SHOW_AGAIN_BLOCKS = 10  # what the chain does not hold by then is brought to it again
ASK_AGAIN_BLOCKS = 3  # without an answer for so long, ask with a newer height: the peer may have known better


def ask_resume(channel: Channel) -> list[Effect]:
    """[START-1] Ask as soon as there are a line and a block that is new enough."""
    needs = channel.phase is Phase.OPEN or (may_renew(channel) and lacks_old_words(channel))
    wants = needs and not channel.resumed and channel.resume_waiting is None
    if not wants or not channel.connected or channel.started_at is None:
        return []
    asked_at = channel.resume_height or 0
    if channel.resume_asked and channel.height < asked_at + ASK_AGAIN_BLOCKS:
        return []
    signed_at = channel.own.commitment.height if channel.own.commitment else 0
    if channel.height <= max(channel.started_at, signed_at, asked_at):
        return []
    channel.resume_height, channel.resume_asked = channel.height, True
    return [Send(Message.RESUME_ASK, encode(ResumeAsk(height=channel.height)))]


def resume_asked(channel: Channel, payload: bytes) -> None:
    """[START-2] The newest ask counts. A height that we have not seen yet waits for its block."""
    asked: ResumeAsk = decode_resume_ask(payload)
    channel.asked = asked.height


def give_resume(channel: Channel) -> list[Effect]:
    """[START-2] Promise, then say what we hold. A height that could have been signed at before gets no answer."""
    height, channel.asked = channel.asked, None
    assert height is not None, "somebody asked"
    newest = channel.peer.commitment.height if channel.peer.commitment else 0
    if height <= max(newest, channel.row.peer_floor):
        return [Tell("resume", f"the peer asked to resume at height {height}, which is not new")]
    if _denies_what_we_showed(channel, height):
        return [Tell("resume", "we showed the chain more of the peer's log than we hold now: no resume says less")]
    resume = Resume(
        version=VERSION,
        chain=channel.context.chain,
        channel=channel.id,
        side=1 - channel.side,
        height=height,
        size=channel.peer.size,
        root=channel.peer.frontier.root(),
    )
    signed = sign_shape(channel.me.signer, channel.me.key, Purpose.RESUME, channel.context, resume)
    return [
        change(channel, peer_floor=height),
        Send(Message.RESUME_GIVEN, encode(ResumeGiven(resume=signed))),
    ]


def _denies_what_we_showed(channel: Channel, height: int) -> bool:
    """[START-2] Whether a `resume` over what we hold makes words void that the chain has from our own key: our disk
    has forgotten them, and it would be our bond (RESUME-5)."""
    row, held = channel.l1, channel.peer.size
    if row is None:
        return False
    side = row.sides[1 - channel.side]
    words = [(side.posted.size, side.posted_height)] if side.posted_by_peer else []
    for claim in row.claims:
        if isinstance(claim, Claim) and claim.by_peer and claim.side != channel.side:
            words += claim.words
    return any(size > held and signed_at < height for size, signed_at in words)


def resume_given(channel: Channel, payload: bytes) -> list[Effect]:
    given: ResumeGiven = decode_resume_given(payload)
    if channel.resumed:
        return []
    if given.resume.key not in channel.peer_keys:
        return hold(channel, Message.RESUME_GIVEN, payload)
    resume = _open(channel, given.resume)
    asked_at = channel.resume_height or 0
    if resume.height < asked_at:
        return []  # an answer to what we asked before
    require(resume.height == asked_at, Fault.BAD_RESUME, "the resume is not the one we asked for")
    require(resume.side == channel.side, Fault.BAD_RESUME, "the resume is for the other side")
    channel.resume_waiting = given.resume
    return []


def _open(channel: Channel, signed: Signed) -> Resume:
    return open_resume(signed, channel.context, peer_key(channel, signed))


def proceed_resume(channel: Channel) -> list[Effect]:
    """[START-3] Resume once we hold as much of our log as the peer said."""
    waiting = channel.resume_waiting
    if channel.resumed or waiting is None or not may_renew(channel):
        return []  # [START-5] else words would go out that the `resume` makes void
    if channel.key_is_over():
        return []  # [ROT-2] what the peer lacks has to be signed again
    resume = _open(channel, waiting)
    if resume.size > channel.own.size:
        return []
    root, _ = own_head_or_fault(channel, resume.size)
    require(root == resume.root, Fault.UNKNOWN_HEAD, "the peer names a head of ours that we did not sign")
    settled = 0 if channel.l1 is None else channel.l1.sides[channel.side].settled.size
    require(channel.own.size >= settled, Fault.BAD_RESUME, f"of {settled} settled entries of ours the peer holds fewer")
    if channel.may_lack_words() and not _stands(channel, resume):
        return _show(channel, waiting)
    effects: list[Effect] = [change(channel, resume=waiting)]
    channel.resumed, channel.resume_waiting = True, None
    effects += _sign_again(channel, min(resume.size, _void_size(channel)))
    if channel.phase is Phase.CLOSING:
        effects.append(_renew_final(channel))
    if channel.established:
        effects.append(heads(channel))  # anything that could not be joined before is sent again
    return [*effects, Resumed()]


def doubt(channel: Channel, refused: Refused) -> list[Effect]:
    """[START-7] What the peer says does not fit our disk. On this connection nothing more is taken from it."""
    channel.doubtful, channel.resume_waiting = True, None
    return [Tell("doubt", f"{refused}. Either our disk is a copy from before a loss, or the peer lies")]


def _stands(channel: Channel, resume: Resume) -> bool:
    return channel.l1 is not None and channel.l1.sides[channel.side].resume_height >= resume.height


def _show(channel: Channel, signed: Signed) -> list[Effect]:
    """[START-6] What we forgot and the peer did not give back is void from here on; asked again once in a while."""
    if channel.height < channel.resume_shown_at + SHOW_AGAIN_BLOCKS:
        return []
    channel.resume_shown_at = channel.height
    why = f"our disk may lack some of our log: what the peer has not given back is void at height {channel.height}"
    return [Submit(ResumeChannel(channel=channel.id, resume=signed), why)]


def _renew_final(channel: Channel) -> Effect:
    """[START-5] Our last word is among what was signed again; what was agreed over the older one is agreed anew."""
    finals = (channel.own.signed, None) if channel.side == 0 else (None, channel.own.signed)
    return change(channel, finals=finals, closings=(None, None))


def _void_size(channel: Channel) -> int:
    """What is behind it was perhaps made void on the chain by a `resume` that a later disk of ours showed."""
    ours = None if channel.l1 is None else channel.l1.sides[channel.side]
    newest = 0 if channel.own.commitment is None else channel.own.commitment.height
    return ours.resume_size if ours is not None and newest < ours.resume_height else channel.own.size


def _sign_again(channel: Channel, size: int) -> list[Effect]:
    """[START-4] The same heads at the new height, for batches that the peer does not hold or the chain calls void."""
    rows: list[tuple[bytes, bytes]] = []
    reader = channel.readers[channel.side]
    at = reader.first_of(size) if size < channel.own.size else size
    while at < channel.own.size:
        batch = reader.message(at)
        renewed = channel.renewed(decode_commitment(batch.commitment.body))
        signed = channel.sign_commitment(renewed)
        rows.append((batch_key(channel.side, at), encode_batch(batch.publics, batch.privates, signed)))
        at += batch.size
        if at == channel.own.size:
            channel.own.advance(channel.own.frontier, signed, renewed)
    reader.forget()
    return [channel.persist([*rows, channel.log_row(channel.side)])] if rows else []
