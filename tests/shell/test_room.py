"""A peer that lost its disk is served as fast as it reads: its line is not overrun, and so not cut. [REC-5]"""

from collections.abc import Iterable, Sequence
from typing import cast

import pytest
import trio
import trio.lowlevel

from l2.link import Line, LineClosed
from l2.node.keeper import Keeper
from l2.protocol.channel import new_rows
from l2.protocol.events import Submit
from l2.protocol.messages import Message
from tests.unit.l2.protocol.stories import granted
from tests.unit.l2.protocol.world import KEYS, OPENING, MemoryRows, Pair

BATCHES = 100
DEADLINE_S = 60


class SlowLine:
    """A line whose peer says once which heads it holds, and then takes a message only when it is let."""

    def __init__(self, says: tuple[int, bytes]) -> None:
        self._says: list[tuple[int, bytes]] = [says]
        self.taken: list[int] = []
        self.let = trio.Semaphore(0)

    async def receive_many(self) -> list[tuple[int, bytes]]:
        if self._says:
            return [self._says.pop()]
        await trio.sleep_forever()
        raise LineClosed("never")

    async def send_many(self, messages: Iterable[tuple[int, bytes]]) -> None:
        for type_, _ in messages:
            await self.let.acquire()
            self.taken.append(type_)

    async def aclose(self) -> None:
        """Nothing to close."""


class Stores:
    def __init__(self, rows: MemoryRows) -> None:
        self._rows = rows

    async def commit(self, channel: bytes, rows: Sequence[tuple[bytes, bytes]]) -> None:
        await trio.lowlevel.checkpoint()
        self._rows.put(rows)

    def commit_at_once(self, channel: bytes, rows: Sequence[tuple[bytes, bytes]]) -> bool:
        return False


def _submit(_keeper: Keeper, _submit: Submit) -> None:
    """There is no chain here."""


async def test_whole_logs_do_not_overrun_a_slow_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("l2.node.outbox.OUTBOX_MESSAGES", BATCHES // 2)
    monkeypatch.setattr("l2.node.outbox.OUTBOX_BUSY", 8)
    pair = Pair()
    for _ in range(BATCHES):
        granted(pair)
    written = sum(key[:2] == b"b\x00" for key, _ in pair.stores[0].scan(b"", b"\xff"))
    assert written >= BATCHES
    pair.crash(1, MemoryRows(new_rows(OPENING, 1)))
    pair.block()
    pair.connect()
    said = next(send for send in pair.inboxes[0] if send.type == Message.REESTABLISH)
    line = SlowLine((int(said.type), said.payload))
    keeper = Keeper(pair.channels[0], {1: KEYS[0].public_key}, Stores(pair.stores[0]), _submit)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.run)
        nursery.start_soon(keeper.serve, cast(Line, line))
        with trio.fail_after(DEADLINE_S):
            while line.taken.count(Message.BATCH) < written:
                line.let.release()
                await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
