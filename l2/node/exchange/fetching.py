"""The recipient's side: pull a granted body, confirm it (and pay), wait for the secret, open, verify, store.

Every step can be repeated after a crash: what is on disk and in the two logs says where to go on. A grant is fetched
by one task at a time. Decides nothing but whether a grant can still be fetched.
"""

from dataclasses import dataclass, field

import trio

from l1.ground.faults import Fault, LocalError, Refused
from l1.rules.log.entries import Entry, Grant, GrantTerms, Pay, Receipt
from l1.rules.log.fold import ANSWERED, GRANT, Void
from l2.desk import words
from l2.link import LineClosed
from l2.node.bodies import Download, GrantBody, Record
from l2.node.clock import now_ms
from l2.node.exchange.dealing import Awaited, Dealing, why_void
from l2.node.exchange.logs import find_marks, find_release, grant_has_ended, grant_of, stands
from l2.node.exchange.pulling import Pulls
from l2.node.hospital import Hospital

__all__ = ["Fetching"]

RELEASE_S = 60.0  # a custodian that is there releases at once; later the record comes by itself


@dataclass(slots=True)
class _Turn:
    """Whose turn it is to fetch one grant."""

    lock: trio.Lock = field(default_factory=trio.Lock)
    users: int = 0


class Fetching:
    """See the module."""

    def __init__(self, hospital: Hospital, pulls: Pulls, threads: trio.CapacityLimiter) -> None:
        self._hospital, self._pulls, self._threads = hospital, pulls, threads
        self._bodies = hospital.bodies
        self._turns: dict[tuple[bytes, int], _Turn] = {}

    def is_under_way(self, dealing: Dealing, index: int) -> bool:
        return (dealing.id, index) in self._turns

    async def fetch(self, dealing: Dealing, index: int, *, wait_s: float = RELEASE_S) -> words.Fetched | None:
        """Bring a grant's record home, from wherever it stopped. None: the release has not come within `wait_s`.

        Raises `LocalError` for no such grant or no line, `Refused` with what the peer did wrong or denied.
        """
        key = (dealing.id, index)
        turn = self._turns.setdefault(key, _Turn())
        turn.users += 1
        try:
            async with turn.lock:
                record = self._bodies.records.find_received(dealing.id, index)
                if record is None:
                    record = await self._bring(dealing, index, wait_s)
        finally:
            turn.users -= 1
            if not turn.users:
                del self._turns[key]
        return None if record is None else words.Fetched(record=record.id.hex(), bytes=record.size, digest_ok=True)

    async def _bring(self, dealing: Dealing, index: int, wait_s: float) -> Record | None:
        grant, terms = self._check(dealing, index)
        # From here on the listener notes the release, whenever it comes.
        awaited = dealing.awaited.setdefault(index, Awaited())
        try:
            await self._obtain(dealing, index, grant, terms)
        except BaseException:
            dealing.awaited.pop(index, None)
            raise
        if awaited.secret is None:
            awaited.secret = find_release(dealing.channel, dealing.theirs, index)
        if awaited.secret is None:
            with trio.move_on_after(wait_s):
                await awaited.came.wait()
        if awaited.secret is None:
            return None
        with trio.CancelScope(shield=True):
            record = await trio.to_thread.run_sync(self._keep, dealing, index, awaited.secret, limiter=self._threads)
        dealing.awaited.pop(index, None)
        self._hospital.announce("received", dealing.id, f"grant {index}: record {record.id.hex()}")
        return record

    async def _obtain(self, dealing: Dealing, index: int, grant: Grant, terms: GrantTerms) -> None:
        """The ciphertext on our disk, and our receipt for it in the log."""
        download = await self._download(dealing, index, grant, terms)
        if not download.is_complete:
            try:
                await self._pulls.pull(dealing.peer, download)
            except LineClosed as closed:
                cause = f"the line to the custodian ended ({closed.reason})"
                raise LocalError(cause, "What has arrived is kept; fetch again.") from None
        await self._confirm(dealing, index, grant)

    @staticmethod
    def _check(dealing: Dealing, index: int) -> tuple[Grant, GrantTerms]:
        if not stands(dealing.channel, dealing.theirs, index, GRANT):
            raise LocalError(f"the peer's log has no grant {index}", "`interward record list` shows what was granted.")
        if grant_has_ended(dealing.channel, dealing.theirs, index):
            raise Refused(Fault.NOT_GRANTED, f"grant {index} has ended")
        grant, terms = grant_of(dealing.channel, dealing.theirs, index)
        if not terms.cipher_size:
            raise Refused(Fault.NOT_GRANTED, f"grant {index} has no body")
        return grant, terms

    async def _download(self, dealing: Dealing, index: int, grant: Grant, terms: GrantTerms) -> Download:
        body = GrantBody(
            content=terms.content,
            cipher_root=terms.cipher_root,
            cipher_size=terms.cipher_size,
            key=terms.key,
            lock=grant.lock,
            media_type=terms.media_type,
            record_class=terms.record_class,
            label=terms.label,
        )
        begin = self._bodies.incoming.begin
        return await trio.to_thread.run_sync(begin, dealing.id, index, body, limiter=self._threads)

    @staticmethod
    async def _confirm(dealing: Dealing, index: int, grant: Grant) -> None:
        """The receipt, and right before it the fee where one is due; in one append, so that neither stands alone."""
        if dealing.channel.fold.logs[dealing.theirs].marks[index] & ANSWERED:
            return
        time_ms = now_ms()
        entries: list[Entry] = [Receipt(time_ms, index)]
        if grant.fee:
            entries.insert(0, Pay(time_ms, grant.fee, index))
        outcome = await dealing.write(entries)
        for _, reason in outcome.refused:
            if reason is Void.NOT_PAID:
                cause = f"the fee of {grant.fee} credits is not covered"
                raise LocalError(cause, "Deposit more: `interward channel deposit`.")
            if reason is not Void.ALREADY_DONE:
                raise LocalError(f"the receipt would be void: {why_void(reason)}", "Nothing was written.")

    def _keep(self, dealing: Dealing, index: int, secret: bytes) -> Record:
        """In a thread. Raises `Refused` for a body that does not open to what was granted."""
        return self._bodies.keep_received(
            dealing.id, index, chain=dealing.chain, secret=secret, custodian=dealing.peer, now_ms=now_ms()
        )

    # -- after a start --------------------------------------------------------------------------------------------

    def unfinished(self, dealing: Dealing) -> list[int]:
        """Grants whose download had begun when the process ended."""
        return [index for channel, index, _ in self._bodies.incoming.waiting() if channel == dealing.id]

    @staticmethod
    async def unreceived(dealing: Dealing) -> list[int]:
        """The peer's grants with a body that cost nothing and were never confirmed."""
        found: list[int] = []
        for count, index in enumerate(find_marks(dealing.channel, dealing.theirs, "unreceipted grants")):
            if count % 256 == 0:
                await trio.lowlevel.checkpoint()
            grant, terms = dealing.channel.readers[dealing.theirs].entry(index)
            assert isinstance(grant, Grant)
            assert isinstance(terms, GrantTerms)
            if terms.cipher_size and not grant.fee:
                found.append(index)
        return found
