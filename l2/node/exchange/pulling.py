"""Lines that record bodies travel on, kept for a while and used again: a handshake costs more than a small record.

A bounded number to each peer, each for the channels of one slot [LINE-15]. Whoever needs a line queues for one and
gives it back after a turn, so that all that is under way with a peer has its fair share; a large body takes turns on
several at once. A line that broke is replaced once, silently, since it may have died while it lay idle.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeVar

import trio

from l1.ground.faults import LocalError, Refused
from l2.link import Line, LineClosed, slot_of
from l2.node.bodies import Download, Gathering, Turn, begin_pull, gather, pull_turn

__all__ = ["Pulls"]

LINES_PER_PEER = 4
LANES_PER_BODY = 2  # a body alone fills two lines; more would only put more at risk of a crash
LANE_BYTES = 16 * 1024 * 1024  # what is smaller is carried by one
IDLE_S = 15.0

Connect = Callable[[bytes, int], Awaitable[Line]]
"""A line to a peer, for the channels of a slot."""
T = TypeVar("T")


class Pulls:
    """`run` closes what lies idle."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._idle: dict[tuple[bytes, int], list[tuple[float, Line]]] = {}
        self._rooms: dict[bytes, trio.CapacityLimiter] = {}

    async def gather(self, peer: bytes, channel: bytes, grants: Sequence[int], one_time_public: bytes) -> Gathering:
        """Fetch short bodies, as they come. Raises `Refused`, `LineClosed`, `LocalError`."""
        return await self._with_line(peer, channel, lambda line: gather(line, channel, grants, one_time_public))

    async def pull(self, peer: bytes, download: Download, progress: Callable[[int], None] = lambda _: None) -> None:
        """Fetch what is missing of a download and make it durable. Raises `Refused`, `LineClosed`, `LocalError`."""
        round_trip_s = await self._with_line(peer, download.channel, lambda line: begin_pull(line, download))
        turn = Turn(download, progress)
        if round_trip_s:
            turn.learn(round_trip_s)
        lanes = 1 if download.body.cipher_size <= LANE_BYTES else LANES_PER_BODY
        while download.missing:
            failed: list[Exception] = []
            async with trio.open_nursery() as nursery:
                for number in range(lanes):
                    nursery.start_soon(self._lane, peer, turn, failed, nursery.cancel_scope, number > 0)
            if failed:
                raise failed[0]
        await trio.to_thread.run_sync(download.complete)

    async def over_a_line(self, peer: bytes, channel: bytes, work: Callable[[Line], Awaitable[T]]) -> T:
        """Something else that travels on lines for records. Raises `Refused`, `LineClosed`, `LocalError`."""
        return await self._with_line(peer, channel, work)

    async def _lane(
        self, peer: bytes, turn: Turn, failed: list[Exception], scope: trio.CancelScope, further: bool
    ) -> None:
        room = self._room(peer)
        if further:
            await turn.sure.wait()  # [PULL-11]

        async def one_turn(line: Line) -> None:
            await pull_turn(line, turn, lambda: room.statistics().tasks_waiting > 0)

        try:
            while not turn.is_exhausted:
                await self._with_line(peer, turn.download.channel, one_turn)
        except (Refused, LineClosed, LocalError, OSError) as error:
            failed.append(error)
            scope.cancel()

    def _room(self, peer: bytes) -> trio.CapacityLimiter:
        return self._rooms.setdefault(peer, trio.CapacityLimiter(LINES_PER_PEER))

    async def _with_line(self, peer: bytes, channel: bytes, work: Callable[[Line], Awaitable[T]]) -> T:
        place = (peer, slot_of(channel))
        async with self._room(peer):
            idle = self._idle.get(place)
            if idle:
                with suppress(LineClosed):
                    return await self._over(place, idle.pop()[1], work)
            return await self._over(place, await self._connect(*place), work)

    async def _over(self, place: tuple[bytes, int], line: Line, work: Callable[[Line], Awaitable[T]]) -> T:
        try:
            done = await work(line)
        except BaseException:
            # Also after a denial: what else the peer may still be sending is nobody's business to sort out.
            await line.aclose()
            raise
        self._idle.setdefault(place, []).append((trio.current_time(), line))
        return done

    async def run(self) -> None:
        """Close idle lines until cancelled, and then all."""
        try:
            while True:
                await trio.sleep(IDLE_S)
                await self._close(trio.current_time() - IDLE_S)
        finally:
            with trio.CancelScope(shield=True):
                await self._close(trio.current_time())

    async def _close(self, before_s: float) -> None:
        for idle in list(self._idle.values()):
            old = [line for since, line in idle if since <= before_s]
            idle[:] = [(since, line) for since, line in idle if since > before_s]
            for line in old:
                await line.aclose()
