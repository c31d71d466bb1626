"""Taking in what hospitals hand over: what is asked of the chain for it, and durable before the answer goes out.

Whose words they must be, and which are kept, is `l2.tower.admission`'s to say.
"""

from collections.abc import Callable, Sequence

import trio

from l1.ground.faults import Fault, Refused, require
from l1.reader import Reader
from l1.rules.state import Channel
from l2.protocol.handover import Handed, peek_handover
from l2.tower.admission import Good, check_sender, keep, key_of, open_handed, peer_of
from l2.tower.registry import Registry
from l2.tower.store import TowerStore
from l2.vigil.words import HandedOver, NotHeld

__all__ = ["Reception"]

AT_ONCE = 8  # handovers that are looked at together; more of them wait


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
            good: list[Good] = []
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
        chain, clock_ms = self._reader.chain, self._reader.tip.clock_ms
        check_sender(signed, handover, known, chain=chain, tower=self._account, clock_ms=clock_ms)
        return handover.hospital, handover.handed

    async def _rows_of_new(self, handed: Sequence[Handed]) -> dict[bytes, Channel]:
        with self._store.reading() as rows:
            new = {each.channel for each in handed if rows.held(key_of(each)) is None}
        return await self._reader.channels(new) if new else {}

    async def _check(self, hospital: bytes, handed: Handed, rows: dict[bytes, Channel]) -> Good:
        """[HAND-3] Raises `Refused`."""
        key, row = key_of(handed), rows.get(handed.channel)
        with self._store.reading() as reading:
            held = reading.held(key)
        peer = await self._registry.find(peer_of(hospital, key, held, row))
        new_row = None if held is not None else row
        return open_handed(hospital, handed, peer.hospital, chain=self._reader.chain, row=new_row)

    def _keep(self, good: Sequence[Good]) -> bool:
        """Durable when this returns; whether any is to be shown to the chain."""
        height, asks = self._reader.tip.height, False
        with self._store.changing() as change:
            for new in good:
                asks = keep(change, new, height, self._account) or asks
        return asks
