"""One task keeps one channel: take what has arrived, decide, make durable, then speak.

The keeper is the only one that touches the channel's core. Others leave events in its inbox and wait for outcomes;
lines bring messages and carry off what the core wants sent. It knows no HTTP, no records and no policy.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import structlog
import trio

from l1.ground.faults import LocalError, Refused
from l1.rules.log.entries import Entry, Terms
from l2.link import Line, LineClosed
from l2.node.clock import now_ms
from l2.node.outbox import Outbox, drain, take
from l2.node.outcomes import Outcome, Outcomes
from l2.protocol.channel import Channel
from l2.protocol.events import (
    Acknowledged,
    Append,
    Arrived,
    Asked,
    Charged,
    ClockSeen,
    Connected,
    Declined,
    Disconnected,
    Effect,
    Event,
    Froze,
    MessageReceived,
    Persist,
    Resumed,
    RevealAsked,
    Send,
    Submit,
    Tell,
    Tick,
    Written,
)
from l2.protocol.limits import QUEUED_ENTRIES_MAX
from l2.protocol.messages import KNOWN
from l2.protocol.rows import Damaged
from l2.protocol.step import has_work, step

__all__ = ["Committer", "Keeper"]

INBOX_EVENTS = 256  # then whoever brings more waits, and so does the peer
EVENTS_PER_STEP = 64  # how much of the inbox one sync may cover
STEP_BYTES = 32 * 1024  # of messages: then they are answered, so that two hospitals work at once and not in turns
STEPS_AHEAD = 4  # decided while earlier ones are being written; little enough to forget in a crash
TURNS = 3  # of the loop, from a commit that is done to its words on the line: else each of them has a step in it
TICK_S = 1.0

log = structlog.get_logger()


class Committer(Protocol):
    """Makes rows durable."""

    async def commit(self, channel: bytes, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Return once they are."""

    def commit_at_once(self, channel: bytes, rows: Sequence[tuple[bytes, bytes]]) -> bool:
        """Do so here and now, if that is quick and nobody else waits; False, and nothing done, if not."""


@dataclass(slots=True)
class _Request:
    """An event that may fail, and whoever waits to hear of it."""

    event: Asked
    done: trio.Event = field(default_factory=trio.Event)
    error: LocalError | None = None


@dataclass(frozen=True, slots=True)
class _Heard:
    """What came of one line at once; lines are numbered as they come. Words of an older line mean nothing on a newer
    one."""

    line: int
    events: Sequence[Connected | Disconnected | MessageReceived]
    size: int = 0  # bytes of the messages


_Item = Event | _Request | _Heard
_Decided = tuple[int, list[Effect]]
"""A step: the line whose words it took last, and what it wants done."""


def _rows_of(steps: Sequence[_Decided]) -> list[tuple[bytes, bytes]]:
    return [row for _, decided in steps for effect in decided if isinstance(effect, Persist) for row in effect.rows]


def _size(item: _Item) -> int:
    return item.size if isinstance(item, _Heard) else 0


def _portions(line: int, messages: Sequence[tuple[int, bytes]]) -> Iterator[_Heard]:
    """What came at once and is known, as much at a time as is enough for a step."""
    known: list[MessageReceived] = []
    size = 0
    for type_, payload in messages:
        if type_ in KNOWN:
            known.append(MessageReceived(type_, payload))
            size += len(payload)
        if size >= STEP_BYTES:
            yield _Heard(line, known, size)
            known, size = [], 0
    if known:
        yield _Heard(line, known, size)


