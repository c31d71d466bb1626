"""A chain over its store: blocks, refusals, restarts, and a state tree that holds what the state needs and no more."""

from pathlib import Path

import lmdb
import pytest

from l1.ground.codec import encode
from l1.ground.faults import Fault, LocalError, Refused
from l1.ground.sparse import EMPTY
from l1.node.chain import Chain
from l1.node.store import SCHEMA, ChainStore
from l1.rules import state
from l1.rules.blocks import Block, decode_block
from l1.rules.transactions import Transfer, transaction_id
from tests.unit.l1.world import ALICE, BOB, START_MS, TOTAL, Clock, account, genesis, gift, open_chain, propose, signed


def credits_of(chain: Chain, whose: bytes) -> int:
    with chain.store.snapshot() as snapshot:
        row = snapshot.get(state.account_key(whose))
    return 0 if row is None else state.decode_account(row).credits


def tree_names(chain: Chain) -> set[bytes]:
    """Every node that the newest state root leads to."""
    found: set[bytes] = set()
    with chain.store.snapshot() as snapshot:
        waiting = [snapshot.header().state]
        while waiting:
            name = waiting.pop()
            if name == EMPTY or name in found:
                continue
            found.add(name)
            node = snapshot.node(name)
            if node[:1] == b"\x03":
                waiting += [node[1:33], node[33:]]
    return found


def stored_names(chain: Chain) -> set[bytes]:
    with chain.store.snapshot() as snapshot:
        return set(snapshot._range("nodes", b"", b"", 1_000_000))


async def test_a_block_moves_credits_and_remembers_where_its_transactions_stand(tmp_path: Path) -> None:
    with open_chain(tmp_path) as chain:
        data = gift(chain, 0, 5)
        await propose(chain, Clock(), data)
        assert chain.tip.height == 1
        assert credits_of(chain, account(BOB)) == 5
        assert credits_of(chain, account(ALICE)) == TOTAL - 5
        place = chain.find_place(transaction_id(data))
        assert place is not None
        assert (place.height, place.index) == (1, 0)
        assert len(chain.pool) == 0


async def test_a_restart_goes_on_where_it_stopped(tmp_path: Path) -> None:
    clock = Clock()
    with open_chain(tmp_path) as chain:
        await propose(chain, clock, gift(chain, 0))
        tip = chain.tip
    with open_chain(tmp_path) as chain:
        assert chain.tip == tip
        await propose(chain, clock, gift(chain, 1))
        assert chain.tip.height == 2
        assert credits_of(chain, account(BOB)) == 2


async def test_the_tree_on_disk_is_the_tree_in_use(tmp_path: Path) -> None:
    clock = Clock()
    with open_chain(tmp_path) as chain:
        nonce = 0
        for block in range(8):
            gifts = []
            for n in range(block % 3 + 1):
                gifts.append(signed(chain, ALICE, nonce, Transfer(to=bytes([block, n]) * 10, amount=1)))
                nonce += 1
            await propose(chain, clock, *gifts)
            assert stored_names(chain) == tree_names(chain)


async def test_time_never_falls(tmp_path: Path) -> None:
    clock = Clock()
    with open_chain(tmp_path) as chain:
        await propose(chain, clock)
        clock.ms = START_MS - 5_000
        await propose(chain, clock)
        assert chain.tip.time_ms == START_MS + 1_000


async def test_a_follower_gets_the_same_state_and_refuses_another(tmp_path: Path) -> None:
    clock = Clock()
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with open_chain(tmp_path / "a") as chain, open_chain(tmp_path / "b") as follower:
        await propose(chain, clock, gift(chain, 0))
        await propose(chain, clock, gift(chain, 1), gift(chain, 2))
        with chain.store.snapshot() as snapshot:
            blocks = [decode_block(snapshot.block(height) or b"") for height in (1, 2)]
        await follower.follow(blocks[0])
        cut = Block(header=blocks[1].header, transactions=blocks[1].transactions[:1])
        with pytest.raises(Refused) as caught:
            await follower.follow(cut)
        assert caught.value.fault is Fault.WRONG_STATE_ROOT
        assert follower.tip.height == 1
        await follower.follow(blocks[1])
        assert follower.tip == chain.tip
        assert stored_names(follower) == stored_names(chain)


async def test_what_is_in_a_block_may_be_submitted_again(tmp_path: Path) -> None:
    with open_chain(tmp_path) as chain:
        data = gift(chain, 0)
        await propose(chain, Clock(), data)
        assert chain.submit(data) == transaction_id(data)
        assert len(chain.pool) == 0


def test_a_follower_takes_no_transactions(tmp_path: Path) -> None:
    with open_chain(tmp_path) as chain, pytest.raises(Refused) as caught:
        chain.submit(gift(chain, 0))
    assert caught.value.fault is Fault.NOT_AUTHORISED


def test_a_folder_keeps_to_its_chain(tmp_path: Path) -> None:
    with open_chain(tmp_path):
        pass
    with pytest.raises(LocalError, match="not that of genesis"), open_chain(tmp_path, genesis(salt=8)):
        pass


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "chain.mdb"
    ChainStore(path).close()
    environment = lmdb.open(str(path), max_dbs=16, subdir=False)
    with environment.begin(write=True) as transaction:
        meta = environment.open_db(b"meta", txn=transaction)
        transaction.put(b"schema", (SCHEMA + 1).to_bytes(8, "big"), db=meta)
    environment.close()
    with pytest.raises(LocalError, match="schema 2"):
        ChainStore(path)


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "chain.mdb"
    path.write_bytes(b"no such thing" * 1000)
    with pytest.raises(LocalError, match="is damaged"):
        ChainStore(path)


async def test_a_stored_block_is_its_canonical_bytes(tmp_path: Path) -> None:
    with open_chain(tmp_path) as chain:
        await propose(chain, Clock(), gift(chain, 0))
        with chain.store.snapshot() as snapshot:
            data = snapshot.block(1)
            assert data is not None
            assert encode(decode_block(data)) == data
            assert snapshot.block(2) is None
