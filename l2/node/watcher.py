"""Watching the chain for a hospital: every verified block, and what its transactions touch of registry and channels.

It believes what the reader verified and tells the keepers; a channel that the chain shows and nobody keeps yet is
adopted. Everything is read once at the start, and afterwards only what a block touched [READ-8]. It knows no lines and
no records.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog
import trio

from l1.ground.faults import Fault, LocalError, Refused
from l1.reader.backoff import Backoff
from l1.reader.transport import ChainUnreachable
from l1.rules import state as l1_state
from l1.rules.blocks import Header
from l1.rules.commitment import channel_id
from l1.rules.keys import channel_keys_here
from l1.rules.published import published_in, revealed_in
from l1.rules.touched import touched_by
from l1.rules.transactions import CHANNEL
from l2.node.clock import Clock
from l2.node.hospital import Hospital
from l2.node.keeper import Keeper
from l2.protocol.events import BlockSeen, PeerKeysSeen, WordsSeen
from l2.protocol.rows import Damaged
from l2.protocol.watch import is_quiet

__all__ = ["Watcher", "channel_keys"]

RETRY_S, RETRY_S_MAX = 0.5, 10.0  # between questions to a chain that does not answer
QUIET_S = 1.0  # channels that a block does not concern hear of the newest so often: of a thousand each costs a step

Adopt = Callable[[l1_state.Channel], Awaitable[Keeper]]


class KeysSeen(Protocol):
    """Told of every block, and whether it changed anybody's keys: keys also begin and end as time passes."""

    async def __call__(self, header: Header, *, keys_changed: bool) -> None: ...


log = structlog.get_logger()


def channel_keys(hospital: l1_state.Hospital) -> dict[int, bytes]:
    """Every channel key that a hospital ever registered, by number."""
    return {key.number: key.key for key in hospital.keys if key.kind == CHANNEL}


