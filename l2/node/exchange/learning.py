"""How peers name our people: handles are written down before anybody needs to know whom they mean.

Every channel has its own. The worker of a hub that takes records in has the others learn for their channels, too.
"""

from collections.abc import Sequence

import msgspec
import trio

from l1.ground.codec import encode
from l2.node.exchange.book import PATIENT, Book
from l2.node.exchange.dealing import Dealing
from l2.node.hospital import Hospital
from l2.records import handle

__all__ = ["Learning"]

SUBJECTS_AT_ONCE = 1_000  # in one question to another worker


class Learning:
    """See the module."""

    def __init__(self, hospital: Hospital, book: Book, dealings: dict[bytes, Dealing]) -> None:
        self._hospital, self._book, self._dealings = hospital, book, dealings
        hospital.siblings.serve("learn", self._for_another)

    async def fresh(self, dealing: Dealing) -> None:
        """Write down who stands behind handles that are new."""
        fresh = dealing.take_fresh()
        if fresh:
            await trio.to_thread.run_sync(self._book.learn, dealing.id, fresh)

    def all_subjects(self, dealing: Dealing) -> None:
        """In a thread: whom our records are about, as the peer names them. Once for a channel: what comes later is
        learned as it comes."""
        if self._book.has_learned(dealing.id):
            return
        secret = dealing.channel.me.secret
        for subjects in self._hospital.bodies.records.subjects():
            self._book.learn(dealing.id, ((handle(secret, PATIENT, name), PATIENT, name) for name in subjects))
        self._book.note_learned(dealing.id)

    async def subjects(self, subjects: Sequence[str]) -> None:
        """Write down how each peer names these patients, before a record of theirs is known here. Raises `LocalError`
        while another worker, which has peers of its own, does not answer."""
        await self._here(subjects)
        for start in range(0, len(subjects), SUBJECTS_AT_ONCE):
            await self._hospital.siblings.ask_all("learn", encode(list(subjects[start : start + SUBJECTS_AT_ONCE])))

    async def _for_another(self, body: bytes) -> bytes:
        await self._here(msgspec.msgpack.decode(body, type=list[str]))
        return b""

    async def _here(self, subjects: Sequence[str]) -> None:
        for dealing in list(self._dealings.values()):
            for subject in subjects:
                dealing.patients[subject]  # makes the handle, so that it is written down
            await self.fresh(dealing)
