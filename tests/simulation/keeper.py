"""The shell of one channel, as the real one works but without trio: inbox, a few steps ahead of the disk, then effects.

It decides nothing: `step` does. Every effect is carried out one by one, and the power may fail before each.
"""

from collections import deque
from typing import TYPE_CHECKING

from l1.ground.faults import LocalError
from l2.protocol.channel import Channel
from l2.protocol.events import (
    Acknowledged,
    Arrived,
    AskCheckpoint,
    AskClose,
    BlockSeen,
    Charged,
    ClockSeen,
    Connected,
    Disconnected,
    Effect,
    Event,
    Froze,
    MessageReceived,
    Persist,
    Resumed,
    Send,
    Submit,
    Tell,
)
from l2.protocol.phases import Phase
from l2.protocol.rows import Damaged
from tests.simulation.line import INBOX_EVENTS, Line

if TYPE_CHECKING:
    from tests.simulation.node import Node

__all__ = ["EVENTS_PER_STEP", "STEPS_AHEAD", "Keeper"]

EVENTS_PER_STEP = 64
STEPS_AHEAD = 4
REDIAL_MS = (100, 5_000)


class Keeper:
    """One channel of one process. A new process has new keepers."""

    def __init__(self, node: "Node", channel: Channel) -> None:
        self.node, self.channel = node, channel
        self.inbox: deque[Event] = deque()
        self.decided: deque[list[Effect]] = deque()
        self.speaking = False
        self.line: Line | None = None
        self.own_keys: dict[int, bytes] = {}
        # What the auditor asks about the start: whether there was one, what the disk held of the peer's log, and the
        # height of the first block after it.
        self.is_fresh, self.held, self.began = channel.resumed, channel.peer.size, -1
        self._awake = False
        self._redial_ms = REDIAL_MS[0]

    @property
    def id(self) -> bytes:
        return self.channel.id

    @property
    def side(self) -> int:
        return self.channel.side

    def is_alive(self) -> bool:
        return self.node.keepers.get(self.id) is self

    # -- deciding ---------------------------------------------------------------------------------------------------

    def offer(self, event: Event) -> None:
        if isinstance(event, BlockSeen) and self.began < 0:
            self.began = event.height
        self.inbox.append(event)
        self.wake()

    def wake(self) -> None:
        if not self._awake:
            self._awake = True
            self.node.world.after(0, self._take)

    def _take(self) -> None:
        """One step for what has arrived; requests come alone, as in the shell."""
        self._awake = False
        if not self.is_alive() or len(self.decided) + self.speaking >= STEPS_AHEAD:
            return
        events: list[Event] = []
        was_full = len(self.inbox) >= INBOX_EVENTS
        while self.inbox and len(events) < EVENTS_PER_STEP:
            if isinstance(self.inbox[0], AskClose | AskCheckpoint):
                if not events:
                    events.append(self.inbox.popleft())
                break
            events.append(self.inbox.popleft())
        if (is_off := self.node.clock_is_off()) != self.channel.clock_is_off and self.node.heard_at >= 0:
            events.insert(0, ClockSeen(is_off))
        if was_full and self.line is not None:
            self.line.take(self.side)
        effects = self.step(events)
        if effects is not None:
            self.decided.append(effects)
            self.speak()
        self._go_on()

    def _go_on(self) -> None:
        room = self.is_alive() and len(self.decided) + self.speaking < STEPS_AHEAD
        try:
            if room and (self.inbox or self.node.world.core.has_work(self.channel)):
                self.wake()
        except Damaged as wrong:
            self.node.found_damage(self.id, wrong, "when it was read")

    def step(self, events: list[Event]) -> list[Effect] | None:
        world = self.node.world
        self.channel.line_is_full = self.line is not None and self.line.is_full(self.side)
        self.channel.answers_wait = self.speaking
        world.events += len(events)
        try:
            effects = world.core.step(self.channel, events, self.node.clock_ms(), self.own_keys)
        except Damaged as wrong:
            self.node.found_damage(self.id, wrong, "when it was read")
            return None
        except LocalError:
            return None
        except Exception as error:
            self.node.threw(self, error)
            return None
        world.auditor.check_limits(self)
        world.auditor.check_total(self)
        world.auditor.contradictions.check(self, events)
        return effects

    # -- speaking ---------------------------------------------------------------------------------------------------

    def speak(self) -> None:
        """Bring the next decided step to the disk, or carry it out if it writes nothing."""
        if self.speaking or not self.decided:
            return
        if self.channel.owes_answer() and (answer := self.step([])) is not None:
            self.decided.append(answer)
        if not self.is_alive():
            return
        self.speaking = True
        effects = self.decided.popleft()
        rows = [row for effect in effects if isinstance(effect, Persist) for row in effect.rows]
        self.node.commit(self, rows, effects)

    def carry_out(self, effects: list[Effect]) -> None:
        """Its rows are durable (or it had none): speak, effect by effect."""
        world = self.node.world
        self.channel.rows.written()
        if any(isinstance(effect, Resumed) for effect in effects):
            world.auditor.resumed(self)
        ordered: list[Effect] = [effect for effect in effects if isinstance(effect, Send)]
        ordered += [effect for effect in effects if not isinstance(effect, Send | Persist)]
        for effect in ordered:
            if world.power_fails(self.node):
                return
            self._heed(effect)
            if not self.is_alive():
                return
        self.speaking = False
        if self.channel.phase is Phase.SETTLED and not self.decided:
            self.node.retire(self)
            return
        self.speak()
        self._go_on()

    def _heed(self, effect: Effect) -> None:
        world, auditor = self.node.world, self.node.world.auditor
        match effect:
            case Send():
                self.node.say(self, effect)
            case Submit():
                self.node.submit(self, effect)
            case Acknowledged():
                auditor.acknowledged(self, effect.size)
            case Arrived():
                world.events += len(effect.entries)
                world.judged += len(effect.entries)
                if effect.voids and effect.side != self.side:
                    auditor.verdicts.heard_void(self, auditor.signer(self.id, effect.side), effect)
            case Froze():
                auditor.froze(self, effect)
            case Charged():
                auditor.verdicts.charged(self, auditor.signer(self.id, 1 - self.side), effect.charge.name)
            case Tell(what="doubt"):
                self.node.doubt(self)
            case _:
                pass

    def hear(self, message: MessageReceived) -> None:
        self.node.heard(self, message)
        self.offer(message)

    def post(self, message: MessageReceived) -> None:
        if self.line is not None:
            self.line.send(self.side, message)

    # -- the line ---------------------------------------------------------------------------------------------------

    def serve(self, line: Line) -> None:
        """A new line. What the old one had already brought may be handed on after it: nobody can tell."""
        left: list[MessageReceived] = []
        if self.line is not None:
            left = self.line.replaced(self.side)
        self.line = line
        self._redial_ms = REDIAL_MS[0]
        self.offer(Connected())
        for message in left:
            self.offer(message)

    def line_ended(self, line: Line) -> None:
        if self.line is not line or not self.is_alive():
            return
        self.line = None
        self.offer(Disconnected())
        self.dial_later()

    def dial_later(self) -> None:
        """Side 0 dials, again and again with growing pauses."""
        if self.side == 0:
            world = self.node.world
            world.after(int(self._redial_ms * world.rng.uniform(0.5, 1.5)), self._dial)
            self._redial_ms = min(self._redial_ms * 2, REDIAL_MS[1])

    def _dial(self) -> None:
        if not self.is_alive() or self.line is not None or self.channel.phase is Phase.SETTLED:
            return
        world = self.node.world
        peer = world.peer_of(self)
        theirs = peer.keepers.get(self.id)
        numbers = self.node.number, peer.number
        blocked = world.blocked_until(*numbers) > world.now or world.blocked_until(*reversed(numbers)) > world.now
        if theirs is None or blocked:
            self.dial_later()
            return
        line = Line(world, self, theirs)
        self.serve(line)
        line.open_at(world.now + world.delay())
        world.at(line.opens, self._accepted, line, theirs)

    @staticmethod
    def _accepted(line: Line, theirs: "Keeper") -> None:
        if theirs.is_alive() and not line.is_dead:
            theirs.serve(line)
        else:
            line.cut(half_open=False)
