"""One channel, as one of its hospitals keeps it: the value that every transition of this package takes.

It knows both heads, the fold, what is under way and where the channel stands; everything large is in the store behind
`rows`. Transitions live beside it by concern: `writer`, `receiver`, `reconnect`, `closing`, `watch`; `step` is their
front door. Loading is reading the rows; nothing that matters is kept in memory alone.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from l1.ground.codec import Shape, decoder, encode
from l1.ground.faults import Fault, Refused, require
from l1.ground.fields import Height, Size, TimeMs
from l1.ground.limits import FRAME_BYTES_MAX, VERSION
from l1.ground.merkle import EMPTY_ROOT, Frontier
from l1.ground.signing import Context, Purpose, Signer, sign
from l1.rules import state as l1_state
from l1.rules.commitment import Commitment, Opening, Signed, channel_id, decode_commitment, sign_shape
from l1.rules.log.entries import Entry, Seen
from l1.rules.log.fold import Fold
from l1.rules.log.marks import CONSENT, GRANT, HAS_ENDED, KIND
from l2.protocol.batch import Salts
from l2.protocol.events import Append, KeyReady, Persist
from l2.protocol.limits import BATCH_ENTRIES_AIM, MARKS_CHUNK
from l2.protocol.log import LogReader
from l2.protocol.phases import Phase
from l2.protocol.rows import (
    Damaged,
    PendingRows,
    Rows,
    alive_key,
    close_key,
    ending_key,
    head_key,
    mark_key,
    number_of,
    state_key,
)

__all__ = ["Channel", "ChannelRow", "LogHead", "LogRow", "Me", "load", "new_rows", "stored_commitment"]

NEVER = -(2**62)  # a height before all others
_ENDED = bytes(mark for mark in range(256) if mark & HAS_ENDED and mark & KIND in (CONSENT, GRANT))


class LogRow(Shape, frozen=True):
    """The stored head of one log."""

    frontier: Frontier
    commitment: Signed | None
    seen: Size
    time: TimeMs
    spent: int


class ChannelRow(Shape, frozen=True):
    """What is stored of a channel as a whole.

    `peer_floor`: the height below which we promised (by signing a `resume`) to refuse the peer's commitments.
    `resume`: the newest one that the peer signed for us. `finals` and `closings` belong to closing together.
    """

    opening: Opening
    side: int
    phase: int
    reason: str
    peer_floor: Height
    resume: Signed | None
    finals: tuple[Signed | None, Signed | None]
    closings: tuple[Signed | None, Signed | None]


decode_channel_row = decoder(ChannelRow, bytes_max=FRAME_BYTES_MAX, what="stored channel")
decode_log_row = decoder(LogRow, bytes_max=FRAME_BYTES_MAX, what="stored head")


@dataclass(frozen=True, slots=True, repr=False)
class Me:
    """Who keeps the channel: which key signs, under which number, and the secret both hospitals share."""

    signer: Signer
    key: int
    secret: bytes


@dataclass(slots=True)
class LogHead:
    """The newest head of a log, its signed commitment, and the same decoded."""

    frontier: Frontier
    signed: Signed | None = None
    commitment: Commitment | None = None

    @property
    def size(self) -> int:
        return self.frontier.size

    def advance(self, frontier: Frontier, signed: Signed, commitment: Commitment) -> None:
        self.frontier, self.signed, self.commitment = frontier, signed, commitment


@dataclass(slots=True)
class Queued:
    """An append that waits to be cut into batches, from `at` (and its terms from `terms_at`) on."""

    append: Append
    at: int = 0
    terms_at: int = 0


@dataclass(slots=True, repr=False)
class Channel:
    """See the module. Fields above the blank line are stored; those below are rebuilt at every start."""

    row: ChannelRow
    heads: tuple[LogHead, LogHead]
    fold: Fold

    me: Me
    context: Context
    rows: PendingRows
    readers: tuple[LogReader, LogReader]
    peer_keys: dict[int, bytes] = field(default_factory=dict)
    keys_ever: tuple[dict[int, bytes], dict[int, bytes]] = ({}, {})  # by side: also those that count no longer
    deposits: tuple[int, int] = (0, 0)
    l1: l1_state.Channel | None = None

    batch_entries: int = BATCH_ENTRIES_AIM
    height: int = 0
    clock_ms: int = 0
    connected: bool = False
    established: bool = False  # both have told which heads they hold, on this connection
    resumed: bool = False  # this process may sign
    doubtful: bool = False  # on this connection the peer said what does not fit our disk
    clock_is_off: bool = False  # our clock and the chain's disagree by minutes: nothing is signed
    resume_height: int | None = None  # the newest height that we asked with
    resume_asked: bool = False  # on this connection
    resume_waiting: Signed | None = None  # answered, but the peer holds more of our log than we do
    started_at: int | None = None  # the first height this process saw
    refuses_below: int = 0  # the peer's words below it are not taken by this process
    trusted: int | None = None  # beyond so much of the peer's log, old words may be void; None: all is known
    asked: int | None = None  # the peer asked to resume at this height, and waits until we have seen it
    peer_said: int = 0  # how long the peer's log was when it last said so
    loaded: int = 0  # how much of our log this process found on its disk
    forgot: bool = False  # it found none, in a channel that is not new
    is_copy: bool = False  # this disk may be older than what we said: it is a backup's, says the shell; or it is old
    alive_ms: int = 0  # stored: the chain clock of a late block at which we could sign
    resend_at: int | None = None  # from where on the peer lacks our log
    give_back_at: int | None = None  # from where on it lacks its own
    renew_below: int = 0  # batches that the peer lacks are signed anew if they were signed below this height
    line_is_full: bool = False  # says the shell: what the peer lacks waits until it has taken what is on its way
    answers_wait: bool = (
        False  # says the shell: the disk is at work, and one answer for all that comes meanwhile will do
    )

    # What the batches of the step at hand changed of the fold, to be written once at its end: from where on a side's
    # log is new, and which of its older marks are not what they were.
    grown: dict[int, int] = field(default_factory=dict)
    touched: tuple[set[int], set[int]] = field(default_factory=lambda: (set(), set()))

    # Our heads that the peer has not signed for yet: size → root and `spent` there.
    unseen: dict[int, tuple[bytes, int]] = field(default_factory=dict)
    under_way: deque[int] = field(default_factory=deque)  # sizes of our unacknowledged batches
    acknowledged: int = 0
    unanswered: int = 0  # the peer's batches that wait for our `seen`
    queue: deque[Queued] = field(default_factory=deque)
    queued: int = 0
    held: deque[tuple[int, bytes]] = field(default_factory=deque)  # messages, by type, in their order
    coming: KeyReady | None = None  # a newer key of ours that the peer may not know yet
    over: int = -1  # no key of ours up to this number signs: a later one began, and is over
    key_window_ms: int = 0  # the chain's
    closing_alone: bool | None = None  # stored: whether as lost, once it was decided
    close_posted: bool = False  # this process has asked the chain to close
    close_wanted: bool = False
    peer_closes: bool = False  # it has said its last word: nothing of it is answered any more [END-9]
    final_said: bool = False  # on this connection, after everything that the peer lacked
    final_heard: bool = False
    # The height at which we last asked the chain to, and the size of the commitment shown.
    challenged_at: int = NEVER
    challenged_size: int = 0
    settled_at: int = NEVER
    resume_shown_at: int = NEVER
    # When the chain is told again what it does not show yet, and how long we waited the last time.
    report_again_at: int = NEVER
    report_pause: int = 0
    answered_at: dict[int, int] = field(default_factory=dict)  # grant → height at which its demand was answered
    words_kept_at: int = NEVER

    @property
    def id(self) -> bytes:
        return self.context.channel

    @property
    def side(self) -> int:
        return self.row.side

    @property
    def phase(self) -> Phase:
        return Phase(self.row.phase)

    @property
    def own(self) -> LogHead:
        return self.heads[self.row.side]

    @property
    def peer(self) -> LogHead:
        return self.heads[1 - self.row.side]

    def may_sign(self) -> bool:
        if self.key_is_over() or (self.own.signed is not None and self.own.signed.key > self.me.key):
            return False  # [ROT-2]
        return self.resumed and self.phase is Phase.OPEN and not self.clock_is_off

    def may_lack_words(self) -> bool:
        """[START-6] Whether our disk is known to lack what we said, or may lack it."""
        return self.forgot or self.is_copy or self.own.size > self.loaded

    def key_is_over(self) -> bool:
        """[ROT-2] Whether no commitment is signed before a newer key of ours is registered."""
        return self.me.key <= self.over

    def owes_answer(self) -> bool:
        """Whether the peer waits for an acknowledgement that we may give. [END-9] Who closes waits for none."""
        return self.unanswered > 0 and self.may_sign() and not self.peer_closes

    def commitment_to(self, frontier: Frontier, root: bytes, spent: int, seen: tuple[int, bytes]) -> Commitment:
        """Our words over a head of our log, not yet signed."""
        return Commitment(
            version=VERSION,
            chain=self.context.chain,
            channel=self.id,
            side=self.side,
            size=frontier.size,
            root=root,
            spent=spent,
            seen_size=seen[0],
            seen_root=seen[1],
            height=self.height,
        )

    def renewed(self, said: Commitment) -> Commitment:
        """The same words of ours at the height of now: same size, root, `spent` and `seen`."""
        return msgspec.structs.replace(said, height=self.height)

    def sign_commitment(self, commitment: Commitment) -> Signed:
        return sign_shape(self.me.signer, self.me.key, Purpose.COMMITMENT, self.context, commitment)

    def sign_again(self, signed: Signed) -> Signed:
        """[ROT-3] The same words of ours, to the byte, under the key that signs now."""
        signature = sign(self.me.signer, Purpose.COMMITMENT, self.context, signed.body)
        return Signed(body=signed.body, key=self.me.key, signature=signature)

    def persist(self, rows: Sequence[tuple[bytes, bytes]]) -> Persist:
        """Rows to write. From here on this step reads them as if they were written."""
        self.rows.put(rows)
        return Persist(rows)

    def log_row(self, side: int) -> tuple[bytes, bytes]:
        """The stored head of a log as it is now."""
        head, fold = self.heads[side], self.fold.logs[side]
        row = LogRow(frontier=head.frontier, commitment=head.signed, seen=fold.seen, time=fold.time, spent=fold.spent)
        return head_key(side), encode(row)


def new_rows(opening: Opening, side: int) -> list[tuple[bytes, bytes]]:
    """The rows of a channel that has just been opened on L1."""
    row = ChannelRow(
        opening=opening,
        side=side,
        phase=Phase.OPEN,
        reason="",
        peer_floor=0,
        resume=None,
        finals=(None, None),
        closings=(None, None),
    )
    empty = LogRow(frontier=Frontier(), commitment=None, seen=0, time=0, spent=0)
    return [(state_key(), encode(row)), (head_key(0), encode(empty)), (head_key(1), encode(empty))]


def stored_commitment(store: Rows, side: int) -> Signed | None:
    """A side's newest commitment that is on the disk; None for a log in which nothing stands."""
    stored = store.get(head_key(side))
    if stored is None:
        return None
    row: LogRow = decode_log_row(stored)
    return row.commitment


