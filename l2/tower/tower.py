"""A tower's parts, joined: what follows the chain, what takes in, what answers. It decides nothing itself."""

import trio

from l1.ground.signing import Signer
from l1.reader import Reader
from l1.rules.transactions import account_of
from l2.tower.answering import Answerer
from l2.tower.follow import Follower
from l2.tower.reception import Reception
from l2.tower.registry import Registry
from l2.tower.store import TowerStore

__all__ = ["Tower"]


class Tower:
    """See the module. `run` keeps it going."""

    def __init__(
        self, name: str, signer: Signer, store: TowerStore, reader: Reader, serves: frozenset[bytes] = frozenset()
    ) -> None:
        self.name, self.signer, self.store, self.reader = name, signer, store, reader
        self.account = account_of(signer.public_key)
        registry = Registry(store, reader, self.account)
        self.answerer = Answerer(store, reader, signer)
        self.follower = Follower(store, reader, registry, signer, self.answerer.work_waits)
        self.reception = Reception(store, reader, registry, self.account, serves, self.answerer.work_waits)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Follow and answer until cancelled."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.follower.run)
            nursery.start_soon(self.answerer.run)
            task_status.started()
