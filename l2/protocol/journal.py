"""The journal of a channel: what happened to it and why, in few durable rows, for operators who come later.

A note is written in the same transaction as what it tells of. Notes decide nothing. The oldest give way to the newest.
"""

from collections.abc import Iterator
from enum import IntEnum

from l1.ground.codec import Shape, decoder, encode
from l1.ground.fields import Height, Size, TimeMs
from l1.rules.transactions import (
    Action,
    Challenge,
    Checkpoint,
    Close,
    CloseTogether,
    Demand,
    Report,
    ResumeChannel,
    Reveal,
    Settle,
)
from l2.protocol.channel import Channel
from l2.protocol.events import (
    Acknowledged,
    Arrived,
    Charged,
    Effect,
    Froze,
    Persist,
    Resumed,
    Send,
    Submit,
    Tell,
    Written,
)
from l2.protocol.limits import JOURNAL_NOTES_MAX
from l2.protocol.phases import Phase
from l2.protocol.rows import Rows, journal_count_key, journal_key

__all__ = ["Before", "Note", "Reason", "keep_journal", "read_journal"]

DETAIL_CHARS_MAX = 500
NOTE_BYTES_MAX = 4 * 1024


class Reason(IntEnum):
    """Why a channel froze, closed, was refused something or came back. A number keeps its meaning for ever."""

    RESUMED = 1  # the peer signed what it holds of us: this process may sign
    FROZEN = 2  # the peer did what proofs can show: nothing is signed any more
    BATCH_HELD = 3  # a batch is ahead of our clock: kept until its time comes
    RESUME_NOT_GIVEN = 4  # the peer asked to resume at a height that is not new
    CLOCK_OFF = 5  # our clock and the chain's are minutes apart: nothing is signed
    CLOCK_RIGHT = 6  # they agree again
    DOUBT = 7  # before we resumed, the peer said what does not fit our disk: one of the two is wrong
    CLOSING = 10  # we decided to close: no commitment is signed after this
    CLOSING_TOGETHER = 11  # both signed the closing: it went to the chain
    CLOSING_ALONE = 12  # we closed alone on the newest commitments
    CLOSING_LOST = 13  # we closed without a commitment of ours: our disk was in doubt
    CLOSED_BY_US = 14  # the chain shows our close: the window runs
    CLOSED_BY_PEER = 15  # the chain shows the peer's close: the window runs
    CHALLENGED = 16  # we showed the chain a newer commitment of the peer
    RESUME_SHOWN = 17  # we showed the chain that words of our log were made void
    SETTLING = 18  # the window is over: we asked the chain to pay out
    SETTLED = 19  # paid out
    CHECKPOINT = 20  # new heads that both signed went to the chain
    REFUSED_BY_CHAIN = 21  # the chain refused what we asked
    CHARGED = 22  # the peer misbehaved: its own signatures prove it
    REPORTED = 23  # we showed the chain that proof
    DEMANDED = 24  # we had the chain ask for a secret that the peer keeps back
    ANSWERED = 25  # we answered such a demand


class Note(Shape, frozen=True):
    """One line of the story. `height` and `clock_ms` are the chain's as we knew it; `fault` is the peer's, if any."""

    number: Size
    height: Height
    clock_ms: TimeMs
    reason: int
    fault: int | None
    detail: str


decode_note = decoder(Note, bytes_max=NOTE_BYTES_MAX, what="note")

_TOLD = {
    "held": Reason.BATCH_HELD,
    "resume": Reason.RESUME_NOT_GIVEN,
    "doubt": Reason.DOUBT,
    "refused by the chain": Reason.REFUSED_BY_CHAIN,
}


_DAILY = frozenset((Acknowledged, Arrived, Persist, Send, Written))  # nearly all effects, and nothing to note

_PEER_MADE = (Reason.BATCH_HELD, Reason.RESUME_NOT_GIVEN, Reason.DOUBT)


class Before:
    """What a step may change without an effect that tells: phase and clock, as they were."""

    def __init__(self, channel: Channel) -> None:
        self.phase, self.clock_is_off = channel.phase, channel.clock_is_off


