"""Fetching for a desk that waits: what it asked for goes on though it goes away, and it is told what is not here
yet. And asking the chain for a release that the custodian keeps back.
"""

from collections.abc import Sequence

import structlog
import trio

from l1.ground.faults import LocalError
from l1.rules.log.entries import Receipt
from l1.rules.log.fold import ANSWERED, DONE
from l2.desk import words
from l2.node.bodies import Record
from l2.node.exchange.dealing import Awaited, Dealing
from l2.node.exchange.fetching import Fetching
from l2.node.exchange.logs import find_marks, grant_has_ended
from l2.node.exchange.views import fetched_view
from l2.node.hospital import Hospital
from l2.protocol.events import AskSecret
from l2.protocol.phases import Phase

__all__ = ["COMING", "Delivery"]

RELEASE_S = 60.0  # a custodian that is there releases at once; later the record comes by itself
COMING_S = 45.0  # what takes longer is told to be on its way, before a desk takes the silence for an end
LOOK_S = 5.0  # so often it is looked for releases that are overdue

COMING = "on its way"

log = structlog.get_logger()

Became = words.Fetched | Exception


class Delivery:
    """`run` is its task."""

    def __init__(self, hospital: Hospital, fetching: Fetching, dealings: dict[bytes, Dealing]) -> None:
        self._hospital, self._fetching, self._dealings = hospital, fetching, dealings
        self._nursery: trio.Nursery | None = None
        self._overdue: dict[tuple[bytes, int], float] = {}  # confirmed and not released, since when we look

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            while True:
                await trio.sleep(LOOK_S)
                for dealing in list(self._dealings.values()):
                    await self._demand_overdue(dealing)

    async def fetch_all(self, dealing: Dealing, indices: Sequence[int]) -> list[Became]:
        """Bring granted records home, in the order asked for: each one's record, or why there is none (yet)."""
        assert self._nursery is not None
        became: dict[int, Record | Exception] = {}
        done = trio.Event()
        self._nursery.start_soon(self._fetch, dealing, indices, became, done)
        with trio.move_on_after(COMING_S):
            await done.wait()
        return [self._became(dealing, index, became.get(index), done.is_set()) for index in indices]

    async def _fetch(
        self, dealing: Dealing, indices: Sequence[int], became: dict[int, Record | Exception], done: trio.Event
    ) -> None:
        awaits = _awaited(dealing, indices)  # by whoever is at them: should that fail, we hear of it, too
        became |= await self._fetching.obtain(dealing, indices)
        awaits |= _awaited(dealing, indices)
        with trio.move_on_after(RELEASE_S):
            for index in indices:
                if index not in became and (awaited := awaits.get(index)) is not None:
                    await awaited.came.wait()
                    if awaited.became is not None:
                        became[index] = awaited.became
        done.set()

    def _became(self, dealing: Dealing, index: int, became: Record | Exception | None, done: bool) -> Became:
        if isinstance(became, Exception):
            return became
        record = became or self._hospital.bodies.records.find_received(dealing.id, index)
        if record is not None:
            return fetched_view(record)
        if not done:
            return LocalError(f"grant {index} is {COMING}", "It comes by itself; ask again to wait for it.")
        cause = "the ciphertext is here, but the custodian has not released its key yet"
        return LocalError(cause, "The record is opened and stored by itself when the release comes.")

    # -- releases that are kept back

    async def _demand_overdue(self, dealing: Dealing) -> None:
        """[FAIR-2] Once a release is overdue for so long as config says, ask the chain for it."""
        after_s, now_s = self._hospital.config.demand_after_s, trio.current_time()
        if not after_s or dealing.channel.phase is not Phase.OPEN:
            return
        marks = dealing.channel.fold.logs[dealing.theirs].marks
        for index in list(dealing.awaited):
            key = (dealing.id, index)
            waits = marks[index] & (ANSWERED | DONE) == ANSWERED
            if not waits or grant_has_ended(dealing.channel, dealing.theirs, index):
                self._overdue.pop(key, None)
            elif now_s - self._overdue.setdefault(key, now_s) >= after_s:
                self._overdue[key] = now_s  # asked again after as long, should the chain have refused
                await self._demand(dealing, index)

    async def _demand(self, dealing: Dealing, grant: int) -> None:
        receipt = _receipt_of(dealing, grant)
        if receipt is None:
            return
        try:
            await dealing.keeper.ask(AskSecret(receipt))
        except LocalError as error:
            log.warning("no demand", channel=dealing.keeper.name, grant=grant, why=str(error))
        else:
            self._hospital.announce("demanded", dealing.id, f"grant {grant}: its release is overdue")


def _awaited(dealing: Dealing, indices: Sequence[int]) -> dict[int, Awaited]:
    return {index: awaited for index in indices if (awaited := dealing.awaited.get(index)) is not None}


def _receipt_of(dealing: Dealing, grant: int) -> int | None:
    """The index of our receipt for a grant, found by looking: for the rare custodian that keeps a release back."""
    reader = dealing.channel.readers[dealing.own]
    for at in reversed(find_marks(dealing.channel, dealing.own, "receipts")):
        entry, _ = reader.entry(at)
        if isinstance(entry, Receipt) and entry.grant == grant:
            return at
    return None
