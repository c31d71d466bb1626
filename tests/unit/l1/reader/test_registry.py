"""Hospitals and channels through the reader: each row verified, page after page."""

from pathlib import Path

import pytest

from l1.ground.faults import Fault
from l1.reader import client as client_module
from l1.rules.state import Phase
from l1.rules.transactions import Close, Settle, sign_transaction
from tests.unit.l1.rules.world import World, key_named, party, refuses
from tests.unit.l1.world import Clock, asking, open_chain, propose, reading


class Scribe(World):
    """A world that remembers every transaction, for a node to take in."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def block(self, *transactions: bytes, after_ms: int = 100) -> None:
        super().block(*transactions, after_ms=after_ms)
        self.written += transactions


async def test_a_channel_is_found_from_either_side(tmp_path: Path) -> None:
    world, clock = Scribe(), Clock()
    channel = world.with_channel()
    with open_chain(tmp_path, world.genesis) as chain:
        await propose(chain, clock, *world.written, signer=key_named("authority"))
        async with reading(chain, clock) as reader:
            alice = await reader.hospital(world.a.id)
            assert alice is not None
            assert [key.key for key in alice.keys] == [key.key for key in world.hospital(world.a).keys]
            assert {h.id for h in await reader.hospitals()} == {world.a.id, world.b.id}
            found = await reader.channel(channel)
            assert found is not None
            assert found.phase == Phase.OPEN
            assert await reader.channels_of(world.a.id) == await reader.channels_of(world.b.id) == [found]
            assert await reader.channels_of(bytes(20)) == []
        shown = (await asking(chain).get(f"/v1/channels/{channel.hex()}")).json()["decoded"]
        assert shown["phase"] == "open"
        assert shown["opening"]["hospitals"] == [world.a.id.hex(), world.b.id.hex()]
        hospital = (await asking(chain).get(f"/v1/hospitals/{world.a.id.hex()}")).json()["decoded"]
        assert [key["kind"] for key in hospital["keys"]] == ["root", "channel", "tls", "sealing"]


async def test_many_hospitals_come_in_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "ROWS_PER_PAGE", 2)
    world, clock = Scribe(), Clock()
    parties = [party(f"hospital {n}") for n in range(5)]
    for one in parties:
        world.admit(one, amount=0)
    with open_chain(tmp_path, world.genesis) as chain:
        await propose(chain, clock, *world.written, signer=key_named("authority"))
        async with reading(chain, clock) as reader:
            assert {h.id for h in await reader.hospitals()} == {one.id for one in parties}


async def test_a_window_that_ends_now_can_be_settled_now(tmp_path: Path) -> None:
    """The pool judges by the clock of the block to come, not by that of the last one."""
    world, clock = Scribe(), Clock()
    channel = world.with_channel()
    with open_chain(tmp_path, world.genesis) as chain:
        authority = key_named("authority")
        await propose(chain, clock, *world.written, signer=authority)
        close = Close(channel=channel, own=None, peer=None, lost=False)
        await propose(chain, clock, world.sign(world.a.root, close), signer=authority)
        async with reading(chain, clock) as reader:
            closing = await reader.channel(channel)
            assert closing is not None
            while chain.tip.clock_ms < closing.closes_at_ms - 2_000:
                await propose(chain, clock, signer=authority)
            settle = sign_transaction(world.b.root, chain.id, 0, Settle(channel=channel))
            with refuses(Fault.WINDOW_OPEN):
                chain.submit(settle)
            clock.ms += 5_000
            chain.submit(settle)
            await propose(chain, clock, signer=authority)
            settled = await reader.channel(channel)
            assert settled is not None
            assert settled.phase == Phase.SETTLED
