"""The one address of a hub: accept, look for a hint without taking a byte, hand the connection to its worker.

It understands no message, and takes no byte of any. Who has not proved who he is counts here, for all workers together,
from the first byte until his worker knows him or has let him go. docs/spec/line.md, LINE-15.
"""

import itertools
import socket
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import structlog
import trio

from l2.link import HELLO_PEEK_BYTES, Limits, peek_slot
from l2.node.hub.handing import Handing
from l2.node.parts import home_of_slot

__all__ = ["FrontDoor"]

PEEK_S = 5.0  # for a ClientHello to be here: half of what a whole handshake may take
# Between looks at one that comes in pieces, for a socket that is not read stays readable; longer each time, so that who
# never ends his hello costs little.
PEEK_AGAIN_S, PEEK_AGAIN_S_MAX = 0.01, 0.32
LATE_S = 2.0  # on top of a whole handshake, for a worker to say what came of it: one that hangs never does

log = structlog.get_logger()


@dataclass
class _Knocking:
    """One of whom nobody knows yet who he is: where he comes from, and the worker that has him now."""

    address: str
    worker: int | None = None
    known: trio.Event = field(default_factory=trio.Event)


class FrontDoor:
    """`workers` are those that run now, by number; who dials one that does not run comes again."""

    def __init__(self, workers: Mapping[int, Handing], count: int, limits: Limits | None = None) -> None:
        self._workers, self._count, self._limits = workers, count, limits or Limits()
        self._tickets = itertools.count()
        self._unsettled: dict[int, _Knocking] = {}
        self._knocking: Counter[str] = Counter()

    @property
    def unsettled(self) -> int:
        """Connections of which nobody knows yet whose they are."""
        return len(self._unsettled)

    async def knock(self, stream: trio.SocketStream) -> None:
        """One connection, until its worker knows who it is, or should have known long ago."""
        address = _address(stream)
        limits = self._limits
        if self.unsettled >= limits.unproved_max or self._knocking[address] >= limits.unproved_per_address_max:
            log.info("line refused", who=address, why="too many connections that have not said who they are")
            return
        ticket = next(self._tickets)
        knocking = self._unsettled[ticket] = _Knocking(address)
        self._knocking[address] += 1
        try:
            if await self._hand(ticket, knocking, stream):
                await stream.aclose()  # ours alone: what the worker closes is to be closed
                with trio.move_on_after(limits.handshake_s + LATE_S):
                    await knocking.known.wait()
        finally:
            self.settle(ticket)

    async def _hand(self, ticket: int, knocking: _Knocking, stream: trio.SocketStream) -> bool:
        slot: int | None = None
        with trio.move_on_after(PEEK_S) as scope, suppress(OSError):
            slot = await _peek(stream)
        if scope.cancelled_caught:
            log.info("line refused", who=knocking.address, why=f"no hello within {PEEK_S:g} s")
            return False
        number = 0 if slot is None else home_of_slot(slot, self._count)
        worker = self._workers.get(number)
        if worker is None:
            log.info("line refused", who=knocking.address, why=f"worker {number} is not there")
            return False
        knocking.worker = number
        try:
            await worker.hand(ticket, stream)
        except OSError as error:
            log.info("line refused", who=knocking.address, why=f"worker {number} took nothing ({error})")
            return False
        return True

    def settle(self, ticket: int) -> None:
        """The worker knows who it is, or that it came to nothing. Told again, it is told."""
        knocking = self._unsettled.pop(ticket, None)
        if knocking is None:
            return
        knocking.known.set()
        self._knocking[knocking.address] -= 1
        if not self._knocking[knocking.address]:
            del self._knocking[knocking.address]

    def forget(self, worker: int) -> None:
        """The worker has ended, and its connections with it."""
        for ticket in [ticket for ticket, knocking in self._unsettled.items() if knocking.worker == worker]:
            self.settle(ticket)


async def _peek(stream: trio.SocketStream) -> int | None:
    """The slot that the connection's first bytes name. Nothing is taken."""
    pause_s = PEEK_AGAIN_S
    while True:
        data = await stream.socket.recv(HELLO_PEEK_BYTES, socket.MSG_PEEK)
        slot, more = peek_slot(data)
        if not data or not more:
            return slot
        await trio.sleep(pause_s)
        pause_s = min(2 * pause_s, PEEK_AGAIN_S_MAX)


def _address(stream: trio.SocketStream) -> str:
    try:
        return str(stream.socket.getpeername()[0])
    except OSError:
        return "gone"
