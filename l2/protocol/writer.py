"""Writing: appended entries are cut into batches, judged, hashed, signed once, made durable, then sent.

[LOG-1] A batch opens with `seen` where the peer's log has grown.
[LOG-2] An entry that our own fold would call void is refused to its caller and never written.
[LOG-3] One commitment per batch; nothing is signed before the process has resumed or after `closing`.
"""

from itertools import accumulate, islice

from msgspec.structs import replace

from l1.ground.limits import CLOCK_SKEW_MS_MAX
from l1.ground.merkle import EMPTY_ROOT
from l1.rules.log.entries import TERMS_OF, Entry, Pay, Seen, Terms
from l1.rules.log.leaves import align, encode_parts, leaf_hashes
from l1.rules.log.marks import Void
from l2.protocol.batch import encode_batch
from l2.protocol.channel import Channel, says_something
from l2.protocol.events import Arrived, Effect, Send, Written
from l2.protocol.fold_rows import let_stand
from l2.protocol.limits import BATCH_BYTES_MAX, STEP_BATCHES_AIM, STEP_ENTRIES_AIM, WINDOW_BATCHES
from l2.protocol.log import tiles
from l2.protocol.messages import Message
from l2.protocol.rows import batch_key

__all__ = ["may_cut", "write"]

_ENTRY_BYTES_MAX = 320  # of any kind, both parts: so a batch of any kinds fits into a frame
_ENTRIES_MAX = BATCH_BYTES_MAX // _ENTRY_BYTES_MAX


def write(channel: Channel, now_ms: int) -> list[Effect]:
    """Cut as many batches as the window lets through, and a step may hold; or else answer, if the peer waits for it."""
    effects: list[Effect] = []
    enough = channel.queued - STEP_ENTRIES_AIM
    for _ in range(STEP_BATCHES_AIM):
        if channel.queued <= enough or not may_cut(channel):
            break
        effects += _cut(channel, now_ms)
    if channel.owes_answer() and not channel.answers_wait:
        opened = _opening_seen(channel, now_ms)
        voids = channel.fold.judge(channel.side, opened, ())
        assert not voids, "our own `seen` stands"
        effects += _batch(channel, opened, [])
    return effects


def may_cut(channel: Channel) -> bool:
    """Whether there is something to cut, and room for it."""
    return channel.may_sign() and bool(channel.queue) and len(channel.under_way) < WINDOW_BATCHES


class _Slice:
    """Which part of an append went into the batch being cut."""

    __slots__ = ("at", "count", "refused", "ticket")

    def __init__(self, ticket: int, at: int, count: int) -> None:
        self.ticket, self.at, self.count = ticket, at, count
        self.refused: list[tuple[int, Void]] = []


def _take(channel: Channel) -> tuple[list[Entry], list[Terms], list[_Slice]]:
    """The next entries of the queue, with the slices they come from."""
    entries: list[Entry] = []
    terms: list[Terms] = []
    slices: list[_Slice] = []
    aim = min(channel.batch_entries, _ENTRIES_MAX)
    while channel.queue and len(entries) < aim:
        queued = channel.queue[0]
        append = queued.append
        room = aim - len(entries)
        left = len(append.entries) - queued.at
        if left > room and left <= 2 and entries:
            break  # a pair is never torn
        part = append.entries[queued.at : queued.at + room]
        with_terms = sum(map(TERMS_OF.__contains__, map(type, part)))
        entries += part
        terms += append.terms[queued.terms_at : queued.terms_at + with_terms]
        slices.append(_Slice(append.ticket, queued.at, len(part)))
        queued.at += len(part)
        queued.terms_at += with_terms
        channel.queued -= len(part)
        if queued.at == len(append.entries):
            channel.queue.popleft()
    return entries, terms, slices


def _cut(channel: Channel, now_ms: int) -> list[Effect]:
    entries, terms, slices = _take(channel)
    opened, entries, terms = _judge(channel, entries, terms, slices, now_ms)
    first = channel.own.size + len(opened)
    effects = _batch(channel, opened + entries, terms) if entries else []
    for part in slices:
        count = part.count - len(part.refused)
        effects.append(Written(ticket=part.ticket, first=first, count=count, refused=part.refused))
        first += count
    return effects


