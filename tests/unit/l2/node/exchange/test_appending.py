"""An append that finds no room in time is written nowhere, and leaves nothing behind."""

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from l1.ground.faults import LocalError
from l1.rules.log.entries import Access
from l2.node.exchange.appending import WRITTEN_S, queue
from l2.protocol.events import Tick
from tests.unit.l2.node.api.world import open_world
from tests.unit.l2.protocol.world import NOW_MS


async def test_who_finds_no_room_is_told_that_nothing_is_written(tmp_path: Path, autojump_clock: MockClock) -> None:
    with open_world(tmp_path) as world:
        (keeper,) = world.hospital.keepers.values()
        with trio.move_on_after(1) as full:
            while True:
                await keeper.offer(Tick())  # nobody runs it
        assert full.cancelled_caught
        began = trio.current_time()
        with pytest.raises(LocalError, match="none of the entries is written"):
            await queue(keeper, [Access(time=NOW_MS, grant=1)], [])
        assert trio.current_time() - began == pytest.approx(WRITTEN_S)
        assert keeper._outcomes._tickets == {}
