"""What the desk is shown of a running hospital: status, keys, channels. It reads and formats, and changes nothing."""

from l1.ground.faults import Fault
from l1.ground.merkle import EMPTY_ROOT
from l1.rules.log.fold import VOID
from l1.rules.transactions import KEY_KINDS
from l2.desk import key_words, words
from l2.node.hospital import Hospital
from l2.node.keeper import Keeper
from l2.node.keys import key_state, key_warnings
from l2.protocol.channel import Channel
from l2.protocol.journal import Reason, read_journal
from l2.protocol.phases import Phase

__all__ = ["channel_view", "key_views", "status_view", "story_view", "void_count"]

_KIND_NAMES = {number: name for name, number in KEY_KINDS.items()}
_STANDING = bytes(mark for mark in range(256) if not mark & VOID)
_STATES: dict[Phase, words.ChannelState] = {
    Phase.OPEN: "open",
    Phase.CLOSING: "closing",
    Phase.ON_CHAIN: "closing",
    Phase.FROZEN: "frozen",
    Phase.SETTLED: "settled",
}


def status_view(hospital: Hospital) -> words.Status:
    tip, me = hospital.reader.tip, hospital.registry.get(hospital.id)
    return words.Status(
        hospital=hospital.id.hex(),
        name=hospital.name,
        chain=hospital.reader.chain.hex(),
        height=tip.height,
        clock_ms=tip.clock_ms,
        endpoint=hospital.endpoint,
        url=hospital.url,
        channels=len(hospital.keepers),
        records=hospital.bodies.records.count(),
        started_ms=hospital.started_ms,
        warnings=() if me is None else tuple(key_warnings(me, hospital.holds, tip.clock_ms)),
        line_bytes=hospital.line_bytes,
        waiting=None if hospital.waiting is None else str(hospital.waiting),
        resuming=tuple(_resuming(hospital, keeper) for keeper in hospital.keepers.values() if _must_resume(keeper)),
    )


def _must_resume(keeper: Keeper) -> bool:
    return keeper.channel.phase is Phase.OPEN and not keeper.channel.resumed


def _resuming(hospital: Hospital, keeper: Keeper) -> str:
    registered = hospital.registry.get(hospital.peer_of(keeper))
    who = "the peer" if registered is None else registered.name
    line = "" if keeper.channel.connected else f"; there is no line to {who}"
    return f"channel {keeper.channel.id[:8].hex()}… signs nothing until {who} has signed `resume`{line}"


def key_views(hospital: Hospital) -> list[key_words.KeyView]:
    """The keys that L1 has registered for us. Raises `LocalError` before we are admitted."""
    me, clock_ms = hospital.me(), hospital.reader.tip.clock_ms
    return [
        key_words.KeyView(
            number=key.number,
            kind=_KIND_NAMES[key.kind],
            key=key.key.hex(),
            valid_from_ms=key.valid_from_ms,
            valid_until_ms=key.valid_until_ms,
            revoked=key.revoked_at_ms is not None,
            state=key_state(me, key, clock_ms),
            held=hospital.holds(key),
            by=key.by,
            compromised_since_ms=key.compromised_since_ms,
        )
        for key in me.keys
    ]


def channel_view(hospital: Hospital, keeper: Keeper) -> words.ChannelView:
    channel = keeper.channel
    peer = hospital.peer_of(keeper)
    registered = hospital.registry.get(peer)
    row = channel.l1
    return words.ChannelView(
        id=channel.id.hex(),
        peer=peer.hex(),
        peer_name="" if registered is None else registered.name,
        side=channel.side,
        phase=channel.phase.name.lower(),
        state=_state_of(channel),
        own=_log_view(channel, channel.side),
        theirs=_log_view(channel, 1 - channel.side),
        receipted=channel.acknowledged,
        connected=channel.connected,
        deposits=channel.deposits,
        bond=channel.row.opening.bond,
        voids=void_count(channel),
        opened_at=0 if row is None else row.opened_at,
        closes_at_ms=0 if row is None else row.closes_at_ms,
        reason=_reason_of(channel),
    )


def story_view(hospital: Hospital, keeper: Keeper) -> words.Story:
    """The channel as it stands, and its journal."""
    notes = [
        words.StoryNote(
            number=note.number,
            height=note.height,
            clock_ms=note.clock_ms,
            reason=Reason(note.reason).name.lower(),
            fault=None if note.fault is None else Fault(note.fault).name.lower(),
            detail=note.detail,
        )
        for note in read_journal(hospital.store.rows(keeper.channel.id))
    ]
    return words.Story(channel=channel_view(hospital, keeper), notes=notes)


def void_count(channel: Channel) -> int:
    """How many entries of both logs do not count."""
    return sum(len(log.marks.translate(None, _STANDING)) for log in channel.fold.logs)


def _state_of(channel: Channel) -> words.ChannelState:
    """The phase, and while it is open how far the two hospitals have come with each other since the last cut."""
    if channel.phase is not Phase.OPEN:
        return _STATES[channel.phase]
    if not channel.connected:
        return "connecting"
    return "open" if channel.established and channel.resumed else "resuming"


def _reason_of(channel: Channel) -> str | None:
    signed = channel.own.signed
    if signed is not None and signed.key > channel.me.key:
        return f"key {signed.key} signed here, and this folder lacks it: nothing is signed until the key is rotated"
    if channel.key_is_over() and channel.phase is Phase.OPEN:
        said = f"channel key {channel.over} was revoked, or is not in this folder, and no older one signs after it"
        return f"{said}: nothing is signed until the key is rotated"
    if channel.clock_is_off:
        return "our clock and the chain's are minutes apart: nothing is signed"
    if channel.phase is Phase.OPEN and not channel.resumed:
        return "this process signs nothing until the peer has signed `resume`, which says what it holds of our log"
    return channel.row.reason or None


def _log_view(channel: Channel, side: int) -> words.LogView:
    head = channel.heads[side]
    return words.LogView(
        size=head.size,
        root=(EMPTY_ROOT if head.commitment is None else head.commitment.root).hex(),
        spent=channel.fold.logs[side].spent,
        settled_size=0 if channel.l1 is None else channel.l1.sides[side].settled.size,
    )
