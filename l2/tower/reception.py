"""Taking in what hospitals hand over: whose words, for whom, how new; durable before the answer goes out.

[HAND-2] Only a hospital that names this tower on the chain is served. [HAND-3] Each commitment is the peer's own words
in a channel of that hospital. [HAND-4] The greatest size is kept; older and repeated ones do no harm.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import trio

from l1.ground.faults import Fault, Refused, require
from l1.ground.signing import Context
from l1.reader import Reader
from l1.rules.commitment import decode_commitment, open_commitment
from l1.rules.keys import key_counts
from l1.rules.state import Channel, Hospital, Phase
from l1.rules.transactions import CHANNEL
from l2.protocol.handover import Handed, open_handover, peek_handover
from l2.tower.judging import judge, note_newer
from l2.tower.registry import Registry
from l2.tower.rows import Held, side_key
from l2.tower.store import Change, TowerStore
from l2.vigil.words import HandedOver, NotHeld

__all__ = ["Reception"]

AT_ONCE = 8  # handovers that are looked at together; more of them wait


class _New(NamedTuple):
    """A commitment known to be good; `row` is the channel's where the tower did not watch it before."""

    key: bytes
    held: Held
    row: Channel | None


class Reception:
    """`wanted` is called when something that was handed over is to be shown to the chain at once."""

    def __init__(
        self,
        store: TowerStore,
        reader: Reader,
        registry: Registry,
        account: bytes,
        serves: frozenset[bytes],
        wanted: Callable[[], None],
    ) -> None:
        """`serves` are the hospitals that the operator lets in; empty: all that name this tower."""
        self._store, self._reader, self._registry = store, reader, registry
        self._account, self._serves, self._wanted = account, serves, wanted
        self._turns = trio.CapacityLimiter(AT_ONCE)

    async def take(self, data: bytes) -> HandedOver:
        """Raises `Refused` for a handover that is not a hospital's own; single commitments are refused by name."""
        async with self._turns:
            hospital, handed = await self._open(data)
            rows = await self._rows_of_new(handed)
            good: list[_New] = []
            bad: list[NotHeld] = []
            for each in handed:
                try:
                    good.append(await self._check(hospital, each, rows))
                except Refused as refused:
                    bad.append(NotHeld(each.channel.hex(), refused.fault.name.lower(), refused.detail))
            if await trio.to_thread.run_sync(self._keep, good):
                self._wanted()
        return HandedOver(held=len(good), refused=bad)

    async def _open(self, data: bytes) -> tuple[bytes, tuple[Handed, ...]]:
        """[HAND-1, 2] The hospital's own words, for this tower."""
        signed, handover = peek_handover(data)
        welcome = not self._serves or handover.hospital in self._serves
        require(welcome, Fault.NOT_AUTHORISED, "this tower does not serve that hospital")
        known = await self._registry.find(handover.hospital)
        counts = key_counts(known.hospital, signed.key, CHANNEL, self._reader.tip.clock_ms)
        require(counts, Fault.UNKNOWN_KEY, f"key {signed.key} is no channel key of the hospital that counts now")
        key = known.hospital.keys[signed.key].key
        open_handover(signed, handover, chain=self._reader.chain, tower=self._account, key=key)
        require(known.reward is not None, Fault.NOT_AUTHORISED, "the hospital has not named this tower on the chain")
        return handover.hospital, handover.handed

    async def _rows_of_new(self, handed: Sequence[Handed]) -> dict[bytes, Channel]:
        with self._store.reading() as rows:
            new = {each.channel for each in handed if rows.held(_key_of(each)) is None}
        return await self._reader.channels(new) if new else {}

    async def _check(self, hospital: bytes, handed: Handed, rows: dict[bytes, Channel]) -> _New:
        """[HAND-3] Raises `Refused`."""
        key = _key_of(handed)
        with self._store.reading() as reading:
            held = reading.held(key)
        row = rows.get(handed.channel)
        peer = _peer_of(hospital, key[32], held, row)
        public = _channel_key((await self._registry.find(peer)).hospital, handed.commitment.key)
        context = Context(chain=self._reader.chain, channel=handed.channel)
        commitment = open_commitment(handed.commitment, context, public)
        new = Held(hospital=hospital, peer=peer, size=commitment.size, signed=handed.commitment)
        return _New(key, new, None if held is not None else row)

    def _keep(self, good: Sequence[_New]) -> bool:
        """Durable when this returns; whether any is to be shown to the chain."""
        wanted = False
        with self._store.changing() as change:
            for new in good:
                wanted = self._keep_one(change, new) or wanted
        return wanted

    def _keep_one(self, change: Change, new: _New) -> bool:
        held = change.held(new.key)
        if held is None and new.row is None:
            return False  # it was settled while we looked
        if held is not None and held.size >= new.held.size:
            return False
        change.hold(new.key, new.held)
        if new.row is not None:
            judge(change, new.key, new.row, self._reader.tip.height, self._account)
            return new.row.phase == Phase.CLOSING
        return note_newer(change, new.key, new.held.size)


def _key_of(handed: Handed) -> bytes:
    """Whose words they say they are; believed once the signature of that side opens. Raises `Refused`."""
    return side_key(handed.channel, decode_commitment(handed.commitment.body).side)


def _peer_of(hospital: bytes, side: int, held: Held | None, row: Channel | None) -> bytes:
    """The hospital whose words they must be."""
    if held is not None:
        require(held.hospital == hospital, Fault.NOT_AUTHORISED, "the hospital is no side of this channel")
        return held.peer
    if row is None:
        raise Refused(Fault.UNKNOWN_CHANNEL, "no channel of that id was opened")
    require(row.phase != Phase.SETTLED, Fault.WRONG_PHASE, "the channel is settled")
    ours = row.opening.hospitals[1 - side] == hospital
    require(ours, Fault.NOT_AUTHORISED, "these are not the words of the hospital's peer in a channel of its own")
    return row.opening.hospitals[side]


def _channel_key(hospital: Hospital, number: int) -> bytes:
    key = hospital.key(number)
    if key is None or key.kind != CHANNEL:
        raise Refused(Fault.UNKNOWN_KEY, f"key {number} is no channel key of the peer")
    return key.key
