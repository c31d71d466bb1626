"""The front door of a channel: events in, effects out. A fault of the peer ends here, as a value.

A step may take many events; what it writes is one transaction with one sync, and nothing is sent before it.
"""

from collections.abc import Sequence

from l1.ground.faults import Fault, LocalError, Refused
from l2.protocol import answers, closing, receiver, reconnect, resume, rotation, watch
from l2.protocol.cases import Misconduct, check_shown, check_words, is_denied, keep_case
from l2.protocol.channel import Channel, Queued
from l2.protocol.events import (
    Append,
    AskCheckpoint,
    AskClose,
    AskSecret,
    BlockSeen,
    ChainRefused,
    ClockSeen,
    Connected,
    Declined,
    Disconnected,
    Effect,
    Event,
    Froze,
    KeyOver,
    KeyReady,
    MessageReceived,
    PeerKeysSeen,
    Tell,
    Tick,
    WordsSeen,
)
from l2.protocol.fold_rows import fold_rows
from l2.protocol.journal import Before, keep_journal
from l2.protocol.messages import Message
from l2.protocol.phases import Cue, Phase
from l2.protocol.state_rows import move
from l2.protocol.writer import may_cut, write

__all__ = ["has_work", "step"]

_AGAINST_OUR_DISK = frozenset(
    {
        Fault.AFTER_CLOSING,
        Fault.BELOW_RESUME,
        Fault.EQUIVOCATION,
        Fault.EXPIRED,
        Fault.HEIGHT_FALLS,
        Fault.LOG_GAP,
        Fault.NOT_COVERED,
        Fault.UNKNOWN_HEAD,
        Fault.WINDOW_EXCEEDED,
        Fault.WRONG_ROOT,
        Fault.WRONG_SPENT,
    }
)
"""What is a fault only if what we hold is what we signed and took in."""


def step(channel: Channel, events: Sequence[Event], now_ms: int, own_keys: dict[int, bytes]) -> list[Effect]:
    """Take events in order, then write what can be written. `own_keys`: all channel keys we ever had, by number.

    The caller makes every step's rows durable before it carries out the rest of that step, and then says
    `channel.rows.written()`: once for each step, in order. It may take further steps meanwhile.
    Raises `LocalError` for `AskClose` and `AskCheckpoint` that cannot be met; those come alone, and nothing changed.
    """
    channel.rows.begin()
    before = Before(channel)
    effects: list[Effect] = []
    for event in events:
        try:
            effects += _take(channel, event, now_ms, own_keys)
        except Refused as refused:
            effects += _blame(channel, refused)
        except LocalError:
            channel.rows.drop()
            raise
    effects += rotation.switch_key(channel)
    try:
        effects += resume.proceed_resume(channel)
    except Refused as refused:
        effects += _blame(channel, refused)
    if channel.queue and (channel.phase is not Phase.OPEN or channel.peer_closes):
        effects += _decline(channel)
    effects += reconnect.resend(channel)
    effects += write(channel, now_ms)
    effects += closing.proceed(channel)
    effects += fold_rows(channel)
    return effects + keep_journal(channel, before, effects)


def has_work(channel: Channel) -> bool:
    """Whether another step without events would do something at once."""
    return may_cut(channel) or reconnect.has_more(channel)


def _blame(channel: Channel, refused: Refused) -> list[Effect]:
    """The peer did what it must not: sign nothing more, keep what it said, tell. An operator decides the rest.

    [START-7] Unless this process has not resumed, and it is our disk that may be wrong.
    """
    if not channel.resumed and refused.fault in _AGAINST_OUR_DISK:
        return resume.doubt(channel, refused)
    if isinstance(refused, Misconduct):
        return keep_case(channel, refused.charge, refused.evidence, refused.detail, refused.fault)
    moved = move(channel, Cue.PEER_FAULT, str(refused))
    return [*([] if moved is None else [moved]), Froze(refused.fault, refused.detail)]