def keep_journal(channel: Channel, before: Before, effects: list[Effect]) -> list[Effect]:
    """The effect that writes the notes of a step, if there are any."""
    told = [
        *_changes(channel, before),
        *(one for effect in effects if type(effect) not in _DAILY for one in _told(channel, effect)),
    ]
    if not told:
        return []
    count = _count(channel)
    last = channel.rows.get(journal_key((count - 1) % JOURNAL_NOTES_MAX)) if count else None
    said = None if last is None else decode_note(last)
    rows: list[tuple[bytes, bytes]] = []
    for reason, fault, detail in told:
        if said is not None and said.reason in _PEER_MADE and reason in _PEER_MADE:
            continue  # a peer cannot push the story out with trifles
        if said is not None and said.reason == reason == Reason.CHECKPOINT:
            count -= 1  # only the newest of a row of checkpoints is kept
        said = Note(
            number=count,
            height=channel.height,
            clock_ms=channel.clock_ms,
            reason=reason,
            fault=fault,
            detail=detail[:DETAIL_CHARS_MAX],
        )
        rows.append((journal_key(count % JOURNAL_NOTES_MAX), encode(said)))
        count += 1
    return [channel.persist([*rows, (journal_count_key(), count.to_bytes(8, "big"))])] if rows else []


def _count(channel: Channel) -> int:
    return int.from_bytes(channel.rows.get(journal_count_key()) or b"", "big")


def read_journal(rows: Rows) -> list[Note]:
    """The notes that are kept, oldest first. Raises `Refused` for damaged rows."""
    found = [decode_note(value) for _, value in rows.scan(journal_key(0), journal_key(2**64 - 1))]
    return sorted(found, key=lambda note: note.number)


def _changes(channel: Channel, before: Before) -> Iterator[tuple[int, int | None, str]]:
    if channel.clock_is_off != before.clock_is_off:
        yield Reason.CLOCK_OFF if channel.clock_is_off else Reason.CLOCK_RIGHT, None, ""
    if channel.phase is before.phase:
        return
    row = channel.l1
    match channel.phase:
        case Phase.CLOSING:
            yield Reason.CLOSING, None, channel.row.reason
        case Phase.ON_CHAIN if row is not None:
            reason = Reason.CLOSED_BY_US if row.closer == channel.side else Reason.CLOSED_BY_PEER
            posted = [side.posted.size for side in row.sides]
            sizes = f"{posted[channel.side]} entries of ours and {posted[1 - channel.side]} of the peer's were posted"
            yield reason, None, ("state lost; " if row.lost else "") + sizes
        case Phase.SETTLED if row is not None:
            paid = [side.paid_out for side in row.sides]
            yield Reason.SETTLED, None, f"{paid[channel.side]} credits to us, {paid[1 - channel.side]} to the peer"


def _told(channel: Channel, effect: Effect) -> Iterator[tuple[int, int | None, str]]:
    match effect:
        case Froze(fault=fault, detail=detail):
            yield Reason.FROZEN, int(fault), detail
        case Charged(number=number, detail=detail):
            yield Reason.CHARGED, None, f"case {number}: {detail}"
        case Resumed():
            back = channel.own.size - channel.loaded
            had = f"{channel.loaded} entries of ours were on our disk"
            at = f"at height {channel.resume_height}"
            yield Reason.RESUMED, None, f"{at}; {had}" + (f", {back} came back from the peer" if back else "")
        case Submit(action=action, why=why) if (reason := _reason_of(action)) is not None:
            yield reason, None, why
        case Tell(what=what, detail=detail) if what in _TOLD:
            yield _TOLD[what], None, detail


def _reason_of(action: Action) -> Reason | None:
    match action:
        case Close(lost=lost):
            return Reason.CLOSING_LOST if lost else Reason.CLOSING_ALONE
        case CloseTogether():
            return Reason.CLOSING_TOGETHER
        case Challenge():
            return Reason.CHALLENGED
        case ResumeChannel():
            return Reason.RESUME_SHOWN
        case Settle():
            return Reason.SETTLING
        case Checkpoint():
            return Reason.CHECKPOINT
        case Report():
            return Reason.REPORTED
        case Demand():
            return Reason.DEMANDED
        case Reveal():
            return Reason.ANSWERED
    return None
