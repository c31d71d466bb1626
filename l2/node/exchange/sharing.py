"""The custodian's side: policy is asked, bodies are sealed, grants written, requests answered, secrets released.

A body is durable before its grant is written, and forgotten once its release is; what a crash leaves between is put
right when the channel is attached again. Waits on the keeper; the heavy work happens in worker threads.
"""

import math
from collections.abc import Sequence

import structlog
import trio

from l1.ground.codes import DenyReason
from l1.ground.faults import Fault, LocalError, Refused
from l1.ground.limits import CLOCK_SKEW_MS_MAX
from l1.rules.log.entries import Deny, DenyTerms, Grant, GrantTerms, Release, RequestTerms, Terms
from l1.rules.log.fold import ANSWERED, DONE, GRANT, REQUEST
from l2.node.bodies import Record, Spooled
from l2.node.clock import now_ms
from l2.node.exchange.book import Book, SharedRecord
from l2.node.exchange.dealing import Dealing, why_void
from l2.node.exchange.logs import find_marks, grant_has_ended, grant_of, stands
from l2.node.hospital import Hospital
from l2.protocol.policy import Asked, Directive, Permitted, Wanted, decide
from l2.records import release_secret

__all__ = ["Sharing"]

THREADS = 4  # sealing and opening bodies: what is left for the channels is the rest of the machine
GRANTS_PER_ANSWER_MAX = 256  # a patient with more records is answered with the newest

log = structlog.get_logger()


