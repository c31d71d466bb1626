"""What a tower knows of hospitals: their keys and whether they have named it, as the chain says, each kept as one row.

Read from the chain when first asked for, and again when a block touches it.
"""

from collections.abc import Iterable

import structlog
import trio

from l1.ground.faults import Fault, Refused
from l1.reader import Reader
from l2.tower.rows import Known
from l2.tower.store import TowerStore

__all__ = ["Registry"]

log = structlog.get_logger()


class Registry:
    """Verified registry entries, kept in the tower's store."""

    def __init__(self, store: TowerStore, reader: Reader, account: bytes) -> None:
        self._store, self._reader, self._account = store, reader, account

    async def find(self, hospital: bytes) -> Known:
        """Raises `Refused` (UNKNOWN_HOSPITAL) for one that the chain has not admitted."""
        with self._store.reading() as rows:
            known = rows.known(hospital)
        return known or await self._read(hospital)

    async def renew(self, hospitals: Iterable[bytes]) -> None:
        """[HAND-5] Read again those of them that we know. Who has ended our watch is forgotten, with all it gave."""
        for hospital in hospitals:
            with self._store.reading() as rows:
                known = rows.known(hospital)
            if known is not None:
                now = await self._read(hospital)
                if now.reward is None and known.reward is not None:
                    count = await trio.to_thread.run_sync(self._forget, hospital)
                    log.info("a hospital has ended our watch", hospital=hospital[:4].hex(), forgotten=count)

    async def _read(self, hospital: bytes) -> Known:
        found = await self._reader.hospital(hospital)
        if found is None:
            raise Refused(Fault.UNKNOWN_HOSPITAL, "no hospital of that id is admitted")
        shares = [each.reward for each in await self._reader.towers(hospital) if each.tower == self._account]
        known = Known(hospital=found, reward=shares[0] if shares else None)
        await trio.to_thread.run_sync(self._keep, known)
        return known

    def _keep(self, known: Known) -> None:
        with self._store.changing() as change:
            change.know(known)

    def _forget(self, hospital: bytes) -> int:
        with self._store.changing() as change:
            return change.forget_hospital(hospital)
