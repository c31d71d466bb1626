"""The authority's task on a mock clock: when it makes blocks, and when it lets time pass."""

from pathlib import Path

import trio
import trio.testing

from l1.node.proposer import propose_blocks
from tests.unit.l1.world import AUTHORITY, START_MS, gift, open_chain


def clock_ms() -> int:
    """The chain's time is the loop's."""
    return START_MS + round(trio.current_time() * 1000)


async def test_a_heartbeat_when_nothing_waits(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    with open_chain(tmp_path, now_ms=clock_ms) as chain, trio.move_on_after(17):
        await propose_blocks(chain, AUTHORITY)
    assert chain.tip.height == 3
    assert chain.tip.time_ms == START_MS + 15_000
    assert not chain.is_proposing


async def test_a_lone_transaction_goes_at_once(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    with open_chain(tmp_path, now_ms=clock_ms) as chain:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: propose_blocks(chain, AUTHORITY))
            await trio.sleep(1.5)
            chain.submit(gift(chain, 0))
            await chain.wait_change()
            assert chain.tip.time_ms == START_MS + 1_500
            nursery.cancel_scope.cancel()


async def test_blocks_keep_their_distance(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    with open_chain(tmp_path, now_ms=clock_ms) as chain:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: propose_blocks(chain, AUTHORITY))
            await trio.testing.wait_all_tasks_blocked()
            times = []
            for nonce in range(4):
                chain.submit(gift(chain, nonce))
                await chain.wait_change()
                times.append(chain.tip.time_ms - START_MS)
            nursery.cancel_scope.cancel()
    assert times == [100, 200, 300, 400]