class Sharing:
    """See the module."""

    def __init__(self, hospital: Hospital, book: Book, threads: trio.CapacityLimiter) -> None:
        self._hospital, self._book, self._threads = hospital, book, threads
        self._bodies = hospital.bodies

    # -- deciding -------------------------------------------------------------------------------------------------

    def ask(self, dealing: Dealing, index: int) -> Asked:
        """A request in the peer's log. Raises `LocalError` where there is none."""
        if not stands(dealing.channel, dealing.theirs, index, REQUEST):
            raise LocalError(f"the peer's log has no request {index}", "`interward record list` shows requests.")
        entry, terms = dealing.channel.fold.row(dealing.theirs, index)
        assert isinstance(terms, RequestTerms)
        return Asked(index=index, emergency=entry.emergency, terms=terms)

    def decide(
        self,
        dealing: Dealing,
        record: Record,
        purposes: int,
        *,
        until_ms: int | None = None,
        consent: int | None = None,
        asked: Asked | None = None,
    ) -> Permitted | DenyReason:
        """What policy says about granting a record here. `consent`: no other permit may be used."""
        info = record.info
        subjects = {dealing.patients[subject] for subject in info.subjects}
        if asked is not None and asked.terms.subject not in subjects | {dealing.patients[info.subject]}:
            return DenyReason.NOT_FOUND
        wanted = Wanted(
            classes=info.classes | 1 << info.record_class,
            label=info.label,
            purposes=purposes,
            from_ms=now_ms() - CLOCK_SKEW_MS_MAX,  # the recipient's clock may be behind ours
            until_ms=until_ms,
            data_from_ms=info.from_ms,
            data_until_ms=info.until_ms,
        )
        return decide(wanted, self._directives(dealing, record, consent), asked)

    def _directives(self, dealing: Dealing, record: Record, consent: int | None) -> list[Directive]:
        """Permits of the one patient it is about, and whatever denies for anybody named in it. A record that names
        nobody, or several, is permitted by a consent for the patient "": the hospital's own attestation."""
        one = dealing.patients[record.info.subject]
        found = [Directive(at, terms) for at, terms in dealing.consents.of(one)]
        if consent is not None:
            found = [directive for directive in found if directive.index == consent or not directive.terms.permit]
        for subject in record.info.subjects:
            others = dealing.consents.of(dealing.patients[subject])
            found += [Directive(at, terms) for at, terms in others if not terms.permit]
        return found

    # -- granting -------------------------------------------------------------------------------------------------

    async def grant(self, dealing: Dealing, offers: Sequence[tuple[Record, Permitted]], fee: int) -> list[int]:
        """Seal the bodies, write the grants in one append. Their indices. Raises `LocalError`."""
        entries: list[Grant] = []
        terms: list[Terms] = []
        for record, permitted in offers:
            entry, offered = await trio.to_thread.run_sync(
                self._prepare, dealing, record, permitted, fee, limiter=self._threads
            )
            entries.append(entry)
            terms.append(offered)
        return await self._write(dealing, offers, entries, terms)

    async def _write(
        self,
        dealing: Dealing,
        offers: Sequence[tuple[Record, Permitted]],
        entries: Sequence[Grant],
        terms: Sequence[Terms],
    ) -> list[int]:
        time_ms = now_ms()
        stamped = [Grant(time_ms, e.basis, e.consent, e.request, e.fee, e.lock) for e in entries]
        # What is written must be noted, though whoever asked has gone away meanwhile.
        with trio.CancelScope(shield=True):
            outcome = await dealing.write(stamped, terms)
            refused = dict(outcome.refused)
            written = [position for position in range(len(entries)) if position not in refused]
            indices = [index for first, count in sorted(outcome.runs) for index in range(first, first + count)]
            for position, index in zip(written, indices, strict=True):
                await self._note(dealing, index, entries[position].lock, offers[position][0].id)
            for position in refused:
                await trio.to_thread.run_sync(self._forget, dealing.id, entries[position].lock)
        if refused:
            reason = why_void(next(iter(refused.values())))
            raise LocalError(f"a grant would be void: {reason}", "The others, if there were any, are written.")
        return indices

    def _prepare(self, dealing: Dealing, record: Record, permitted: Permitted, fee: int) -> tuple[Grant, GrantTerms]:
        """In a thread: the body on disk, and the grant that promises it."""
        content = self._bodies.records.open(record.id)
        seed = self._hospital.keys.release_seed()
        body = self._bodies.outgoing.prepare(content, record.info, chain=dealing.chain, channel=dealing.id, seed=seed)
        self._book.note_shared(dealing.id, body.lock, SharedRecord(record=record.id, grant=None))
        grant = Grant(0, permitted.basis, permitted.consent, permitted.request, fee, body.lock)
        offered = GrantTerms(
            content=body.content,
            cipher_root=body.cipher_root,
            cipher_size=body.cipher_size,
            key=body.key,
            media_type=body.media_type,
            record_class=body.record_class,
            label=body.label,
            obligations=0,
            purposes=permitted.purposes,
            from_ms=permitted.from_ms,
            until_ms=permitted.until_ms,
        )
        return grant, offered

    async def _note(self, dealing: Dealing, index: int, lock: bytes, record: bytes) -> None:
        dealing.unreleased[index] = lock
        shared = SharedRecord(record=record, grant=index)
        await trio.to_thread.run_sync(self._book.note_shared, dealing.id, lock, shared)
        if index in dealing.unreleased and dealing.channel.fold.logs[dealing.own].marks[index] & ANSWERED:
            dealing.receipted.add(index)
            dealing.chores.add(("release", 0))
        self._hospital.announce("granted", dealing.id, f"grant {index}")

    def _forget(self, channel: bytes, lock: bytes) -> None:
        """In a thread: a body whose grant was never written."""
        self._bodies.outgoing.drop(channel, lock)
        self._book.forget_shared(channel, lock)

    # -- answering ------------------------------------------------------------------------------------------------

    async def answer(self, dealing: Dealing, index: int) -> None:
        """Answer an open request out of what policy permits, or deny it with the reason."""
        if dealing.channel.fold.logs[dealing.theirs].marks[index] != REQUEST:
            return
        asked = self.ask(dealing, index)
        patient = self._book.who(dealing.id, asked.terms.subject)
        records: list[Record] = []
        if patient:
            records = await trio.to_thread.run_sync(self._records_of, patient, limiter=self._threads)
        verdicts = [(record, self.decide(dealing, record, 1 << asked.terms.purpose, asked=asked)) for record in records]
        offers = [(record, verdict) for record, verdict in verdicts if isinstance(verdict, Permitted)]
        if offers:
            await self.grant(dealing, offers[-GRANTS_PER_ANSWER_MAX:], 0)
            return
        reasons = [verdict for _, verdict in verdicts if isinstance(verdict, DenyReason)]
        # Of several reasons the one that says most about consent: that something else was not found says little.
        told = next((reason for reason in reasons if reason is not DenyReason.NOT_FOUND), DenyReason.NOT_FOUND)
        await dealing.write_one(Deny(now_ms(), index), DenyTerms(told), "the denial")
        self._hospital.announce("denied", dealing.id, f"request {index}: {told.name}")

    def unanswered(self, dealing: Dealing, *, emergencies_only: bool) -> list[int]:
        """Requests of the peer that nothing has answered."""
        found = find_marks(dealing.channel, dealing.theirs, "open requests")
        if not emergencies_only:
            return found
        return [index for index in found if dealing.channel.readers[dealing.theirs].entry(index)[0].emergency]  # type: ignore[union-attr]

    def _records_of(self, patient: str) -> list[Record]:
        return self._bodies.records.search(subject=patient, own=True)

    # -- releasing ------------------------------------------------------------------------------------------------

    async def release(self, dealing: Dealing) -> None:
        """Release the secrets of all grants that the peer has confirmed; then their bodies are forgotten."""
        dealing.receipted &= dealing.unreleased.keys()
        ready = [at for at in sorted(dealing.receipted) if not grant_has_ended(dealing.channel, dealing.own, at)]
        if not ready:
            return
        time_ms = now_ms()
        outcome = await dealing.write([Release(time_ms, index, self._secret(dealing, index)) for index in ready])
        for position, reason in outcome.refused:
            log.warning("release refused", channel=dealing.keeper.name, grant=ready[position], reason=why_void(reason))
        marks = dealing.channel.fold.logs[dealing.own].marks
        for index in ready:
            if marks[index] & DONE and (lock := dealing.unreleased.pop(index, None)) is not None:
                await trio.to_thread.run_sync(self._bodies.outgoing.drop, dealing.id, lock)

    def _secret(self, dealing: Dealing, index: int) -> bytes:
        _, terms = grant_of(dealing.channel, dealing.own, index)
        return release_secret(self._hospital.keys.release_seed(), dealing.chain, dealing.id, terms.content)

    async def tidy(self, dealing: Dealing) -> None:
        """Forget the bodies of grants that have ended."""
        for index, lock in list(dealing.unreleased.items()):
            if grant_has_ended(dealing.channel, dealing.own, index):
                dealing.unreleased.pop(index, None)
                await trio.to_thread.run_sync(self._bodies.outgoing.drop, dealing.id, lock)

    # -- serving --------------------------------------------------------------------------------------------------

    async def find_body(self, dealing: Dealing, index: int) -> Spooled:
        """The body of one of our grants, for its recipient. Raises `Refused` (NOT_GRANTED)."""
        channel = dealing.channel
        if not stands(channel, dealing.own, index, GRANT) or grant_has_ended(channel, dealing.own, index):
            raise Refused(Fault.NOT_GRANTED, f"grant {index} does not stand")
        grant, _ = grant_of(channel, dealing.own, index)
        secret = self._secret(dealing, index)
        spooled = await trio.to_thread.run_sync(self._bodies.outgoing.find, dealing.id, grant.lock, secret)
        if spooled is None:
            raise Refused(Fault.NOT_GRANTED, f"grant {index} has no body here any more")
        return spooled

    # -- after a start --------------------------------------------------------------------------------------------

    def take_up(self, dealing: Dealing) -> None:
        """Find again which bodies wait for a receipt or a release."""
        orphans: dict[bytes, bytes] = {}
        for channel, lock in self._bodies.outgoing.locks():
            if channel != dealing.id:
                continue
            shared = self._book.shared(channel, lock)
            if shared is not None and shared.grant is not None:
                self._take_up_grant(dealing, shared.grant, lock)
            else:
                orphans[lock] = b"" if shared is None else shared.record
        dealing.orphans = orphans
        for chore in ("adopt", "release", "tidy"):
            dealing.chores.add((chore, 0))

    def _take_up_grant(self, dealing: Dealing, index: int, lock: bytes) -> None:
        if not stands(dealing.channel, dealing.own, index, GRANT):
            return  # a log that was restored, and has not been fetched again from the peer yet
        grant, _ = grant_of(dealing.channel, dealing.own, index)
        if grant.lock != lock:
            return
        dealing.unreleased[index] = lock
        if dealing.channel.fold.logs[dealing.own].marks[index] & ANSWERED:
            dealing.receipted.add(index)

    async def adopt(self, dealing: Dealing) -> None:
        """A crash came between a body and the note of its grant: find the grant, or else forget the body.

        Only a resumed channel knows its whole log."""
        orphans, dealing.orphans = dealing.orphans, {}
        if not orphans:
            return
        await dealing.keeper.wait_until(lambda channel: channel.resumed, math.inf, "the resume")
        for index in find_marks(dealing.channel, dealing.own, "grants"):
            grant, _ = dealing.channel.readers[dealing.own].entry(index)
            if isinstance(grant, Grant) and grant.lock in orphans:
                self._book.note_shared(dealing.id, grant.lock, SharedRecord(orphans.pop(grant.lock), index))
                self._take_up_grant(dealing, index, grant.lock)
        for lock in orphans:
            await trio.to_thread.run_sync(self._forget, dealing.id, lock)
