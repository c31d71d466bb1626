"""Fetching without being asked: what config says, what a start has left, what a pause was made before.

A bounded number of tasks: some take short bodies in crowds, some take a long one each, so neither waits for the other.
"""

from collections import defaultdict

import structlog
import trio

from l1.ground.faults import Refused
from l1.rules.log.fold import GRANT
from l2.node.bodies import GATHER_MAX
from l2.node.exchange.dealing import Dealing
from l2.node.exchange.fetching import Fetching
from l2.node.exchange.logs import grant_of, stands
from l2.node.exchange.worklist import Worklist
from l2.node.hospital import Hospital
from l2.protocol.phases import Phase
from l2.records.limits import SEALED_CHUNK_BYTES

__all__ = ["Background"]

SHORT_TASKS, LONG_TASKS = 2, 8
RETRY_S_MIN, RETRY_S_MAX = 1.0, 60.0

log = structlog.get_logger()

Key = tuple[bytes, int]


class Background:
    """`run` is its task. No grant's failure ends it."""

    def __init__(self, hospital: Hospital, fetching: Fetching) -> None:
        self._hospital, self._fetching = hospital, fetching
        self._dealings: dict[bytes, Dealing] = {}
        self._short: Worklist[Key] = Worklist()
        self._long: Worklist[Key] = Worklist()
        self._pauses: dict[Key, float] = {}
        self._nursery: trio.Nursery | None = None

    def fetch(self, dealing: Dealing, index: int) -> None:
        """Fetch when there is time, unless somebody is at it: the one who is will see whatever has come."""
        if self._fetching.is_under_way(dealing, index) or not stands(dealing.channel, dealing.theirs, index, GRANT):
            return
        self._dealings[dealing.id] = dealing
        _, terms = grant_of(dealing.channel, dealing.theirs, index)
        (self._short if terms.cipher_size <= SEALED_CHUNK_BYTES else self._long).add((dealing.id, index))

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            for _ in range(SHORT_TASKS):
                nursery.start_soon(self._keep_fetching, self._short, GATHER_MAX)
            for _ in range(LONG_TASKS):
                nursery.start_soon(self._keep_fetching, self._long, 1)

    async def _keep_fetching(self, worklist: Worklist[Key], most: int) -> None:
        while True:
            crowds: dict[bytes, list[int]] = defaultdict(list)
            for channel, index in await worklist.take_many(most):
                crowds[channel].append(index)
            for channel, indices in crowds.items():
                await self._fetch(self._dealings[channel], indices)

    async def _fetch(self, dealing: Dealing, indices: list[int]) -> None:
        # The releases are not waited for: whoever opens is told when they come.
        failures = await self._fetching.obtain(dealing, indices)
        for index in indices:
            why = failures.get(index)
            if why is None:
                self._pauses.pop((dealing.id, index), None)
            elif isinstance(why, Refused):
                log.warning("grant not fetched", channel=dealing.keeper.name, grant=index, detail=str(why))
                self._hospital.announce("not fetched", dealing.id, f"grant {index}: {why}")
            else:
                log.info("not fetched yet", channel=dealing.keeper.name, grant=index, detail=str(why))
                self._again_after_a_pause(dealing, index)

    def _again_after_a_pause(self, dealing: Dealing, index: int) -> None:
        if self._nursery is not None and dealing.channel.phase is Phase.OPEN:
            pause_s = self._pauses.get((dealing.id, index), RETRY_S_MIN)
            self._pauses[dealing.id, index] = min(pause_s * 2, RETRY_S_MAX)
            self._nursery.start_soon(self._again, dealing, index, pause_s)

    async def _again(self, dealing: Dealing, index: int, pause_s: float) -> None:
        await trio.sleep(pause_s)
        self.fetch(dealing, index)