def _take(channel: Channel, event: Event, now_ms: int, own_keys: dict[int, bytes]) -> list[Effect]:  # noqa: PLR0912 - a table of kinds
    match event:
        case MessageReceived(type=type_, payload=payload):
            return _message(channel, type_, payload, now_ms, own_keys)
        case Append():
            return _append(channel, event)
        case BlockSeen():
            return [*watch.block_seen(channel, event), *_answer(channel), *resume.ask_resume(channel)]
        case PeerKeysSeen(keys=keys):
            channel.peer_keys = keys
            return _let_go(channel, now_ms, own_keys)
        case KeyReady():
            rotation.key_ready(channel, event)
            return []
        case KeyOver():
            rotation.key_over(channel, event)
            return []
        case Connected():
            return [*reconnect.connect(channel), *resume.ask_resume(channel)]
        case Disconnected():
            reconnect.disconnect(channel)
            return []
        case AskClose(alone=alone, lost=lost):
            return closing.ask_close(channel, alone=alone, lost=lost)
        case AskCheckpoint():
            return closing.ask_checkpoint(channel)
        case AskSecret(receipt=receipt):
            return [answers.ask_secret(channel, receipt)]
        case WordsSeen():
            return _words_seen(channel, event)
        case ChainRefused(action=action, detail=detail):
            return [Tell("refused by the chain", f"{action}: {detail}")]
        case ClockSeen(is_off=is_off):
            channel.clock_is_off = is_off
            return []
        case Tick():
            return _let_go(channel, now_ms, own_keys)


def _answer(channel: Channel) -> list[Effect]:
    """[START-2] A `resume ask` whose height we have seen; [END-6] after our last word, if we say one."""
    is_deaf = channel.phase in (Phase.FROZEN, Phase.SETTLED) or channel.doubtful
    waits = channel.asked is None or channel.asked > channel.height or closing.owes_last_word(channel)
    if is_deaf or waits:
        return []
    return [*closing.warn(channel), *resume.give_resume(channel)]


def _let_go(channel: Channel, now_ms: int, own_keys: dict[int, bytes]) -> list[Effect]:
    """A fault in one message takes nothing from those before it: what they changed must reach the disk."""

    def take(type_: int, payload: bytes) -> list[Effect]:
        try:
            return _message(channel, type_, payload, now_ms, own_keys)
        except Refused as refused:
            return _blame(channel, refused)

    return receiver.let_go(channel, take)


def _words_seen(channel: Channel, seen: WordsSeen) -> list[Effect]:
    """[CASE-10] Only genuine words of the peer say something; whoever shows others is not the peer. [CASE-11] A disk
    that may have forgotten what it promised blames nobody for words that come from elsewhere."""
    if channel.phase is Phase.SETTLED or channel.forgot or not (channel.resumed or channel.phase is Phase.ON_CHAIN):
        return []
    try:
        commitment = receiver.open_peer(channel, seen.signed)
    except Refused:
        return []
    if is_denied(channel, seen.signed):
        return []
    check_words(channel, seen.signed, commitment)
    if seen.shown is not None:
        check_shown(channel, seen.signed, commitment, seen.shown)
    return []


def _append(channel: Channel, append: Append) -> list[Effect]:
    if channel.close_wanted:
        return [Declined(append.ticket, "the channel is closing")]
    channel.queue.append(Queued(append))
    channel.queued += len(append.entries)
    return []


def _decline(channel: Channel) -> list[Effect]:
    """Entries go only into an open channel: say so to everybody who waits with some."""
    cause = f"the channel is {'closing' if channel.phase is Phase.OPEN else channel.phase.name.lower()}"
    effects: list[Effect] = [Declined(queued.append.ticket, cause) for queued in channel.queue]
    channel.queue.clear()
    channel.queued = 0
    return effects


def _message(channel: Channel, type_: int, payload: bytes, now_ms: int, own_keys: dict[int, bytes]) -> list[Effect]:
    if channel.phase in (Phase.FROZEN, Phase.SETTLED) or channel.doubtful:
        return []
    if not channel.established and type_ != Message.REESTABLISH:
        return []  # [REC-1]
    match type_:
        case Message.BATCH:
            return receiver.receive_batch(channel, payload, now_ms)
        case Message.REESTABLISH:
            reconnect.reestablish(channel, payload)
            return []
        case Message.RESUME_ASK:
            resume.resume_asked(channel, payload)
            return _answer(channel)
        case Message.RESUME_GIVEN:
            return resume.resume_given(channel, payload)
        case Message.GIVEN_BACK:
            return reconnect.given_back(channel, payload, own_keys)
        case Message.SHUTDOWN:
            return closing.shutdown_received(channel, payload)
        case Message.CLOSING:
            return closing.closing_received(channel, payload)
        case _:
            raise Refused(Fault.UNEXPECTED, f"message type {type_} has no place in an open channel")
