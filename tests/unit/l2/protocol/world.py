"""Two hospitals' channel cores joined by a list of messages: no clock, no disk, no chain but what a test says."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise

import msgspec

from l1.ground.hashing import digest
from l1.ground.limits import VERSION
from l1.ground.signing import PrivateKey
from l1.rules import state as l1_state
from l1.rules.commitment import Commitment, Opening, Resume, Signed, decode_commitment, decode_resume
from l1.rules.log.entries import Entry, Terms
from l1.rules.log.marks import HAS_ENDED, KIND, REQUEST
from l1.rules.transactions import ResumeChannel
from l2.protocol.batch import decode_batch
from l2.protocol.channel import Channel, Me, load, new_rows
from l2.protocol.events import (
    Append,
    BlockSeen,
    Connected,
    Disconnected,
    Effect,
    Event,
    MessageReceived,
    Persist,
    Send,
    Submit,
)
from l2.protocol.messages import Message, decode_resume_given, decode_shutdown
from l2.protocol.step import has_work, step
from l2.protocol.stored import check_signed

CHAIN = digest(b"chain")
NOW_MS = 1_800_000_000_000
KEYS = (PrivateKey(digest(b"a")), PrivateKey(digest(b"b")))
KEYS_EVER = ({1: KEYS[0].public_key}, {1: KEYS[1].public_key})
OPENING = Opening(
    version=VERSION,
    chain=CHAIN,
    hospitals=(digest(b"A")[:20], digest(b"B")[:20]),
    nonce=digest(b"nonce"),
    deposits=(1_000, 1_000),
    bond=500,
    window_ms=60_000,
    answer_ms=10_000,
    expires=100,
)


class MemoryRows:
    """An ordered store in memory."""

    def __init__(self, rows: Sequence[tuple[bytes, bytes]] = ()) -> None:
        self._keys: list[bytes] = []
        self._values: dict[bytes, bytes] = {}
        self.put(rows)

    def put(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        for key, value in rows:
            if key not in self._values:
                self._keys.insert(bisect_left(self._keys, key), key)
            self._values[key] = value

    def get(self, key: bytes) -> bytes | None:
        return self._values.get(key)

    def floor(self, key: bytes) -> tuple[bytes, bytes] | None:
        at = bisect_right(self._keys, key)
        return (self._keys[at - 1], self._values[self._keys[at - 1]]) if at else None

    def scan(self, first: bytes, last: bytes) -> Iterator[tuple[bytes, bytes]]:
        for key in self._keys[bisect_left(self._keys, first) : bisect_left(self._keys, last)]:
            yield key, self._values[key]

    def copy(self) -> "MemoryRows":
        return MemoryRows([(key, self._values[key]) for key in self._keys])


class Words:
    """All that the two ever signed and sent: an auditor who hears everything."""

    def __init__(self) -> None:
        self.commitments: tuple[set[Commitment], set[Commitment]] = (set(), set())
        self.resumes: tuple[set[Resume], set[Resume]] = (set(), set())

    def note(self, message: Send) -> None:
        match message.type:
            case Message.BATCH | Message.GIVEN_BACK:
                self._note_commitment(decode_batch(message.payload).commitment)
            case Message.SHUTDOWN:
                self._note_commitment(decode_shutdown(message.payload).final)
            case Message.RESUME_GIVEN:
                given = decode_resume_given(message.payload).resume
                resume = msgspec.msgpack.decode(given.body, type=Resume)
                self.resumes[resume.side].add(resume)

    def _note_commitment(self, signed: Signed) -> None:
        commitment = decode_commitment(signed.body)
        self.commitments[commitment.side].add(commitment)

    def check(self) -> None:
        """Nobody signed two things at one size, nor went back, but for what a `resume` voids."""
        for side in (0, 1):
            words = [each for each in self.commitments[side] if not self._is_void(each)]
            at: dict[int, Commitment] = {}
            for each in words:
                known = at.setdefault(each.size, each)
                assert (known.root, known.spent, known.seen) == (each.root, each.spent, each.seen), "two heads"
            totals = [(at[size].spent, at[size].seen_size) for size in sorted(at)]
            assert all(a[0] <= b[0] and a[1] <= b[1] for a, b in pairwise(totals)), "a total falls"

    def _is_void(self, commitment: Commitment) -> bool:
        return any(
            commitment.height < resume.height and commitment.size > resume.size
            for resume in self.resumes[commitment.side]
        )


class Pair:
    """Side 0 and side 1 of one channel."""

    def __init__(self, *, opening: Opening = OPENING) -> None:
        self.stores = [MemoryRows(new_rows(opening, side)) for side in (0, 1)]
        self.now_ms = NOW_MS
        self.height = 1
        self.opening = opening
        self.shown: list[Resume | None] = [None, None]  # by side: the newest `resume` that the chain was shown
        self.effects: tuple[list[Effect], list[Effect]] = ([], [])
        self.inboxes: tuple[list[Send], list[Send]] = ([], [])
        self.tickets = 0
        self.words = Words()
        self.channels = [self._load(side, fresh=True) for side in (0, 1)]
        for side in (0, 1):
            self.do(side, BlockSeen(height=self.height, clock_ms=self.now_ms, row=None))
        self.connect()
        self.settle()

    def _load(self, side: int, *, fresh: bool) -> Channel:
        me = Me(signer=KEYS[side], key=1, secret=digest(b"secret"))
        channel = load(self.stores[side], me, CHAIN, fresh=fresh)
        channel.peer_keys = {1: KEYS[1 - side].public_key}
        channel.keys_ever = KEYS_EVER
        check_signed(channel, channel.keys_ever)
        return channel

    def connect(self) -> None:
        for inbox in self.inboxes:
            inbox.clear()
        self.do(0, Connected())
        self.do(1, Connected())

    def cut(self) -> None:
        """The line breaks; what was on its way is lost."""
        for side in (0, 1):
            self.do(side, Disconnected())
        for inbox in self.inboxes:
            inbox.clear()

    def crash(self, side: int, rows: "MemoryRows | None" = None) -> None:
        """The process of a side ends, and a new one starts on its rows (or on older ones). There is no line yet."""
        self.cut()
        if rows is not None:
            self.stores[side] = rows
        ended, self.channels[side] = self.channels[side], self._load(side, fresh=False)
        if rows is None:
            self._check_reload(ended, self.channels[side])

    def calm(self) -> None:
        """A line, blocks, and nothing that goes wrong: whatever can be done gets done."""
        self.connect()
        for _ in range(4):
            self.settle()
            self.block()
        self.settle()

    def restart(self, side: int, rows: "MemoryRows | None" = None) -> None:
        """A new process on a side's rows (or on older ones), which resumes."""
        self.crash(side, rows)
        self.calm()

    def block(self) -> None:
        """The next block; it holds what was brought to the chain of `resume`, and nothing else."""
        self.height += 1
        row = self.row() if any(self.shown) else None
        for side in (0, 1):
            self.do(side, BlockSeen(height=self.height, clock_ms=self.now_ms, row=row))

    def row(self) -> l1_state.Channel:
        sides = [
            l1_state.SideState(
                deposit=self.opening.deposits[side], bond=self.opening.bond,
                resume_height=0 if shown is None else shown.height, resume_size=0 if shown is None else shown.size,
            )
            for side, shown in enumerate(self.shown)
        ]  # fmt: skip
        return l1_state.Channel(
            id=self.channels[0].id, opening=self.opening, opened_at=1, opened_at_ms=0, phase=l1_state.Phase.OPEN,
            sides=(sides[0], sides[1]),
        )  # fmt: skip

    def do(self, side: int, *events: Event) -> list[Effect]:
        own_keys = {1: KEYS[side].public_key}
        effects = self._step(side, events, own_keys)
        while has_work(self.channels[side]):
            effects += self._step(side, (), own_keys)
        self.effects[side].extend(effects)
        return effects

    def _step(self, side: int, events: Sequence[Event], own_keys: dict[int, bytes]) -> list[Effect]:
        effects = step(self.channels[side], events, self.now_ms, own_keys)
        for effect in effects:
            if isinstance(effect, Persist):
                self.stores[side].put(effect.rows)
            if isinstance(effect, Submit) and isinstance(effect.action, ResumeChannel):
                self.shown[side] = decode_resume(effect.action.resume.body)
        self.channels[side].rows.written()
        sent = [effect for effect in effects if isinstance(effect, Send)]
        self.inboxes[1 - side].extend(sent)
        for message in sent:
            self.words.note(message)
        return effects

    def deliver(self, side: int, count: int | None = None) -> None:
        inbox = self.inboxes[side]
        for _ in range(len(inbox) if count is None else min(count, len(inbox))):
            if not inbox:
                return
            send = inbox.pop(0)
            self.do(side, MessageReceived(send.type, send.payload))

    def settle(self) -> None:
        """Deliver until nobody has anything to say."""
        for _ in range(10_000):
            if not self.inboxes[0] and not self.inboxes[1]:
                return
            self.deliver(0)
            self.deliver(1)
        raise AssertionError("the two never fall silent")

    def append(self, side: int, entries: Sequence[Entry], terms: Sequence[Terms] = ()) -> list[Effect]:
        self.tickets += 1
        return self.do(side, Append(entries=entries, terms=terms, ticket=self.tickets))

    def check(self) -> None:
        """Both hold the same logs, and judge them alike; and so does a process that starts now."""
        self.words.check()
        first, second = self.channels
        for side in (0, 1):
            assert first.heads[side].frontier == second.heads[side].frontier
            assert first.fold.logs[side].marks == second.fold.logs[side].marks
            assert first.fold.logs[side].endings == second.fold.logs[side].endings
            assert first.fold.logs[side].spent == second.fold.logs[side].spent
        for side in (0, 1):
            self._check_reload(self.channels[side], self._load(side, fresh=False))

    @staticmethod
    def _check_reload(running: Channel, started: Channel) -> None:
        """Nothing that matters is kept in memory alone."""
        for side in (0, 1):
            assert running.heads[side] == started.heads[side]
            ours, theirs = running.fold.logs[side], started.fold.logs[side]
            for name in ("marks", "endings", "seen", "time", "spent", "pay", "open_requests"):
                assert getattr(ours, name) == getattr(theirs, name), name
            late = {at: ours.late[at] for at in ours.late if ours.marks[at] & (KIND | HAS_ENDED) != REQUEST | HAS_ENDED}
            assert late == theirs.late
        for name in ("row", "unseen", "under_way", "acknowledged", "unanswered"):
            assert getattr(running, name) == getattr(started, name), name


__all__ = ["CHAIN", "KEYS", "KEYS_EVER", "NOW_MS", "OPENING", "MemoryRows", "Pair", "Words"]
