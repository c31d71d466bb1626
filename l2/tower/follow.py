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
from l1.rules.commitment import decode_commitment
from l1.rules.outcomes import open_item
from l1.rules.state import Channel
from l1.rules.touched import Touched, touched_by
from l1.rules.transactions import Challenge, account_of, decode_transaction
from l2.protocol.answer_proof import answer_prover
from l2.tower.judging import judge, note_answered
from l2.tower.registry import Registry
from l2.tower.rows import side_key
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
        keys = self._watched(touched)
        ours = self._ours(transactions)
        channels = {key[:32] for key in keys}
        rows = await self._reader.channels(channels) if channels else {}
        await self._registry.renew(touched.hospitals)
        if keys or ours or header.height % QUIET_BLOCKS == 0:
            await trio.to_thread.run_sync(self._write, header, transactions, keys, rows, ours)

    def _watched(self, touched: Touched) -> list[bytes]:
        """Which of the touched channels' sides we watch, or have something to say about."""
        with self._store.reading() as rows:
            keys = [side_key(channel, side) for channel in touched.channels for side in (0, 1)]
            return [key for key in keys if rows.held(key) is not None or rows.answer(key) is not None]

    def _ours(self, transactions: Sequence[bytes]) -> list[tuple[int, bytes, int]]:
        """Index, side and shown size of each challenge of ours in a block."""
        found = []
        for index, data in enumerate(transactions):
            signed, failed = open_item(data)
            if failed is not None:
                continue  # it is looked up, and asked again, as if the node had lost it
            asked, _ = decode_transaction(signed, self._reader.chain)
            if asked.key == self._key and isinstance(asked.action, Challenge):
                size = decode_commitment(asked.action.commitment.body).size
                found.append((index, side_key(asked.action.channel, asked.action.side), size))
        return found

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