def _judge(
    channel: Channel,
    entries: list[Entry],
    terms: list[Terms],
    slices: list[_Slice],
    now_ms: int,
) -> tuple[list[Entry], list[Entry], list[Terms]]:
    """`seen`, and those of the entries that stand: judged, not yet settled. The others are noted in their slices."""
    origins: list[tuple[_Slice, int]] | None = None  # nearly always everything stands, and nobody asks
    while entries:
        opened = _opening_seen(channel, min(entries[0].time, now_ms))
        entries = _true_times(channel, entries, now_ms)
        voids = channel.fold.judge(channel.side, opened + entries, terms)
        if not voids and _is_covered(channel):
            return opened, entries, terms
        first = channel.own.size + len(opened)
        bad = {index - first: reason for index, reason in voids}
        bad = bad or {at: Void.NOT_PAID for at, entry in enumerate(entries) if type(entry) is Pay}
        assert bad, "only payments spend, so without one what stands is covered"
        channel.fold.undo()
        if origins is None:
            origins = [(part, part.at + at) for part in slices for at in range(part.count)]
        for at, reason in bad.items():
            part, position = origins[at]
            part.refused.append((position, reason))
        entries, terms = _without(entries, terms, bad)
        origins = [origin for at, origin in enumerate(origins) if at not in bad]
    return [], [], []


def _without(entries: list[Entry], terms: list[Terms], bad: dict[int, Void]) -> tuple[list[Entry], list[Terms]]:
    """The entries and terms whose positions are not among the bad."""
    kept = [pair for at, pair in enumerate(align(entries, terms)) if at not in bad]
    return [entry for entry, _ in kept], [own for _, own in kept if own is not None]


def _floor_ms(channel: Channel) -> int:
    """The least time that our next entry may carry."""
    peer = channel.fold.logs[1 - channel.side]
    return max(channel.fold.logs[channel.side].time, peer.time - CLOCK_SKEW_MS_MAX)


def _true_times(channel: Channel, entries: list[Entry], now_ms: int) -> list[Entry]:
    """[LOG-2] Times never fall within a log, though clocks do, and though appends overtake one another on their way
    here. And none is later than now: an entry that was drafted while the clock was ahead would make all that follow
    it wait at the peer until its time comes."""
    floor, times = _floor_ms(channel), [entry.time for entry in entries]
    if times[0] >= floor and times[-1] <= now_ms and times == sorted(times):
        return entries
    lifted = islice(accumulate((min(time, now_ms) for time in times), max, initial=floor), 1, None)
    return [replace(entry, time=time) for entry, time in zip(entries, lifted, strict=True)]


def _opening_seen(channel: Channel, time_ms: int) -> list[Entry]:
    if channel.fold.logs[channel.side].seen == channel.peer.size:
        return []
    commitment = channel.peer.commitment
    assert commitment is not None
    return [Seen(time=max(_floor_ms(channel), time_ms), size=commitment.size, root=commitment.root)]


def _is_covered(channel: Channel) -> bool:
    """[PAY-2] What we have spent is covered by our deposit and by what the peer is known to have paid us."""
    own, peer = channel.fold.logs[channel.side], channel.fold.logs[1 - channel.side]
    return own.spent <= channel.deposits[channel.side] + peer.spent


def _batch(channel: Channel, entries: list[Entry], terms: list[Terms]) -> list[Effect]:
    """Write one judged batch: sign it, store it, send it, in this order."""
    before = channel.own.frontier
    publics, privates = encode_parts(entries, terms)
    salts = channel.readers[channel.side].salts.span(before.size, len(entries))
    frontier, made = before.extend(leaf_hashes(publics, privates, salts))
    root, spent = frontier.root(), channel.fold.logs[channel.side].spent
    peer = channel.peer.commitment
    seen = (channel.fold.logs[channel.side].seen, EMPTY_ROOT if peer is None else peer.root)
    commitment = channel.commitment_to(frontier, root, spent, seen)
    signed = channel.sign_commitment(commitment)
    message = encode_batch(publics, privates, signed)
    channel.own.advance(frontier, signed, commitment)
    channel.unseen[frontier.size] = (root, spent)
    if says_something(entries):
        channel.under_way.append(frontier.size)
    channel.unanswered = 0
    rows = [(batch_key(channel.side, before.size), message), *tiles(channel.side, before, made)]
    effects: list[Effect] = [channel.persist([*rows, *let_stand(channel, channel.side, before.size, ())])]
    is_taken = channel.height >= channel.renew_below  # [REC-6] else it waits for the block that lifts it to the floor
    if channel.established and channel.resend_at is None and channel.give_back_at is None and is_taken:
        effects.append(Send(Message.BATCH, message))
    elif channel.established and channel.resend_at is None:
        channel.resend_at = before.size  # it may have seen what the peer is still being given back
    effects.append(Arrived(channel.side, before.size, entries, terms, ()))
    return effects
