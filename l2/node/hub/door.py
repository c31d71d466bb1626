"""The one address of a hub: accept, look for a hint without taking a byte, hand the connection to its worker.

It understands no message, and takes no byte of any. Who has not proved who he is counts here, for all workers together,
from the first byte until his worker knows him or has let him go. docs/spec/line.md, LINE-15.
"""

import itertools
import socket
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress

import structlog
import trio

from l2.link import HELLO_PEEK_BYTES, Limits, peek_slot
from l2.node.hub.handing import Handing
from l2.node.parts import home_of_slot

__all__ = ["FrontDoor"]

PEEK_S = 5.0  # for a ClientHello to be here: half of what a whole handshake may take
PEEK_AGAIN_S = 0.01  # between looks at one that comes in pieces, for a socket that is not read stays readable

log = structlog.get_logger()


class FrontDoor:
    """`workers` are those that run now, by number; who dials one that does not run comes again."""

    def __init__(self, workers: Mapping[int, Handing], count: int, limits: Limits | None = None) -> None:
        self._workers, self._count, self._limits = workers, count, limits or Limits()
        self._tickets = itertools.count()
        self._unsettled: dict[int, tuple[str, int | None]] = {}  # address and worker of each
        self._knocking: Counter[str] = Counter()

    @property
    def unsettled(self) -> int:
        """Connections of which nobody knows yet whose they are."""
        return len(self._unsettled)

    async def knock(self, stream: trio.SocketStream) -> None:
        """One connection; `trio.serve_listeners` closes our descriptor of it afterwards."""
        address = _address(stream)
        limits = self._limits
        if self.unsettled >= limits.unproved_max or self._knocking[address] >= limits.unproved_per_address_max:
            log.info("line refused", who=address, why="too many connections that have not said who they are")
            return
        ticket = next(self._tickets)
        self._unsettled[ticket] = (address, None)
        self._knocking[address] += 1
        handed = False
        try:
            handed = await self._hand(ticket, address, stream)
        finally:
            if not handed:
                self.settle(ticket)

    async def _hand(self, ticket: int, address: str, stream: trio.SocketStream) -> bool:
        slot: int | None = None
        with trio.move_on_after(PEEK_S) as scope, suppress(OSError):
            slot = await _peek(stream)
        if scope.cancelled_caught:
            log.info("line refused", who=address, why=f"no hello within {PEEK_S:g} s")
            return False
        number = 0 if slot is None else home_of_slot(slot, self._count)
        worker = self._workers.get(number)
        if worker is None:
            log.info("line refused", who=address, why=f"worker {number} is not there")
            return False
        self._unsettled[ticket] = (address, number)
        try:
            await worker.hand(ticket, stream)
        except OSError as error:
            log.info("line refused", who=address, why=f"worker {number} took nothing ({error})")
            return False
        return ticket in self._unsettled  # else the worker died meanwhile, and was forgotten

    def settle(self, ticket: int) -> None:
        """The worker knows who it is, or that it came to nothing."""
        address, _ = self._unsettled.pop(ticket, ("", None))
        self._knocking[address] -= 1
        if self._knocking[address] <= 0:
            del self._knocking[address]

    def forget(self, worker: int) -> None:
        """The worker has ended, and its connections with it."""
        for ticket in [ticket for ticket, (_, number) in self._unsettled.items() if number == worker]:
            self.settle(ticket)


async def _peek(stream: trio.SocketStream) -> int | None:
    """The slot that the connection's first bytes name. Nothing is taken."""
    while True:
        data = await stream.socket.recv(HELLO_PEEK_BYTES, socket.MSG_PEEK)
        slot, more = peek_slot(data)
        if not data or not more:
            return slot
        await trio.sleep(PEEK_AGAIN_S)


def _address(stream: trio.SocketStream) -> str:
    try:
        return str(stream.socket.getpeername()[0])
    except OSError:
        return "gone"