def load(store: Rows, me: Me, chain: bytes, *, fresh: bool) -> Channel:
    """The channel in a store. `fresh` says that it was opened by this very process, which so need not resume.

    Raises `Refused` and `Damaged` for damaged rows. What is signed is opened by `stored.check_signed`.
    """
    rows = PendingRows(store)
    stored = rows.get(state_key())
    if stored is None:
        raise Damaged("the channel's own row is not there")
    row: ChannelRow = decode_channel_row(stored)
    context = Context(chain=chain, channel=channel_id(row.opening))
    readers = (LogReader(rows, 0, Salts(me.secret, 0)), LogReader(rows, 1, Salts(me.secret, 1)))

    fold = Fold(lambda side, indices: readers[side].entries(indices))
    heads = (_load_log(rows, fold, 0), _load_log(rows, fold, 1))
    fold.catch_up(0)
    fold.catch_up(1)
    channel = Channel(row=row, heads=heads, fold=fold, me=me, context=context, rows=rows, readers=readers)
    channel.deposits = row.opening.deposits
    channel.resumed, channel.loaded = fresh, channel.own.size
    channel.forgot = not fresh and not channel.own.size
    channel.trusted = None if fresh else channel.peer.size
    channel.acknowledged = fold.logs[1 - row.side].seen
    remember_unseen(channel)
    channel.unanswered = _count_unanswered(channel)
    channel.close_wanted = channel.peer_closes = row.finals[1 - row.side] is not None
    channel.alive_ms = int.from_bytes(rows.get(alive_key()) or b"", "big")
    alone = rows.get(close_key())
    channel.closing_alone = None if alone is None else alone == b"\x01"
    return channel


