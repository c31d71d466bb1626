"""Erasing a record for good: here, and at every peer that holds a copy, with the peer's signed word for it.

Grants end first, so that nothing can be pulled or opened any more; then key and ciphertext go; then the peers are
asked, again and again until each has answered. What was asked and answered is kept in sealed rows, without a word of
the record. Decides nothing but whether a hold stands in the way. docs/spec/records.md, rules ERASE-*.
"""

from collections.abc import Sequence
from functools import partial

import structlog
import trio

from l1.ground.codec import Shape, decoder, encode
from l1.ground.faults import Fault, LocalError, Refused
from l1.rules.log.entries import Entry, Revoke
from l1.rules.log.fold import ANSWERED, GRANT
from l2.desk import words
from l2.link import Line, LineClosed, slot_of
from l2.node.bodies import Record
from l2.node.bodies.recall import Erased, ErasureReceipt, ask_erasure, check_erasure, sign_erasure
from l2.node.clock import now_ms
from l2.node.exchange.book import Book
from l2.node.exchange.dealing import Dealing
from l2.node.exchange.holds import Hold, Holds
from l2.node.exchange.logs import grant_has_ended, stands
from l2.node.exchange.pulling import Pulls
from l2.node.exchange.sharing import Sharing
from l2.node.hospital import Hospital
from l2.node.parts import home_of_slot

__all__ = ["Erasing"]

ASK_AGAIN_S = 60.0  # peers that were not there are asked again so often
REVOKES_AT_ONCE = 1_000

ASKED, CONFIRMED, REFUSED, NEVER_FETCHED = "asked", "confirmed", "refused", "never fetched"

log = structlog.get_logger()


class _Copy(Shape, frozen=True):
    """What is known of one grant's copy. `erased` is the peer's signed receipt, as it came."""

    channel: bytes
    grant: int
    peer: bytes
    state: str
    detail: str = ""
    erased: Erased | None = None
    had_copy: bool = False
    time_ms: int = 0


class _Erasure(Shape, frozen=True):
    """A record that was erased."""

    record: bytes
    erased_ms: int
    copies: tuple[_Copy, ...]


_decode = decoder(_Erasure, bytes_max=64 * 1024 * 1024, what="erasure")
_decode_copy = decoder(_Copy, bytes_max=64 * 1024, what="copy")
_decode_copies = decoder(tuple[_Copy, ...], bytes_max=64 * 1024 * 1024, what="copies")


