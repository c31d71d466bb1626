"""Answering: what was decided is brought to the chain, again and again until a block says how it ended.

Nothing is known by the node's word: a transaction that it took may be lost with it, and one that it refused may have
been refused because ours waits already. Only the channel's verified row ends the matter.
"""

from collections.abc import Sequence
from itertools import islice

import structlog
import trio

from l1.ground.faults import Fault, LocalError, Refused
from l1.ground.signing import Signer
from l1.reader import Reader
from l1.rules.transactions import Action, Challenge, Settle, account_of
from l2.tower.asking import ask_all
from l2.tower.judging import AGAIN, Wanted, is_lost, look_again, note_asked, settle_later, wanted
from l2.tower.rows import Stand
from l2.tower.store import StoreFailed, TowerStore

__all__ = ["Answerer"]

AT_ONCE = 1_000  # answers in one round: memory is bounded by it
SETTLE_AGAIN_MS = 60_000  # a settlement that did not come about is asked for again

log = structlog.get_logger()


class Answerer:
    """Its task is `run`."""

    def __init__(self, store: TowerStore, reader: Reader, signer: Signer) -> None:
        self._store, self._reader, self._signer = store, reader, signer
        self._account = account_of(signer.public_key)
        self._work = trio.Event()

    def work_waits(self) -> None:
        """There may be something to do."""
        self._work.set()

    async def run(self) -> None:
        while True:
            await self._work.wait()
            self._work = trio.Event()
            try:
                await self.act()
            except StoreFailed:
                raise
            except LocalError as error:
                log.warning("the chain does not answer", detail=str(error))
            except Refused as refused:
                log.warning("chain answer refused", detail=str(refused))

    async def act(self) -> None:
        """Ask for what is wanted, and settle what is due."""
        await self._look_again()
        while some := self._wanted(Stand.WANTED):
            await self._challenge(some)
        await self._settle()

    def _wanted(self, stand: Stand) -> list[Wanted]:
        with self._store.reading() as rows:
            return list(islice(wanted(rows, stand), AT_ONCE))

    async def _look_again(self) -> None:
        """What was asked for some blocks ago, and did not happen, is looked up, and asked again if it still counts."""
        height = self._reader.tip.height
        late = [(key, answer) for key, answer, _ in self._wanted(Stand.ASKED) if is_lost(answer, height)]
        if not late:
            return
        rows = await self._reader.channels({key[:32] for key, _ in late})

        def write() -> None:
            with self._store.changing() as change:
                for key, answer in late:
                    look_again(change, key, answer, rows[key[:32]], height, self._account)

        await trio.to_thread.run_sync(write)

    async def _challenge(self, some: Sequence[Wanted]) -> None:
        actions: list[Action] = [
            Challenge(channel=key[:32], side=key[32], commitment=held.signed) for key, _, held in some
        ]
        results = await ask_all(self._reader, self._signer, actions)
        height = self._reader.tip.height

        def write() -> None:
            with self._store.changing() as change:
                for (key, _, held), result in zip(some, results, strict=True):
                    note_asked(change, key, held.size, result if isinstance(result, Refused) else None, height)

        await trio.to_thread.run_sync(write)
        for (key, _, _), result in zip(some, results, strict=True):
            if isinstance(result, Refused):
                _tell(key, result)

    async def _settle(self) -> None:
        clock_ms = self._reader.tip.clock_ms
        with self._store.reading() as rows:
            due = rows.due(clock_ms)[:AT_ONCE]
        if not due:
            return
        actions: list[Action] = [Settle(channel=channel) for channel in dict.fromkeys(key[8:40] for key in due)]
        await ask_all(self._reader, self._signer, actions)

        def write() -> None:
            with self._store.changing() as change:
                for key in due:
                    settle_later(change, key[8:], clock_ms + SETTLE_AGAIN_MS)

        await trio.to_thread.run_sync(write)


def _tell(key: bytes, refused: Refused) -> None:
    if refused.fault in AGAIN:
        log.warning("asked again later", channel=key[:4].hex(), why=str(refused))
    elif refused.fault is not Fault.EVIDENCE_PROVES_NOTHING:
        log.error("the chain refused what we hold", channel=key[:4].hex(), why=str(refused))