class Watcher:
    """The watcher's task is `run`; it must have seen the chain once before a hospital serves."""

    def __init__(self, hospital: Hospital, adopt: Adopt, keys_seen: KeysSeen) -> None:
        self._hospital = hospital
        self._adopt, self._keys_seen = adopt, keys_seen
        self.clock = Clock()
        self._clock_was_off = False
        self._all_told_s = -QUIET_S
        self.tried = trio.Event()  # the chain has answered, or has not

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Follow the chain until cancelled. Outlives a chain node that is down, at the start too; not a fork."""
        reader = self._hospital.reader
        height = await self._first_look()
        task_status.started()
        pauses = Backoff(RETRY_S, RETRY_S_MAX)
        while True:
            try:
                header = await reader.next_header(height)
                self._check_clock(header)
                await self._look(header, await self._transactions(height, header.height))
            except Damaged:
                raise
            except LocalError as error:
                log.warning("chain unreachable", detail=str(error))
                await pauses.wait()
                continue
            except Refused as refused:
                if refused.fault is Fault.FORK:
                    raise
                log.warning("chain answer refused", detail=str(refused))
                await pauses.wait()
                continue
            height = header.height
            pauses.reset()

    async def _first_look(self) -> int:
        """Open our channels as the chain shows them; at which height. While it does not answer none is open."""
        hospital, pauses = self._hospital, Backoff(RETRY_S, RETRY_S_MAX)
        while True:
            try:
                first = await hospital.reader.sync()
                hospital.started_height = hospital.started_height or first.height
                await self._look_at_all(first)
            except ChainUnreachable as error:
                log.warning("waiting for the chain", detail=str(error))
                hospital.waiting = error
                self.tried.set()
                await pauses.wait()
            else:
                hospital.waiting = None
                self.tried.set()
                log.info("the chain answers", height=first.height, channels=len(hospital.keepers))
                return first.height

    def _check_clock(self, header: Header) -> None:
        """A header that has just come tells what time it is; ours may not be far from it."""
        self.clock.heard(header.time_ms)
        if (off := self.clock.is_off()) != self._clock_was_off:
            self._clock_was_off = off
            said = "our clock and the chain's differ by more than five minutes: nothing is signed until they agree"
            log.error(said) if off else log.info("our clock agrees with the chain's again")
            self._hospital.announce("clock", b"", said if off else "the clocks agree again")

    async def _transactions(self, height: int, tip: int) -> list[bytes]:
        """What stands in the blocks past `height`, up to the tip."""
        reader, transactions = self._hospital.reader, list[bytes]()
        while height < tip:
            blocks = await reader.blocks(height + 1, tip - height)
            for _, found in blocks:
                transactions += found
            height += len(blocks)
        return transactions

    async def _look_at_all(self, header: Header) -> None:
        hospital = self._hospital
        await self._refresh({hospital.id})
        rows = [row for row in await hospital.reader.channels_of(hospital.id) if hospital.part.keeps(row.id)]
        for row in rows:
            await self._kept(row)
        await self._refresh({hospital.peer_of(keeper) for keeper in hospital.keepers.values()})
        await self._tell(header, {row.id: row for row in rows}, set(hospital.registry))

    async def _look(self, header: Header, transactions: list[bytes]) -> None:
        """Tell every keeper of the block, and those that it concerns what it changed, and what of the peer it shows."""
        hospital = self._hospital
        touched = touched_by(transactions, hospital.reader.chain)
        changed = touched.hospitals & hospital.registry.keys()
        await self._refresh(changed)
        opened = {channel_id(opening) for opening in touched.opened if hospital.id in opening.hospitals}
        ours = set(filter(hospital.part.keeps, opened))
        rows = await hospital.reader.channels(touched.channels & (ours | hospital.keepers.keys()))
        for row in rows.values():
            await self._kept(row)
        await self._tell(header, rows, changed)
        for words in published_in(transactions, hospital.reader.chain, hospital.keepers.keys()):
            await hospital.keepers[words.channel].offer(WordsSeen(words.signed, words.shown))
        for shown in revealed_in(transactions, hospital.reader.chain, hospital.keepers.keys()):
            keeper = hospital.keepers[shown.channel]
            if shown.side != keeper.channel.side:
                keeper.note_secret(shown.grant, shown.secret)

    async def _kept(self, row: l1_state.Channel) -> Keeper:
        return self._hospital.keepers.get(row.id) or await self._adopt(row)

    async def _tell(self, header: Header, rows: dict[bytes, l1_state.Channel], changed: set[bytes]) -> None:
        """`changed` are hospitals whose keys may be others than the keepers know; a new keeper knows none."""
        hospital, now_s = self._hospital, trio.current_time()
        await self._keys_seen(header, keys_changed=bool(changed))
        if is_turn := now_s >= self._all_told_s + QUIET_S:
            self._all_told_s = now_s
        for keeper in list(hospital.keepers.values()):
            peer, me = hospital.registry.get(hospital.peer_of(keeper)), hospital.registry.get(hospital.id)
            row = rows.get(keeper.channel.id)
            anew = not keeper.own_keys or row is not None
            if peer and me and (anew or not changed.isdisjoint((peer.id, me.id))):
                keeper.own_keys, theirs = channel_keys(me), channel_keys(peer)
                ever = (keeper.own_keys, theirs)
                keeper.channel.keys_ever = ever if keeper.channel.side == 0 else (theirs, keeper.own_keys)
                await keeper.offer(PeerKeysSeen(self._peer_keys(keeper, peer, row, header.clock_ms)))
            elif row is None and not is_turn and is_quiet(keeper.channel):
                continue
            await keeper.offer(BlockSeen(header.height, header.clock_ms, row, self.clock.is_off()))

    def _peer_keys(
        self, keeper: Keeper, peer: l1_state.Hospital, row: l1_state.Channel | None, clock_ms: int
    ) -> dict[int, bytes]:
        """The peer's channel keys whose words L1 counts in this channel; all, while its row was never seen."""
        known = row or keeper.channel.l1
        if known is None:
            return channel_keys(peer)
        window_ms = self._hospital.reader.genesis.parameters.key_window_ms
        side = known.opening.hospitals.index(peer.id)
        return channel_keys_here(known, side, peer, clock_ms=clock_ms, key_window_ms=window_ms)

    async def _refresh(self, wanted: set[bytes]) -> None:
        """Read registry entries again."""
        for each in wanted:
            await self._hospital.learn(each)
