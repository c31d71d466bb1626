"""A transaction that fails in its block: served, followed, and believed only where it verifies."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from l1.ground.faults import Fault, Refused
from l1.rules.blocks import decode_block
from l1.rules.commitment import Signed
from l1.rules.genesis import Genesis, Parameters
from l1.rules.outcomes import open_item
from l1.rules.state import account_key, decode_account
from l1.rules.transactions import ResumeChannel, transaction_id
from tests.unit.l1.world import (
    ALICE,
    TOTAL,
    Clock,
    account,
    asking,
    genesis,
    gift,
    open_chain,
    propose,
    reading,
    signed,
)


def costly() -> Genesis:
    return replace(genesis(), parameters=Parameters(fee=7))


async def test_a_failed_transaction_is_followed_and_its_outcome_verified(tmp_path: Path) -> None:
    clock, nothing = Clock(), Signed(body=b"x", key=0, signature=bytes(64))
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with open_chain(tmp_path / "a", costly()) as chain, open_chain(tmp_path / "b", costly()) as follower:
        bad = signed(chain, ALICE, 0, ResumeChannel(channel=bytes(32), resume=nothing))
        await propose(chain, clock, bad, gift(chain, 1, 5))
        assert len(chain.pool) == 0
        with chain.store.snapshot() as snapshot:
            stored = snapshot.block(1) or b""
            row = decode_account(snapshot.get(account_key(account(ALICE))) or b"")
        assert (row.credits, row.nonce) == (TOTAL - 5 - 2 * 7, 2)
        assert open_item(decode_block(stored).transactions[0]) == (bad, Fault.UNKNOWN_CHANNEL)
        await follower.follow(decode_block(stored))
        assert follower.tip == chain.tip
        assert chain.submit(bad) == transaction_id(bad), "what stands in a block is known, not asked again"
        async with reading(chain, clock) as reader:
            with pytest.raises(Refused) as caught:
                await reader.wait_included(transaction_id(bad), 1)
            assert caught.value.fault is Fault.UNKNOWN_CHANNEL
            assert (await reader.wait_included(transaction_id(gift(chain, 1, 5)), 1)).index == 1
        async with asking(chain) as client:
            shown = (await client.get("/v1/blocks/1")).json()["transactions"]
            assert [each["failed"] and each["failed"]["fault"] for each in shown] == ["unknown channel", None]