def _load_log(rows: Rows, fold: Fold, side: int) -> LogHead:
    stored = rows.get(head_key(side))
    if stored is None:
        raise Refused(Fault.MALFORMED, "a head is missing")
    row: LogRow = decode_log_row(stored)
    chunks = [
        rows.get(mark_key(side, chunk)) or b"" for chunk in range((row.frontier.size + MARKS_CHUNK - 1) // MARKS_CHUNK)
    ]
    endings = {
        number_of(key): int.from_bytes(value, "big")
        for key, value in rows.scan(ending_key(side, 0), ending_key(side, 2**64 - 1))
    }
    marks = b"".join(chunks)
    require(len(marks) == row.frontier.size, Fault.MALFORMED, "the marks do not cover the log")
    require(all(at < len(marks) and marks[at] & HAS_ENDED for at in endings), Fault.MALFORMED, "an ending of nothing")
    ended = len(marks) - len(marks.translate(None, _ENDED))
    require(len(endings) == ended, Fault.MALFORMED, "the endings are not those that the marks tell of")
    fold.restore(side, marks=marks, endings=endings, seen=row.seen, time=row.time, spent=row.spent)
    commitment = None if row.commitment is None else decode_commitment(row.commitment.body)
    signed = commitment is None or commitment.root == row.frontier.root()
    require(signed, Fault.WRONG_ROOT, "the stored head is not what was signed")
    return LogHead(frontier=row.frontier, signed=row.commitment, commitment=commitment)


def remember_unseen(channel: Channel) -> None:
    """Rebuild which of our heads the peer has not signed for, from the stored batches."""
    reader, at = channel.readers[channel.side], channel.acknowledged
    channel.under_way.clear()
    channel.unseen = {at: own_head(channel, at)}
    while at < channel.own.size:
        batch, entries, _ = reader.batch(at)
        at += batch.size
        commitment = decode_commitment(batch.commitment.body)
        channel.unseen[at] = (commitment.root, commitment.spent)
        if says_something(entries):
            channel.under_way.append(at)


def own_head(channel: Channel, size: int) -> tuple[bytes, int]:
    """Root and `spent` of our log at the end of one of its batches."""
    if size == 0:
        return EMPTY_ROOT, 0
    commitment = commitment_at(channel, channel.side, size)
    if commitment is None:  # a head that the peer signed for is one that we signed
        raise Damaged(f"no batch of ours ends at {size}")
    decoded = decode_commitment(commitment.body)
    return decoded.root, decoded.spent


def commitment_at(channel: Channel, side: int, size: int) -> Signed | None:
    """The stored commitment of a side at a size, if a batch ends there."""
    if not 0 < size <= channel.heads[side].size:
        return None
    reader = channel.readers[side]
    first = reader.first_of(size - 1)
    batch = reader.message(first)
    return batch.commitment if first + batch.size == size else None


def says_something(entries: list[Entry]) -> bool:
    """Whether a batch is to be acknowledged: one that holds nothing but `seen` is not."""
    return any(type(entry) is not Seen for entry in entries[:2])


def _count_unanswered(channel: Channel) -> int:
    """The peer's batches that wait for our `seen`."""
    at, peer, count = channel.fold.logs[channel.side].seen, 1 - channel.side, 0
    while at < channel.peer.size:
        batch, entries, _ = channel.readers[peer].batch(at)
        count += says_something(entries)
        at += batch.size
    return count
