"""A chain in a folder, its keys known, its clock a variable, its node asked without sockets."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx

from l1.ground.signing import PrivateKey
from l1.node.api import make_app
from l1.node.chain import Chain, here
from l1.node.store import ChainStore
from l1.reader import HeaderStore, Reader
from l1.rules.genesis import Allocation, Genesis, Parameters
from l1.rules.transactions import Action, Transfer, account_of, sign_transaction

AUTHORITY, REGISTRAR, ALICE, BOB = (PrivateKey(bytes([i]) * 32) for i in range(1, 5))
START_MS = 1_750_000_000_000
TOTAL = 1_000_000


def account(key: PrivateKey) -> bytes:
    return account_of(key.public_key)


def genesis(salt: int = 7) -> Genesis:
    return Genesis(
        version=1,
        name="test",
        time_ms=START_MS,
        salt=bytes([salt]) * 32,
        authority=AUTHORITY.public_key,
        registrars=(REGISTRAR.public_key,),
        allocations=(Allocation(account=account(ALICE), credits=TOTAL),),
        parameters=Parameters(),
    )


class Clock:
    """Milliseconds that only tests move."""

    def __init__(self) -> None:
        self.ms = START_MS

    def __call__(self) -> int:
        return self.ms


@contextmanager
def open_chain(folder: Path, of: Genesis | None = None, *, now_ms: Callable[[], int] | None = None) -> Iterator[Chain]:
    store = ChainStore(folder / "chain.mdb")
    try:
        yield Chain(of or genesis(), store, now_ms=now_ms or Clock(), offload=here)
    finally:
        store.close()


def signed(chain: Chain, key: PrivateKey, nonce: int, action: Action) -> bytes:
    return sign_transaction(key, chain.id, nonce, action)


def gift(chain: Chain, nonce: int, amount: int = 1, *, to: PrivateKey = BOB) -> bytes:
    """Alice's transfer with this nonce."""
    return signed(chain, ALICE, nonce, Transfer(to=account(to), amount=amount))


async def propose(chain: Chain, clock: Clock, *transactions: bytes, signer: PrivateKey = AUTHORITY) -> None:
    """One block, a second later, with these transactions."""
    chain.is_proposing = True
    chain.now_ms = clock
    for transaction in transactions:
        chain.submit(transaction)
    clock.ms += 1_000
    await chain.propose(signer)


def asking(chain: Chain) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=make_app(chain)), base_url="http://chain")


@asynccontextmanager
async def reading(
    chain: Chain, clock: Clock, *, of: Genesis | None = None, store: HeaderStore | None = None
) -> AsyncIterator[Reader]:
    reader = Reader(of or chain.genesis, "http://chain", now_ms=clock, header_store=store, client=asking(chain))
    async with reader:
        yield reader