class Erasing:
    """`run` is its task."""

    def __init__(
        self, hospital: Hospital, book: Book, sharing: Sharing, pulls: Pulls, dealings: dict[bytes, Dealing]
    ) -> None:
        self._hospital, self._book, self._sharing, self._pulls = hospital, book, sharing, pulls
        self._dealings = dealings
        self._rows = hospital.bodies.index.table("erasures")
        self.holds = Holds(hospital.bodies.index)
        for what, service in (("recall", self._recall_here), ("forget", self._forget_here), ("ask", self._ask_here)):
            hospital.siblings.serve(f"erase: {what}", service)

    # -- here

    async def erase(self, record_id: bytes) -> words.ErasureView:
        """[ERASE-1] Erase a record, and have its copies erased. Once begun it is finished, also by the next process.

        Raises `LocalError` for an unknown record and under a legal hold. Asked again, it says how far it has come.
        """
        record = self._hospital.bodies.records.find(record_id)
        if record is None:
            return await self._known(record_id)
        hold = self.holds.on(record)
        if hold is not None:
            raise _held(hold)
        with trio.CancelScope(shield=True):
            copies = await self._recall_everywhere(record) if record.origin is None else []
            erasure = _Erasure(record_id, now_ms(), tuple(copies))
            # The row comes first: what was begun is then known to have to be finished.
            self._rows.put(record_id, encode(erasure))
            await self._destroy(record)
        self._hospital.announce("erased", b"", f"record {record_id.hex()}")
        return _view(await self._ask(erasure))

    async def _known(self, record_id: bytes) -> words.ErasureView:
        row = self._rows.get(record_id)
        if row is None:
            raise LocalError(f"there is no record {record_id.hex()}", "`interward record list` shows what there is.")
        return _view(await self._ask(_decode(row)))

    async def _destroy(self, record: Record) -> None:
        self._sharing.forget_served()
        await self._hospital.siblings.ask_all("erase: forget")
        await trio.to_thread.run_sync(self._hospital.bodies.records.erase, [record])

    async def _recall_everywhere(self, record: Record) -> list[_Copy]:
        """The other workers first: while one does not answer nothing is erased. Raises `LocalError`."""
        answers = await self._hospital.siblings.ask_all("erase: recall", record.id)
        found: list[tuple[_Copy, ...]] = [_decode_copies(answer) for answer in answers]
        return [*(copy for copies in found for copy in copies), *await self._recall(record)]

    async def _recall_here(self, record_id: bytes) -> bytes:
        record = self._hospital.bodies.records.find(record_id)
        return encode([] if record is None else await self._recall(record))

    async def _forget_here(self, _: bytes) -> bytes:
        self._sharing.forget_served()
        return b""

    async def _recall(self, record: Record) -> list[_Copy]:
        """End every grant of the record; the copies that there are, or may be."""
        copies: list[_Copy] = []
        for dealing in list(self._dealings.values()):
            shared = await trio.to_thread.run_sync(self._granted, dealing, record.id)
            await self._revoke(dealing, shared)
            marks = dealing.channel.fold.logs[dealing.own].marks
            for index in shared:
                fetched = bool(marks[index] & ANSWERED)
                copies.append(_Copy(dealing.id, index, dealing.peer, ASKED if fetched else NEVER_FETCHED))
        return copies

    def _granted(self, dealing: Dealing, record: bytes) -> list[int]:
        """In a thread: the grants in one channel that carry the record, or a part of it."""
        found = [one.grant for _, one in self._book.all_shared(dealing.id) if one.record == record]
        return sorted(grant for grant in found if grant is not None)

    async def _revoke(self, dealing: Dealing, grants: Sequence[int]) -> None:
        """A channel that takes no entries any more has no grant left that could be used."""
        standing = [
            index
            for index in grants
            if stands(dealing.channel, dealing.own, index, GRANT)
            and not grant_has_ended(dealing.channel, dealing.own, index)
        ]
        for start in range(0, len(standing), REVOKES_AT_ONCE):
            entries: list[Entry] = [Revoke(now_ms(), index) for index in standing[start : start + REVOKES_AT_ONCE]]
            try:
                await dealing.write(entries)
            except LocalError as error:
                log.info("grants not revoked", channel=dealing.keeper.name, why=str(error))

    # -- at peers

    async def run(self) -> None:
        """Finish what a crash has cut, and ask again whoever has not answered. In one process of the hospital."""
        while self._hospital.part.is_first:
            try:
                await self._finish()
            except LocalError as error:
                log.info("an erasure waits", why=str(error))
            await trio.sleep(ASK_AGAIN_S)

    async def _finish(self) -> None:
        for erasure in [_decode(row) for _, row in self._rows.scan()]:
            record = self._hospital.bodies.records.find(erasure.record)
            if record is not None and record.added_ms <= erasure.erased_ms:
                await self._destroy(record)
            if any(copy.state == ASKED for copy in erasure.copies):
                await self._ask(erasure)

    async def _ask(self, erasure: _Erasure) -> _Erasure:
        """[ERASE-2] Ask every peer that has not answered."""
        copies = [await self._ask_one(copy) if copy.state == ASKED else copy for copy in erasure.copies]
        asked = _Erasure(erasure.record, erasure.erased_ms, tuple(copies))
        if asked != erasure:
            self._rows.put(erasure.record, encode(asked))
        return asked

    async def _ask_one(self, copy: _Copy) -> _Copy:
        dealing = self._dealings.get(copy.channel)
        if dealing is None:
            return await self._ask_there(copy)
        try:
            erased = await self._pulls.over_a_line(copy.peer, copy.channel, partial(_asking, copy.channel, copy.grant))
            key = dealing.channel.peer_keys.get(erased.key)
            if key is None:
                raise Refused(Fault.UNKNOWN_KEY, f"the peer has no channel key {erased.key}")
            receipt = check_erasure(
                erased,
                chain=dealing.chain,
                channel=copy.channel,
                grant=copy.grant,
                custodian=self._hospital.id,
                recipient=copy.peer,
                key=key,
            )
        except Refused as refused:
            return _Copy(copy.channel, copy.grant, copy.peer, REFUSED, str(refused), time_ms=now_ms())
        except (LineClosed, LocalError, OSError) as error:
            return _Copy(copy.channel, copy.grant, copy.peer, ASKED, str(error))
        return _Copy(copy.channel, copy.grant, copy.peer, CONFIRMED, "", erased, receipt.had_copy, receipt.time)

    async def _ask_there(self, copy: _Copy) -> _Copy:
        """The worker that keeps the channel asks."""
        part = self._hospital.part
        if part.keeps(copy.channel):
            return copy
        try:
            home = home_of_slot(slot_of(copy.channel), part.workers)
            asked: _Copy = _decode_copy(await self._hospital.siblings.ask(home, "erase: ask", encode(copy)))
        except LocalError:
            return copy
        return asked

    async def _ask_here(self, body: bytes) -> bytes:
        copy: _Copy = _decode_copy(body)
        return encode(copy if copy.channel not in self._dealings else await self._ask_one(copy))

    async def answer(self, dealing: Dealing, grant: int) -> Erased:
        """[ERASE-3] A custodian asks us to erase what came by a grant of its own. Raises `Refused` (UNDER_HOLD)."""
        bodies = self._hospital.bodies
        record = bodies.records.find_received(dealing.id, grant)
        if record is not None:
            hold = self.holds.on(record)
            if hold is not None:
                raise Refused(Fault.UNDER_HOLD, "a legal hold keeps it")
            await trio.to_thread.run_sync(bodies.records.erase, [record])
            self._hospital.announce("erased", dealing.id, f"record {record.id.hex()} of grant {grant}: {_WHY}")
        else:
            await trio.to_thread.run_sync(bodies.incoming.drop, dealing.id, [grant])
        me = dealing.channel.me
        receipt = ErasureReceipt(dealing.id, grant, dealing.peer, self._hospital.id, record is not None, now_ms())
        return sign_erasure(receipt, dealing.chain, me.signer, me.key)


_WHY = "its custodian asked for it"


async def _asking(channel: bytes, grant: int, line: Line) -> Erased:
    return await ask_erasure(line, channel, grant)


def _held(hold: Hold) -> LocalError:
    return LocalError(
        f"a legal hold keeps it: {hold.what} {hold.name}, {hold.reason}", "End it with `interward retention unhold`."
    )


def _view(erasure: _Erasure) -> words.ErasureView:
    return words.ErasureView(
        record=erasure.record.hex(),
        erased_ms=erasure.erased_ms,
        copies=tuple(
            words.CopyView(
                channel=copy.channel.hex(),
                grant=copy.grant,
                peer=copy.peer.hex(),
                state=copy.state,
                detail=copy.detail,
                had_copy=copy.had_copy,
                time_ms=copy.time_ms,
                receipt=None if copy.erased is None else encode(copy.erased).hex(),
            )
            for copy in erasure.copies
        ),
    )
