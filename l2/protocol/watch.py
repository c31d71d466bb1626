"""Watching the chain: what a hospital does when its channel's row on L1 changes.

[WATCH-1] A close with an older commitment of the closer than we hold is challenged with the newer one, by itself.
[WATCH-2] Once the window is over on the chain clock, whoever is awake settles.
[WATCH-3] From the moment the close is on the chain, nothing more is signed.
[WATCH-4] Words of our own that a `resume` made void are answered with it, so that nobody is charged for them;
[WATCH-6] but not words that still stand in our log.
"""

from l1.rules.commitment import decode_commitment, decode_resume
from l1.rules.disputes import claims_until_ms
from l1.rules.state import Channel as L1Channel
from l1.rules.state import Phase as L1Phase
from l1.rules.transactions import Challenge, ResumeChannel, Settle
from l2.protocol import doubt
from l2.protocol.age import note_age
from l2.protocol.answers import answer_demands, is_voided
from l2.protocol.cases import file_cases, showable
from l2.protocol.channel import Channel
from l2.protocol.closing import close_again
from l2.protocol.events import BlockSeen, Effect, Submit, Tell
from l2.protocol.phases import Cue, Phase
from l2.protocol.reconnect import heads
from l2.protocol.rotation import keep_words
from l2.protocol.state_rows import change, move

AGAIN_BLOCKS = 10  # after so many blocks what the chain was asked for, and did not do, is asked for again

__all__ = ["block_seen", "challenge", "is_quiet"]


def is_quiet(channel: Channel) -> bool:
    """Whether a block that does not touch the channel's row has nothing to tell it but the height."""
    row = channel.l1
    undisputed = row is not None and row.phase == L1Phase.OPEN and not row.claims
    waits = channel.coming is not None or channel.asked is not None or channel.resend_at is not None
    return undisputed and channel.phase is Phase.OPEN and channel.resumed and not waits


def block_seen(channel: Channel, event: BlockSeen) -> list[Effect]:
    channel.height = max(channel.height, event.height)
    channel.clock_ms = event.clock_ms
    channel.clock_is_off = event.clock_is_off
    if is_first := channel.started_at is None:
        channel.started_at = event.height
        doubt.recall(channel)
    if event.row is not None:
        channel.l1 = event.row
        channel.deposits = (event.row.sides[0].deposit, event.row.sides[1].deposit)
    effects, row = note_age(channel), channel.l1
    if row is not None:
        effects += _remember_promise(channel, row) + _look(channel, row)
    return effects + _begin(channel) if is_first else effects


def _begin(channel: Channel) -> list[Effect]:
    """[START-10] A line that was there before the block hears our heads now, with the floor."""
    waits = channel.connected and channel.trusted is not None
    return [*doubt.begin(channel), *([heads(channel)] if waits else [])]


def _remember_promise(channel: Channel, row: L1Channel) -> list[Effect]:
    """[START-8] A `resume` of the peer on the chain was given by us, even if our disk forgot it: the promise holds."""
    promised = row.sides[1 - channel.side].resume_height
    return [change(channel, peer_floor=promised)] if promised > channel.row.peer_floor else []


def _look(channel: Channel, row: L1Channel) -> list[Effect]:
    if row.phase == L1Phase.SETTLED:
        return _told(channel, Cue.PAID_OUT, "settled on the chain")
    if row.phase == L1Phase.CLOSING:
        effects = _told(channel, Cue.CLOSE_POSTED, _who_closed(channel, row)) + challenge(channel)
    else:
        effects = [*keep_words(channel, row), *close_again(channel)]
    effects += _show_resume(channel, row)
    effects += answer_demands(channel, row)
    if channel.phase in (Phase.FROZEN, Phase.ON_CHAIN):
        effects += file_cases(channel)
    return effects + _settle(channel, row)


def _settle(channel: Channel, row: L1Channel) -> list[Effect]:
    """[WATCH-2] A close whose windows are over, or a claim whose window is."""
    if row.phase == L1Phase.CLOSING:
        is_due = channel.clock_ms >= max(row.closes_at_ms, claims_until_ms(row))
    else:
        is_due = any(claim.until_ms <= channel.clock_ms for claim in row.claims)
    if not is_due or channel.height < channel.settled_at + AGAIN_BLOCKS:
        return []
    channel.settled_at = channel.height
    return [Submit(Settle(channel=channel.id), "settle: the window is over")]


def _show_resume(channel: Channel, row: L1Channel) -> list[Effect]:
    """[WATCH-4] What is shown of our log was signed below our newest `resume`, and beyond it."""
    if channel.row.resume is None or channel.height < channel.resume_shown_at + AGAIN_BLOCKS:
        return []
    ours, resume = row.sides[channel.side], decode_resume(channel.row.resume.body)
    if not is_voided(channel, row) or ours.resume_height >= resume.height:
        return []
    channel.resume_shown_at = channel.height
    shown = ResumeChannel(channel=channel.id, resume=channel.row.resume)
    return [Submit(shown, f"what is shown of our log was made void by the resume at height {resume.height}")]


def _told(channel: Channel, cue: Cue, reason: str) -> list[Effect]:
    moved = move(channel, cue, reason)
    return [] if moved is None else [moved, Tell("phase", reason)]


def _who_closed(channel: Channel, row: L1Channel) -> str:
    who = "us" if row.closer == channel.side else "the peer"
    return f"closed alone by {who}" + (", state lost" if row.lost else "")


def challenge(channel: Channel) -> list[Effect]:
    """[WATCH-1] Show the peer's newest commitment where the chain knows an older one."""
    row, signed = channel.l1, showable(channel)
    if row is None or signed is None or row.phase != L1Phase.CLOSING:
        return []
    newest = decode_commitment(signed.body)
    peer = row.sides[1 - channel.side]
    posted = peer.posted.size
    asked_lately = channel.height < channel.challenged_at + AGAIN_BLOCKS and newest.size <= channel.challenged_size
    if newest.size <= posted or asked_lately:
        return []
    channel.challenged_at, channel.challenged_size = channel.height, newest.size
    shown = Challenge(channel=channel.id, side=1 - channel.side, commitment=signed)
    return [Submit(shown, f"the peer's newest commitment has {newest.size} entries, the chain knows {posted}")]
