"""A tower in a town: real store, real reader, real chain; no sockets and no sleep."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import trio

from l1.rules.commitment import Signed
from l1.rules.state import decode_account
from l1.rules.transactions import Delegate, account_of
from l2.protocol.handover import Handed, sign_handover
from l2.tower.api import make_app
from l2.tower.rows import Answer, Held, Stand, side_key
from l2.tower.store import TowerStore
from l2.tower.tower import Tower
from l2.vigil import HandedOver, Watchtower
from tests.idle import all_idle
from tests.unit.l2.tower.town import TOWER, Town, in_town

__all__ = ["Watch", "handover", "watched"]

SHARE = 300


def handover(town: Town, *commitments: tuple[bytes, Signed], tower: object = TOWER) -> bytes:
    """What bob hands over."""
    return sign_handover(
        town.b.channel,
        1,
        chain=town.chain.id,
        hospital=town.b.id,
        tower=account_of(tower.public_key),  # type: ignore[attr-defined]
        handed=[Handed(channel=channel, commitment=signed) for channel, signed in commitments],
    )


class Watch:
    """The tower's process, more or less: it can be stopped, and started again on the same rows."""

    def __init__(self, town: Town, folder: Path, name: str = "tower") -> None:
        self.town, self._path = town, folder / f"{name}.mdb"
        self.key = TOWER
        self.tower: Tower

    @contextmanager
    def opened(self) -> Iterator[Tower]:
        store = TowerStore(self._path)
        try:
            self.tower = Tower("tower", self.key, store, self.town.reader())
            yield self.tower
        finally:
            store.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Tower]:
        with self.opened() as tower:
            await tower.reader.sync()
            async with trio.open_nursery() as nursery:
                await nursery.start(tower.run)
                yield tower
                nursery.cancel_scope.cancel()

    def client(self) -> Watchtower:
        transport = httpx.ASGITransport(app=make_app(self.tower))
        return Watchtower("http://tower", httpx.AsyncClient(transport=transport))

    async def hand(self, *commitments: tuple[bytes, Signed]) -> HandedOver:
        return await self.client().hand_over(handover(self.town, *commitments))

    async def watch(self, channels: list[bytes], size: int = 9) -> None:
        """Bob hands over alice's newest words in these channels."""
        said = await self.hand(*((channel, self.town.says(channel, 0, size, seen=2)) for channel in channels))
        assert said == HandedOver(held=len(channels))

    async def turn(self, blocks: int = 1) -> None:
        """Blocks are made, and the tower has done about each what it does."""
        for _ in range(blocks):
            await self._idle()
            await self.town.wait(1)
        await self._idle()

    async def _idle(self) -> None:
        """Wait until the follower has come to the newest block, and nothing moves after it, in no thread either."""
        await all_idle()
        while self.tower.follower.height != self.town.chain.tip.height:
            await all_idle()

    def held(self, channel: bytes, side: int = 0) -> Held | None:
        with self.tower.store.reading() as rows:
            return rows.held(side_key(channel, side))

    def answer(self, channel: bytes, side: int = 0) -> Answer:
        with self.tower.store.reading() as rows:
            found = rows.answer(side_key(channel, side))
        assert found is not None
        return found

    def stand(self, channel: bytes, side: int = 0) -> Stand:
        return Stand(self.answer(channel, side).stand)

    def credits(self) -> int:
        with self.town.chain.store.snapshot() as snapshot:
            row = snapshot.get(b"account/" + account_of(self.key.public_key))
        return 0 if row is None else decode_account(row).credits


@asynccontextmanager
async def watched(folder: Path, channels: int = 1) -> AsyncIterator[tuple[Town, Watch, list[bytes]]]:
    """Bob has named the tower, and has channels with alice."""
    async with in_town(folder) as town:
        delegate = Delegate(hospital=town.b.id, tower=account_of(TOWER.public_key), reward=SHARE)
        await town.do(town.b.root, delegate)
        yield town, Watch(town, folder), await town.open(channels)