class Keeper:
    """The keeper of one channel. `run` is its task; everything else may be called from any other task."""

    def __init__(
        self,
        channel: Channel,
        own_keys: dict[int, bytes],
        committer: Committer,
        submit: Callable[["Keeper", Submit], None],
        clock_is_off: Callable[[], bool] = lambda: False,
    ) -> None:
        self.channel = channel
        self.own_keys = own_keys
        self._committer = committer
        self._submit = submit
        self._clock_is_off = clock_is_off
        self._inbox_in, self._inbox = trio.open_memory_channel[_Item](INBOX_EVENTS)
        self._decided_in, self._decided = trio.open_memory_channel[_Decided](STEPS_AHEAD)
        self._outbox = Outbox()
        self._line: Line | None = None
        self._heard = 0  # the line whose messages the core is taking
        self._is_writing = False
        self._is_speaking = False  # what was decided is not carried out yet
        self._outcomes = Outcomes()
        self._changed = trio.lowlevel.ParkingLot()  # who waits for the channel to become so
        self.arrived: list[Callable[[Keeper, Arrived], None]] = []
        self.secret_asked: list[Callable[[Keeper, int], None]] = []
        self.secret_shown: list[Callable[[Keeper, int, bytes], None]] = []
        self.told: list[Callable[[Keeper, str, str], None]] = []

    # -- the task -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the channel until cancelled. A failed sync ends the process: it must re-read what is on disk.

        One task decides, one speaks: while the rows of a step are on their way to the disk the next one is decided.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._speak)
            while True:
                items: list[_Item] = []
                with trio.move_on_after(TICK_S):
                    items.append(await self._inbox.receive())
                await self._take(items or [Tick()])
                while has_work(self.channel):
                    await self._take([])

    async def _take(self, items: list[_Item]) -> None:
        """One step for all news that has arrived, as far as one step may go, and one for each request among it."""
        self._gather(items)
        events: list[Event] = []
        for item in items:
            if isinstance(item, _Heard):
                if isinstance(item.events[0], Connected) and item.line > self._heard:
                    await self._decide(events)
                    events, self._heard = [], item.line
                if item.line == self._heard:
                    events += item.events
            elif not isinstance(item, _Request):
                events.append(item)
        await self._decide(events)
        for item in items:
            if isinstance(item, _Request):
                await self._meet(item)

    def _gather(self, items: list[_Item]) -> None:
        size = sum(map(_size, items))
        with suppress(trio.WouldBlock, trio.EndOfChannel):
            while len(items) < EVENTS_PER_STEP and size < STEP_BYTES:
                items.append(item := self._inbox.receive_nowait())
                size += _size(item)

    async def _decide(self, events: Sequence[Event]) -> None:
        """A step. With little to write, and nothing on its way, this task makes it durable and speaks by itself: to
        wake the other one, and the committer's, costs a lone update more than the flush."""
        decided = self._step(events)
        rows = _rows_of([decided])
        if not self._is_speaking and (not rows or self._committer.commit_at_once(self.channel.id, rows)):
            self._carry_out([decided])
        else:
            self._is_speaking = True
            await self._decided_in.send(decided)
        for _ in range(TURNS if rows or self._is_writing else 1):
            await trio.lowlevel.checkpoint()

    def _step(self, events: Sequence[Event]) -> _Decided:
        self.channel.line_is_full = self._outbox.is_busy()
        self.channel.answers_wait = self._is_writing
        if (is_off := self._clock_is_off()) != self.channel.clock_is_off:
            events = [ClockSeen(is_off), *events]
        return self._heard, step(self.channel, events, now_ms(), self.own_keys)

    async def _meet(self, request: "_Request") -> None:
        try:
            await self._decide([request.event])
        except Damaged:
            raise
        except LocalError as error:
            request.error = error
        request.done.set()

    async def _speak(self) -> None:
        """Make steps durable, as many as are decided with one sync; then carry out the rest of each, in order."""
        async for first in self._decided:
            steps = drain(self._decided, [first], STEPS_AHEAD + 2)  # and the one that waits for room
            if self.channel.owes_answer():  # one answer for all that came while the disk was at work
                steps.append(self._step([]))
            if rows := _rows_of(steps):
                self._is_writing = True
                await self._committer.commit(self.channel.id, rows)
                self._is_writing = False
            self._carry_out(steps)
            self._is_speaking = bool(self._decided.statistics().current_buffer_used)

    def _carry_out(self, steps: Sequence[_Decided]) -> None:
        """What else was decided, now that its rows are durable."""
        for line, decided in steps:
            self.channel.rows.written()
            said = [(int(effect.type), effect.payload) for effect in decided if isinstance(effect, Send)]
            self._outbox.post(line, said)
        for _, decided in steps:
            for effect in decided:
                self._heed(effect)
        self._changed.unpark_all()

    def _heed(self, effect: Effect) -> None:  # noqa: PLR0912 - a table of kinds
        match effect:
            case Persist() | Send():
                pass
            case Written():
                self._outcomes.note_written(effect, self.channel.acknowledged)
            case Declined(ticket=ticket, cause=cause):
                self._outcomes.note_declined(ticket, cause)
            case Acknowledged(size=size):
                self._outcomes.note_acknowledged(size)
            case Arrived():
                for listener in self.arrived:
                    listener(self, effect)
            case Submit():
                self._submit(self, effect)
            case Charged(number=number, detail=detail):
                log.error("the peer misbehaved", channel=self.name, case=number, detail=detail)
                self._tell("charged", f"case {number}: {detail}")
            case RevealAsked(grant=grant):
                for asked in self.secret_asked:
                    asked(self, grant)
            case Froze(fault=fault, detail=detail):
                log.error("channel frozen", channel=self.name, fault=fault.name, detail=detail)
                self._tell("frozen", f"{fault.name}: {detail}")
            case Resumed():
                log.info("channel resumed", channel=self.name, height=self.channel.resume_height)
                self._tell("resumed", "this process may sign again")
            case Tell(what=what, detail=detail):
                log.info(what, channel=self.name, detail=detail)
                self._tell(what, detail)

    def note_secret(self, grant: int, secret: bytes) -> None:
        """The chain shows what is said to be the secret of a grant of the peer's."""
        for listener in self.secret_shown:
            listener(self, grant, secret)

    def _tell(self, what: str, detail: str) -> None:
        for listener in self.told:
            listener(self, what, detail)

    @property
    def name(self) -> str:
        return self.channel.id[:4].hex()

    # -- requests -------------------------------------------------------------------------------------------------

    async def offer(self, event: Event) -> None:
        """Leave news in the inbox; waits while it is full."""
        await self._inbox_in.send(event)

    async def append(self, entries: Sequence[Entry], terms: Sequence[Terms]) -> Outcome:
        """Queue entries for our log. Raises `LocalError` where the channel takes none; else wait on the outcome."""
        while self.channel.queued > QUEUED_ENTRIES_MAX:
            await self._changed.park()
        ticket, outcome = self._outcomes.begin(len(entries))
        try:
            await self._inbox_in.send(Append(entries=entries, terms=terms, ticket=ticket))
        except trio.Cancelled:
            self._outcomes.forget(ticket)
            raise
        return outcome

    async def append_durable(self, entries: Sequence[Entry], terms: Sequence[Terms]) -> Outcome:
        """Append, and wait until everything is on disk or refused. Raises `LocalError`."""
        outcome = await self.append(entries, terms)
        await outcome.durable.wait()
        if outcome.error is not None:
            raise outcome.error
        return outcome

    async def ask(self, event: Asked) -> None:
        """Put a request to the core. Raises `LocalError` where it cannot be met."""
        await self._inbox_in.send(request := _Request(event))
        await request.done.wait()
        if request.error is not None:
            raise request.error

    async def wait_until(self, condition: Callable[[Channel], bool], deadline_s: float, what: str) -> None:
        """Wait for the channel to become so. Raises `LocalError` past the deadline."""
        with trio.move_on_after(deadline_s) as scope:
            while not condition(self.channel):
                await self._changed.park()
        if scope.cancelled_caught and not condition(self.channel):
            raise LocalError(f"{what} did not happen within {deadline_s:g} s", "see `interward channel show`")

    # -- the line -------------------------------------------------------------------------------------------------

    async def serve(self, line: Line) -> None:
        """Run the channel over this line until it ends; a newer line replaces an older one. Raises `LineClosed`, or
        `Refused` for what no honest peer sends."""
        if self._line is not None:
            await self._line.aclose()
        self._line, messages = line, self._outbox.open()
        number = self._outbox.line
        ended: LineClosed | Refused | None = None
        try:
            await self._inbox_in.send(_Heard(number, [Connected()]))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._send_all, line, messages, nursery.cancel_scope)
                try:
                    await self._receive_all(line, number)
                except (LineClosed, Refused) as why:
                    ended = why
                nursery.cancel_scope.cancel()
        finally:
            if self._line is line:
                self._line = None
                self._outbox.cut()
                with trio.CancelScope(shield=True), trio.move_on_after(1):
                    await self._inbox_in.send(_Heard(number, [Disconnected()]))
        if ended is not None:
            raise ended

    async def _receive_all(self, line: Line, number: int) -> None:
        while True:
            for heard in _portions(number, await line.receive_many()):
                await self._inbox_in.send(heard)

    async def _send_all(
        self, line: Line, messages: trio.MemoryReceiveChannel[tuple[int, bytes]], scope: trio.CancelScope
    ) -> None:
        try:
            with suppress(trio.EndOfChannel):
                while True:
                    await take(messages, line)
                    if self.channel.line_is_full and not self._outbox.is_busy():
                        with suppress(trio.WouldBlock):  # else there is news that wakes the deciding task anyway
                            self._inbox_in.send_nowait(Tick())
        except LineClosed as closed:
            log.debug("line closed while sending", reason=closed.reason)
        scope.cancel()
