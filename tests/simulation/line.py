"""A line between the two keepers of a channel: ordered like TCP while it lives, broken at any moment, or half open.

What is on its way is lost with the line; nothing is repeated but by a peer that sends again on the next one.
"""

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

from l2.protocol.events import MessageReceived

if TYPE_CHECKING:
    from tests.simulation.keeper import Keeper
    from tests.simulation.world import World

__all__ = ["INBOX_EVENTS", "Line"]

OUTBOX_MESSAGES = 4_096  # as in the shell: a peer that takes nothing is cut off
OUTBOX_BUSY = 256  # as in the shell: what a peer lacks waits until it has taken so much
INBOX_EVENTS = 256  # as in the shell: then whoever brings more waits

_Way = deque[tuple[int, MessageReceived]]
"""What is on its way to a side, with the moment at which it arrives."""


class Line:
    """`ends` by side of the channel; None once that end has let go."""

    def __init__(self, world: "World", first: "Keeper", second: "Keeper") -> None:
        self._world = world
        self.ends: list[Keeper | None] = [first, second]
        self.nodes = (first.node.number, second.node.number)
        self._last = [0, 0]  # when the newest message to that side arrives
        self._on_way: tuple[_Way, _Way] = (deque(), deque())
        self._is_due = [False, False]  # whether the next delivery to that side is on the world's heap
        self._left: list[int | None] = [None, None]  # how many more arrive at a side, once the line is cut
        self.clogged_until = self.opens = 0
        self.is_dead = False

    def open_at(self, due: int) -> None:
        """The answering end hears nothing before it has accepted."""
        self.opens = self._last[1] = due

    def is_full(self, side: int) -> bool:
        """Whether a side that has much to say had better wait: the other has not taken what is on its way."""
        return len(self._on_way[1 - side]) >= OUTBOX_BUSY

    def send(self, side: int, message: MessageReceived) -> None:
        """From a side to the other."""
        to = 1 - side
        if self.ends[side] is None or self.is_dead:
            return
        if len(self._on_way[to]) >= OUTBOX_MESSAGES:
            self.cut(half_open=False)
            return
        world = self._world
        due = world.now + world.delay()
        due = max(due, self._last[to], self.clogged_until, world.blocked_until(self.nodes[side], self.nodes[to]))
        self._last[to] = due
        self._on_way[to].append((due, message))
        self._arm(to)

    def _arm(self, to: int) -> None:
        if not self._is_due[to] and self._on_way[to]:
            self._is_due[to] = True
            self._world.at(self._on_way[to][0][0], self._deliver, to)

    def _deliver(self, to: int) -> None:
        """All that is due by now, as far as there is room; a full inbox takes more once it has been emptied."""
        self._is_due[to] = False
        self.take(to)

    def take(self, to: int) -> None:
        """An end takes what has arrived."""
        keeper, way, now = self.ends[to], self._on_way[to], self._world.now
        if keeper is None:
            way.clear()
        while keeper is not None and way and way[0][0] <= now:
            left = self._left[to]
            if left == 0:
                way.clear()
            elif len(keeper.inbox) >= INBOX_EVENTS:  # back-pressure
                return
            else:
                keeper.hear(way.popleft()[1])
                self._left[to] = None if left is None else left - 1
        self._arm(to)
        self._wake_writer(1 - to)

    def _wake_writer(self, side: int) -> None:
        writer = self.ends[side]
        if writer is not None and writer.channel.line_is_full and not self.is_full(side):
            writer.wake()

    def cut(self, *, half_open: bool) -> None:
        """The line breaks. Each end notices by itself; half open, one of them only after a long silence."""
        if self.is_dead:
            return
        self.is_dead = True
        world = self._world
        deaf = world.rng.randrange(2) if half_open else None
        for side in (0, 1):
            self._left[side] = world.rng.choice((0, 0, 1, 2, 5))
            pause = world.rng.randint(5_000, 60_000) if side == deaf else world.rng.randint(0, 20)
            world.after(pause, self.notice, side)

    def notice(self, side: int) -> None:
        """An end learns that the line is gone."""
        self.is_dead = True
        keeper, self.ends[side] = self.ends[side], None
        self._on_way[side].clear()
        if keeper is not None:
            keeper.line_ended(self)

    def replaced(self, side: int) -> list[MessageReceived]:
        """This end has a newer line. What it had read already and not yet handed on comes after the new `Connected`."""
        self.ends[side] = None
        self.cut(half_open=False)
        count = self._world.rng.choice((0, 0, 0, 1, 3))
        return [message for _, message in islice(self._on_way[side], count)]
