"""Following the chain for a tower: each block once, and of the state only the rows that its transactions touch.

The cost of a block is that of its transactions, however many channels are watched [READ-8]. What is decided is on the
disk, with the block's height, before anything is asked of the chain; a process that comes back goes on from there.
"""

from collections.abc import Callable, Sequence

import structlog
import trio

from l1.ground.faults import Fault, LocalError, Refused
from l1.ground.signing import Signer
from l1.reader import Reader
from l1.rules.blocks import Header
from l1.rules.state import Channel
from l1.rules.touched import touched_by
from l1.rules.transactions import account_of
from l2.protocol.answer_proof import answer_prover
from l2.tower.judging import challenges_of, judge, note_answered, watched_of
from l2.tower.registry import Registry
from l2.tower.store import Change, StoreFailed, TowerStore

__all__ = ["Follower"]

RETRY_S = 0.5
QUIET_BLOCKS = 100  # so many blocks that concern nobody are followed again after a crash

log = structlog.get_logger()


class Follower:
    """Its task is `run`; `moved` is called whenever blocks were taken in."""

    def __init__(
        self, store: TowerStore, reader: Reader, registry: Registry, signer: Signer, moved: Callable[[], None]
    ) -> None:
        self._store, self._reader, self._registry = store, reader, registry
        self._key = signer.public_key
        self._account = account_of(signer.public_key)
        self._moved = moved
        self.height = 0

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Follow until cancelled. Outlives a chain node that is down; not a fork, nor a disk that fails."""
        self.height = await trio.to_thread.run_sync(self._begin)
        task_status.started()
        while True:
            try:
                await self._take_all()
                await self._reader.next_header(self.height)
            except StoreFailed:
                raise
            except LocalError as error:
                log.warning("the chain does not answer", detail=str(error))
                await trio.sleep(RETRY_S)
            except Refused as refused:
                if refused.fault is Fault.FORK:
                    raise
                log.warning("chain answer refused", detail=str(refused))
                await trio.sleep(RETRY_S)

    def _begin(self) -> int:
        """From where on to follow: a new tower from now on, for it holds nothing yet."""
        with self._store.changing() as change:
            if change.height is None:
                change.put_height(self._reader.tip.height)
            return change.height or 0

    async def _take_all(self) -> None:
        while self.height < self._reader.tip.height:
            for header, transactions in await self._reader.blocks(self.height + 1):
                await self._take(header, transactions)
                self.height = header.height
        self._moved()

    async def _take(self, header: Header, transactions: tuple[bytes, ...]) -> None:
        """One block: decided and durable when this returns."""
        touched = touched_by(transactions, self._reader.chain)
        with self._store.reading() as rows:
            keys = watched_of(rows, touched)
        ours = challenges_of(transactions, self._reader.chain, self._key)
        channels = {key[:32] for key in keys}
        now = await self._reader.channels(channels) if channels else {}
        await self._registry.renew(touched.hospitals)
        if keys or ours or header.height % QUIET_BLOCKS == 0:
            await trio.to_thread.run_sync(self._write, header, transactions, keys, now, ours)

    def _write(
        self,
        header: Header,
        transactions: tuple[bytes, ...],
        keys: Sequence[bytes],
        rows: dict[bytes, Channel],
        ours: Sequence[tuple[int, bytes, int]],
    ) -> None:
        with self._store.changing() as change:
            for key in keys:
                judge(change, key, rows[key[:32]], header.height, self._account)
            self._note(change, header, transactions, ours)
            change.put_height(header.height)

    def _note(
        self, change: Change, header: Header, transactions: tuple[bytes, ...], ours: Sequence[tuple[int, bytes, int]]
    ) -> None:
        if not ours:
            return
        prove = answer_prover(self._reader.signed_at(header.height), transactions)
        for index, key, size in ours:
            log.info("answered", channel=key[:4].hex(), side=key[32], size=size, height=header.height)
            note_answered(change, key, prove(index), size=size, height=header.height)
