"""What waits is checked against what waits before it."""

from pathlib import Path

import pytest

from l1.ground.faults import Fault, Refused
from l1.node import pool as pool_module
from l1.node.pool import Pool
from l1.rules.state import account_key, decode_account
from l1.rules.transactions import Transfer, transaction_id
from tests.unit.l1.world import ALICE, BOB, START_MS, Clock, account, gift, open_chain, propose, signed


def test_the_same_transaction_twice_waits_once(tmp_path: Path) -> None:
    with open_chain(tmp_path) as chain:
        chain.is_proposing = True
        data = gift(chain, 0)
        assert chain.submit(data) == chain.submit(data) == transaction_id(data)
        assert len(chain.pool) == 1


@pytest.mark.parametrize("nonce", [0, 2])
def test_a_nonce_that_waits_is_not_replaced_and_none_is_left_out(tmp_path: Path, nonce: int) -> None:
    with open_chain(tmp_path) as chain:
        chain.is_proposing = True
        chain.submit(gift(chain, 0, 1))
        with pytest.raises(Refused) as caught:
            chain.submit(gift(chain, nonce, 2))
        assert caught.value.fault is Fault.BAD_NONCE


def test_credits_that_are_on_their_way_can_be_spent(tmp_path: Path) -> None:
    with open_chain(tmp_path) as chain:
        chain.is_proposing = True
        chain.submit(gift(chain, 0, 10))
        chain.submit(signed(chain, BOB, 0, Transfer(to=account(ALICE), amount=10)))
        with pytest.raises(Refused) as caught:
            chain.submit(signed(chain, BOB, 1, Transfer(to=account(ALICE), amount=1)))
        assert caught.value.fault is Fault.TOO_FEW_CREDITS


def test_one_account_cannot_fill_the_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "WAITING_PER_ACCOUNT_MAX", 2)
    with open_chain(tmp_path) as chain:
        chain.is_proposing = True
        for nonce in range(2):
            chain.submit(gift(chain, nonce, 10))
        with pytest.raises(Refused) as caught:
            chain.submit(gift(chain, 2))
        assert caught.value.fault is Fault.MEMPOOL_FULL
        chain.submit(signed(chain, BOB, 0, Transfer(to=account(ALICE), amount=1)))


@pytest.mark.parametrize("limit", ["WAITING_MAX", "WAITING_BYTES_MAX"])
def test_a_full_pool_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(pool_module, limit, 0)
    with open_chain(tmp_path) as chain:
        chain.is_proposing = True
        with pytest.raises(Refused) as caught:
            chain.submit(gift(chain, 0))
        assert caught.value.fault is Fault.MEMPOOL_FULL


async def test_a_block_leaves_what_came_later(tmp_path: Path) -> None:
    with open_chain(tmp_path) as chain:
        await propose(chain, Clock(), gift(chain, 0))
        late = gift(chain, 1)
        chain.submit(late)
        assert chain.pool.candidates() == [late]
        row = chain.pool.get(account_key(account(ALICE)))
        assert row is not None
        assert decode_account(row).nonce == 2


def test_what_a_block_refuses_takes_its_successors_with_it(tmp_path: Path) -> None:
    with open_chain(tmp_path) as chain, chain.store.snapshot() as snapshot:
        pool = Pool(chain.id, snapshot)
        first, second = gift(chain, 0), gift(chain, 1)
        for data in (first, second):
            pool.add(data, height=1, clock_ms=START_MS)
        fallen = pool.settle([], [first], height=1, clock_ms=START_MS)
        assert [data for data, _ in fallen] == [second]
        assert fallen[0][1].fault is Fault.BAD_NONCE
        assert len(pool) == 0
        pool.add(first, height=1, clock_ms=START_MS)
