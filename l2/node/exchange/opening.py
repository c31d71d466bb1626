"""The recipient's side after the release: bodies are opened, verified and kept, hundreds at once where they are short.

Releases come by the listener, or are found in the log after a start. A long body never holds up the short ones.
"""

from collections import defaultdict

import structlog
import trio

from l1.ground.faults import LocalError
from l2.node.bodies import GATHER_MAX, Record, Released
from l2.node.clock import now_ms
from l2.node.exchange.dealing import Awaited, Dealing
from l2.node.exchange.logs import grant_of
from l2.node.exchange.worklist import Worklist
from l2.node.hospital import Hospital
from l2.records.limits import SEALED_CHUNK_BYTES

__all__ = ["Opening"]

SHORT_TASKS, LONG_TASKS = 2, 2

log = structlog.get_logger()


class Opening:
    """`run` is its task."""

    def __init__(self, hospital: Hospital, threads: trio.CapacityLimiter, crowds: trio.CapacityLimiter) -> None:
        self._hospital, self._threads, self._crowds = hospital, threads, crowds
        self._dealings: dict[bytes, Dealing] = {}
        self._short: Worklist[tuple[bytes, int]] = Worklist()
        self._long: Worklist[tuple[bytes, int]] = Worklist()

    def released(self, dealing: Dealing, index: int, secret: bytes) -> None:
        """A grant's secret is known: open its body as soon as it is here and confirmed."""
        awaited = dealing.awaited.get(index)
        if awaited is None:
            _, terms = grant_of(dealing.channel, dealing.theirs, index)
            awaited = dealing.awaited[index] = Awaited(terms.cipher_size <= SEALED_CHUNK_BYTES)
        awaited.secret = secret
        self._dealings[dealing.id] = dealing
        (self._short if awaited.is_short else self._long).add((dealing.id, index))

    def give_up(self, dealing: Dealing, index: int, why: Exception) -> None:
        """That release is not awaited any more: the grant could not be fetched. Whoever waits for it is told why."""
        awaited = dealing.awaited.pop(index, None)
        if awaited is not None:
            awaited.became = why
            awaited.came.set()

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(SHORT_TASKS):
                nursery.start_soon(self._keep_opening, self._short, GATHER_MAX, self._crowds)
            for _ in range(LONG_TASKS):
                nursery.start_soon(self._keep_opening, self._long, 1, self._threads)

    async def _keep_opening(
        self, worklist: Worklist[tuple[bytes, int]], most: int, threads: trio.CapacityLimiter
    ) -> None:
        while True:
            crowds: dict[bytes, list[int]] = defaultdict(list)
            for channel, index in await worklist.take_many(most):
                crowds[channel].append(index)
            for channel, indices in crowds.items():
                await self._open(self._dealings[channel], indices, threads)

    async def _open(self, dealing: Dealing, indices: list[int], threads: trio.CapacityLimiter) -> None:
        known = {index: awaited for index in indices if (awaited := dealing.awaited.get(index)) is not None}
        released = [Released(index, awaited.secret) for index, awaited in known.items() if awaited.secret is not None]
        with trio.CancelScope(shield=True):
            kept = await trio.to_thread.run_sync(self._keep, dealing, released, limiter=threads)
        for index, became in kept.items():
            dealing.awaited.pop(index, None)
            self._tell(dealing, index, known[index], became)

    def _keep(self, dealing: Dealing, released: list[Released]) -> dict[int, Record | Exception]:
        """In a thread."""
        bodies = self._hospital.bodies
        try:
            return bodies.keep_all_received(dealing.id, released, custodian=dealing.peer, now_ms=now_ms())
        except OSError as error:
            why = LocalError(f"the records could not be stored ({error.strerror or error})", "Is the disk full?")
            return {one.grant: why for one in released}

    def _tell(self, dealing: Dealing, index: int, awaited: Awaited, became: Record | Exception) -> None:
        awaited.became = became
        awaited.came.set()
        if isinstance(became, Record):
            self._hospital.announce("received", dealing.id, f"grant {index}: record {became.id.hex()}")
        else:
            log.warning("grant not opened", channel=dealing.keeper.name, grant=index, detail=str(became))
            self._hospital.announce("not fetched", dealing.id, f"grant {index}: {became}")
