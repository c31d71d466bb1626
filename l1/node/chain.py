"""One chain in one process: the store, what waits, the newest header, and word of every change.

It joins the parts and decides nothing: rules judge, the engine builds, the store keeps, the proposer or the follower
drives. Everything here runs on one trio thread, except what `offload` takes elsewhere.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable

import structlog
import trio

from l1.ground.faults import Fault, LocalError, Refused, require
from l1.ground.signing import Signer
from l1.node.engine import Built, build, genesis_block, rerun
from l1.node.pool import Pool
from l1.node.store import ChainStore, Place
from l1.rules.blocks import Block, Header, next_clock_ms
from l1.rules.genesis import Genesis, chain_id
from l1.rules.outcomes import open_item
from l1.rules.transactions import transaction_id

__all__ = ["Chain", "Offload", "here", "in_thread"]

Offload = Callable[[Callable[[], Built]], Awaitable[Built]]
"""Where a block is executed and synced."""

REFUSALS_MAX = 10_000  # remembered for those who ask what became of a transaction

_log = structlog.get_logger("chain")


async def in_thread(work: Callable[[], Built]) -> Built:
    """Blocks are executed and synced beside the loop, so that nobody's question waits for a disk."""
    return await trio.to_thread.run_sync(work)


async def here(work: Callable[[], Built]) -> Built:
    """For tests on a mock clock, to which a worker thread looks idle."""
    await trio.lowlevel.checkpoint()
    return work()


class _Newest:
    """The state as of the newest block, whichever that is at the moment of asking."""

    def __init__(self, store: ChainStore) -> None:
        self._store = store

    def get(self, key: bytes) -> bytes | None:
        with self._store.snapshot() as snapshot:
            return snapshot.get(key)


class Chain:
    """What the proposer, the follower and the API share."""

    def __init__(
        self, genesis: Genesis, store: ChainStore, *, now_ms: Callable[[], int], offload: Offload = in_thread
    ) -> None:
        """`now_ms` is the time that blocks carry."""
        self.genesis = genesis
        self.id = chain_id(genesis)
        self.store = store
        self.now_ms = now_ms
        if store.is_empty():
            first = genesis_block(genesis)
            store.append(first.block, first.writes, first.nodes, first.stale)
        with store.snapshot() as snapshot:
            self.tip: Header = snapshot.header()
        if self.tip.chain != self.id:
            raise LocalError("the stored chain is not that of genesis.json", "Use the folder's own genesis file")
        self.pool = Pool(self.id, _Newest(store))
        self.is_proposing = False
        self.is_closing = False
        self.included = 0
        self._refusals: OrderedDict[bytes, Refused] = OrderedDict()
        self._offload = offload
        self._news = trio.Event()
        self._arrived = trio.Event()

    # -- word of changes

    async def wait_change(self) -> None:
        """Until the next block, or the next refusal."""
        await self._news.wait()

    async def wait_arrival(self) -> None:
        """Until a transaction waits."""
        while not len(self.pool):
            await self._arrived.wait()

    def close(self) -> None:
        """Let those who wait for news go; the process ends."""
        self.is_closing = True
        self._tell()

    def _tell(self) -> None:
        news, self._news = self._news, trio.Event()
        news.set()

    # -- transactions

    def _next_clock_ms(self) -> int:
        """The chain clock of the next block, were it made now: windows end on time, not a heartbeat late."""
        return next_clock_ms(self.tip, self.now_ms(), self.genesis.parameters)

    def submit(self, data: bytes) -> bytes:
        """Take a transaction in; its id. Raises `Refused`. One that is already in a block is known, not refused."""
        name = transaction_id(data)
        with self.store.snapshot() as snapshot:
            if snapshot.place(name) is not None:
                return name
        require(self.is_proposing, Fault.NOT_AUTHORISED, "this node follows; the authority's node takes transactions")
        self.pool.add(data, height=self.tip.height + 1, clock_ms=self._next_clock_ms())
        self._arrived.set()
        self._arrived = trio.Event()
        return name

    def refusal(self, transaction: bytes) -> Refused | None:
        """Why a block refused it, as far back as remembered."""
        return self._refusals.get(transaction)

    def find_place(self, transaction: bytes) -> Place | None:
        with self.store.snapshot() as snapshot:
            return snapshot.place(transaction)

    # -- blocks

    async def propose(self, signer: Signer) -> Header:
        """Make the next block out of what waits; durable, then visible."""
        candidates = self.pool.candidates()
        time_ms = self.now_ms()

        def work() -> Built:
            with self.store.snapshot() as snapshot:
                built = build(snapshot, signer, candidates, time_ms=time_ms)
            self.store.append(built.block, built.writes, built.nodes, built.stale)
            return built

        self._adopt(await self._offload(work))
        return self.tip

    async def follow(self, block: Block) -> Header:
        """Execute somebody else's next block; durable, then visible. Raises `Refused`, and nothing changed."""

        def work() -> Built:
            with self.store.snapshot() as snapshot:
                built = rerun(snapshot, self.genesis, block)
            self.store.append(built.block, built.writes, built.nodes, built.stale)
            return built

        self._adopt(await self._offload(work))
        return self.tip

    def _adopt(self, built: Built) -> None:
        self.tip = built.header
        self.included += len(built.block.transactions)
        refused = built.refused + self.pool.settle(
            [open_item(item)[0] for item in built.block.transactions],
            [data for data, _ in built.refused],
            height=self.tip.height + 1,
            clock_ms=self._next_clock_ms(),
        )
        for data, refusal in refused:
            self._refusals[transaction_id(data)] = refusal
        while len(self._refusals) > REFUSALS_MAX:
            self._refusals.popitem(last=False)
        _log.debug("block", height=self.tip.height, transactions=len(built.block.transactions), refused=len(refused))
        self._tell()
