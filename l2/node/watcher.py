"""Watching the chain for a hospital: every verified header, the registry, the rows of its channels.

It believes what the reader verified and tells the keepers; a channel that the chain shows and nobody keeps yet is
adopted. It knows no lines and no records.
"""

from collections.abc import Awaitable, Callable

import structlog
import trio

from l1.ground.faults import Fault, LocalError, Refused
from l1.ground.limits import CLOCK_SKEW_MS_MAX
from l1.ground.merkle import EMPTY_ROOT
from l1.reader.transport import ChainUnreachable
from l1.rules import state as l1_state
from l1.rules.blocks import Header
from l1.rules.transactions import CHANNEL
from l2.node.clock import now_ms
from l2.node.hospital import Hospital
from l2.node.keeper import Keeper
from l2.protocol.events import BlockSeen, PeerKeysSeen

__all__ = ["Watcher", "channel_keys"]

RETRY_S = 0.5

Adopt = Callable[[l1_state.Channel], Awaitable[Keeper]]

log = structlog.get_logger()


def channel_keys(hospital: l1_state.Hospital, *, revoked: bool) -> dict[int, bytes]:
    """A hospital's channel keys by number, with or without the revoked ones."""
    return {
        key.number: key.key for key in hospital.keys if key.kind == CHANNEL and (revoked or key.revoked_at_ms is None)
    }


class Watcher:
    """The watcher's task is `run`; it must have seen the chain once before a hospital serves."""

    def __init__(self, hospital: Hospital, adopt: Adopt, cut_revoked: Callable[[int], Awaitable[None]]) -> None:
        self._hospital = hospital
        self._adopt, self._cut_revoked = adopt, cut_revoked
        self.clock_is_off = False

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Follow the chain until cancelled. Outlives a chain node that is down; not a fork."""
        reader = self._hospital.reader
        first = await self._first_header()
        await self._look(first, everything=True)
        task_status.started()
        height = first.height
        while True:
            header = await reader.next_header(height)
            self._check_clock(header)
            try:
                quiet = header.height == height + 1 and header.transactions == EMPTY_ROOT
                await self._look(header, everything=not quiet)
            except (ChainUnreachable, LocalError) as error:
                log.warning("chain unreachable", detail=str(error))
                await trio.sleep(RETRY_S)
                continue
            except Refused as refused:
                if refused.fault is Fault.FORK:
                    raise
                log.warning("chain answer refused", detail=str(refused))
                await trio.sleep(RETRY_S)
                continue
            height = header.height

    async def _first_header(self) -> Header:
        while True:
            try:
                return await self._hospital.reader.sync()
            except ChainUnreachable as error:
                log.warning("waiting for the chain", detail=str(error))
                await trio.sleep(RETRY_S)

    def _check_clock(self, header: Header) -> None:
        """A header that has just come tells what time it is; ours may not be far from it."""
        off = abs(header.time_ms - now_ms()) > CLOCK_SKEW_MS_MAX
        if off != self.clock_is_off:
            self.clock_is_off = off
            said = "our clock and the chain's differ by more than five minutes: nothing is signed until they agree"
            log.error(said) if off else log.info("our clock agrees with the chain's again")
            self._hospital.announce("clock", b"", said if off else "the clocks agree again")

    async def _look(self, header: Header, *, everything: bool) -> None:
        hospital = self._hospital
        if everything:
            await self._refresh_registry()
            await self._cut_revoked(header.clock_ms)
            for row in await hospital.reader.channels_of(hospital.id):
                keeper = hospital.keepers.get(row.id) or await self._adopt(row)
                await self._tell(keeper, header, row)
        else:
            for keeper in list(hospital.keepers.values()):
                await self._tell(keeper, header, None)

    async def _tell(self, keeper: Keeper, header: Header, row: l1_state.Channel | None) -> None:
        peer = self._hospital.registry.get(self._hospital.peer_of(keeper))
        me = self._hospital.registry.get(self._hospital.id)
        if row is not None and peer is not None and me is not None:
            keeper.own_keys = channel_keys(me, revoked=True)
            await keeper.offer(PeerKeysSeen(channel_keys(peer, revoked=False)))
        await keeper.offer(BlockSeen(header.height, header.clock_ms, row, self.clock_is_off))

    async def _refresh_registry(self) -> None:
        hospital = self._hospital
        peers = {hospital.peer_of(keeper) for keeper in hospital.keepers.values()}
        for wanted in {hospital.id, *peers}:
            found = await hospital.reader.hospital(wanted)
            if found is not None:
                hospital.registry[wanted] = found
