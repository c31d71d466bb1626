"""The custodian's side: policy is asked, bodies are sealed, grants written, requests answered, secrets released.

A body is durable before its grant is written, and forgotten once its release is; what a crash leaves between is put
right when the channel is attached again. Waits on the keeper; the heavy work happens in worker threads.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import structlog
import trio

from l1.ground.codes import DenyReason
from l1.ground.faults import Fault, LocalError, Refused
from l1.rules.log.entries import Deny, DenyTerms, Grant, GrantTerms, Release
from l1.rules.log.fold import ANSWERED, DONE, GRANT, REQUEST
from l2.desk import words
from l2.node.bodies import GrantBody, Offered, Record
from l2.node.clock import now_ms
from l2.node.exchange.book import Book, SharedRecord
from l2.node.exchange.cutting import Cutting, Offer, told_reason
from l2.node.exchange.dealing import Dealing, why_void
from l2.node.exchange.deciding import Wish, decide_whole, find_request, judge_of
from l2.node.exchange.logs import find_marks, grant_has_ended, grant_in_force, grant_of, grants_in_force, stands
from l2.node.exchange.views import piece_view
from l2.node.hospital import Hospital
from l2.protocol.policy import Asked, Permitted
from l2.records import Selection, release_secrets

__all__ = ["Sharing"]

THREADS = 4  # sealing and opening bodies: what is left for the channels is the rest of the machine
CROWD_THREADS = 1  # many short bodies are small steps, and threads would only hand the interpreter to and fro
SERVED_MAX = 64  # bodies whose keys are held while they are pulled
SHORT_BYTES = 64 * 1024  # records of a chunk or so
GRANTS_AT_ONCE = 512  # one sync and one append for so many
GRANTS_PER_ANSWER_MAX = 2_048  # a CT study is some hundred files; a patient with more is answered with the newest

log = structlog.get_logger()


class Sharing:
    """See the module."""

    def __init__(
        self, hospital: Hospital, book: Book, threads: trio.CapacityLimiter, crowds: trio.CapacityLimiter
    ) -> None:
        self._hospital, self._book, self._threads, self.crowds = hospital, book, threads, crowds
        self._bodies = hospital.bodies
        self._cutting = Cutting(hospital.bodies, threads)
        self._served: dict[tuple[bytes, bytes], Offered] = {}  # bodies being pulled, a few chunks at a time

    # -- deciding -------------------------------------------------------------------------------------------------

    async def offers(self, dealing: Dealing, record: Record, wanted: Selection, wish: Wish) -> list[Offer] | DenyReason:
        """What of a record policy permits to grant of what is wanted, or why nothing."""
        whole = decide_whole(dealing, record, wish)
        return await self._cutting.fit(record, wanted, judge_of(dealing, wanted.subject, wish), whole)

    async def list_pieces(self, record: Record) -> words.Pieces:
        """A record's resources from outside, and the root of their tree."""
        pieces = await self._cutting.pieces(record)
        tree = self._bodies.records.tree(record.id, [piece.slice for piece in pieces]) if pieces else None
        return words.Pieces(
            record=record.id.hex(),
            root="" if tree is None else tree.root.hex(),
            pieces=tuple(piece_view(number, piece) for number, piece in enumerate(pieces)),
        )

    # -- granting -------------------------------------------------------------------------------------------------

    async def grant(self, dealing: Dealing, offers: Sequence[Offer], fee: int) -> list[int]:
        """Seal the bodies, write the grants, each crowd of them in one append. Their indices. Raises `LocalError`."""
        indices: list[int] = []
        for start in range(0, len(offers), GRANTS_AT_ONCE):
            crowd = offers[start : start + GRANTS_AT_ONCE]
            threads = self._threads if any(offer.record.size > SHORT_BYTES for offer in crowd) else self.crowds
            bodies = await trio.to_thread.run_sync(self._prepare, dealing, crowd, limiter=threads)
            indices += await self._write(dealing, crowd, bodies, fee)
        return indices

    async def _write(
        self,
        dealing: Dealing,
        offers: Sequence[Offer],
        bodies: Sequence[GrantBody],
        fee: int,
    ) -> list[int]:
        """The grants that promise these bodies."""
        time_ms = now_ms()
        permits = [offer.permitted for offer in offers]
        locks = [body.lock for body in bodies]
        entries = [
            Grant(time_ms, permitted.basis, permitted.consent, permitted.request, fee, lock)
            for permitted, lock in zip(permits, locks, strict=True)
        ]
        terms = [_terms(body, permitted) for body, permitted in zip(bodies, permits, strict=True)]
        # What is written must be noted, though whoever asked has gone away meanwhile.
        with trio.CancelScope(shield=True):
            outcome = await dealing.write(entries, terms)
            refused = dict(outcome.refused)
            written = [position for position in range(len(entries)) if position not in refused]
            indices = [index for first, count in sorted(outcome.runs) for index in range(first, first + count)]
            noted = {
                index: (locks[position], offers[position].record.id)
                for position, index in zip(written, indices, strict=True)
            }
            await self._note(dealing, noted)
            if refused:
                await trio.to_thread.run_sync(self._forget, dealing.id, [locks[position] for position in refused])
        if refused:
            reason = why_void(next(iter(refused.values())))
            raise LocalError(f"a grant would be void: {reason}", "The others, if there were any, are written.")
        return indices

    def _prepare(self, dealing: Dealing, offers: Sequence[Offer]) -> list[GrantBody]:
        """In a thread: the bodies' rows on disk."""
        return self._bodies.outgoing.prepare_all(
            [self._cutting.record_of(offer) for offer in offers],
            chain=dealing.chain,
            channel=dealing.id,
            seed=self._hospital.keys.release_seed(),
        )

    async def _note(self, dealing: Dealing, noted: dict[int, tuple[bytes, bytes]]) -> None:
        """Grants stand, by index: lock and record of each."""
        dealing.unreleased |= {index: lock for index, (lock, _) in noted.items()}
        shared = [(lock, SharedRecord(record=record, grant=index)) for index, (lock, record) in noted.items()]
        await trio.to_thread.run_sync(self._book.note_shared, dealing.id, shared)
        marks = dealing.channel.fold.logs[dealing.own].marks
        confirmed = [index for index in noted if index in dealing.unreleased and marks[index] & ANSWERED]
        if confirmed:
            dealing.receipted.update(confirmed)
            dealing.chores.add(("release", 0))
        for index in noted:
            self._hospital.announce("granted", dealing.id, f"grant {index}")

    def _forget(self, channel: bytes, locks: Sequence[bytes]) -> None:
        """In a thread: bodies whose grants were never written."""
        self._bodies.drop_granted(channel, locks)
        self._book.forget_shared(channel, locks)

    # -- answering ------------------------------------------------------------------------------------------------

    async def answer(self, dealing: Dealing, index: int) -> None:
        """Answer an open request out of what policy permits, or deny it with the reason."""
        if dealing.channel.fold.logs[dealing.theirs].marks[index] != REQUEST:
            return
        asked = find_request(dealing, index)
        offers, reasons = await self._offers_for(dealing, asked)
        if len(offers) > GRANTS_PER_ANSWER_MAX:
            left = len(offers) - GRANTS_PER_ANSWER_MAX
            self._hospital.announce("cut short", dealing.id, f"request {index}: the {left} oldest records are left out")
        if offers:
            await self.grant(dealing, offers[-GRANTS_PER_ANSWER_MAX:], 0)
            return
        told = told_reason(reasons)
        await dealing.write_one(Deny(now_ms(), index), DenyTerms(told), "the denial")
        self._hospital.announce("denied", dealing.id, f"request {index}: {told.name}")

    async def _offers_for(self, dealing: Dealing, asked: Asked) -> tuple[list[Offer], list[DenyReason]]:
        """Of everything that we hold of the patient, what fits the request; oldest record first."""
        terms = asked.terms
        patient = self._book.who(dealing.id, terms.subject)
        offers: list[Offer] = []
        reasons: list[DenyReason] = []
        if not patient:
            return offers, reasons
        wanted = Selection(patient, terms.classes, terms.data_from_ms, terms.data_until_ms)
        wish = Wish(1 << terms.purpose, asked=asked)
        for record in await trio.to_thread.run_sync(self._records_of, patient, limiter=self._threads):
            found = await self.offers(dealing, record, wanted, wish)
            if isinstance(found, DenyReason):
                reasons.append(found)
            else:
                offers += found
        return offers, reasons

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
        time_ms, secret_of = now_ms(), self._secrets(dealing)
        found = grants_in_force(dealing.channel, dealing.own, dealing.receipted)
        releases = [Release(time_ms, at, secret_of(terms.key)) for at, (_, terms) in found.items()]
        ready = [release.grant for release in releases]
        if not ready:
            return
        outcome = await dealing.write(releases)
        for position, reason in outcome.refused:
            log.warning("release refused", channel=dealing.keeper.name, grant=ready[position], reason=why_void(reason))
        marks = dealing.channel.fold.logs[dealing.own].marks
        out = [index for index in ready if marks[index] & DONE]
        locks = [lock for index in out if (lock := dealing.unreleased.pop(index, None)) is not None]
        await self._drop(dealing, locks)

    async def _drop(self, dealing: Dealing, locks: Sequence[bytes]) -> None:
        for lock in locks:
            self._served.pop((dealing.id, lock), None)
        if locks:
            await trio.to_thread.run_sync(self._bodies.drop_granted, dealing.id, locks)

    def _secrets(self, dealing: Dealing) -> Callable[[bytes], bytes]:
        """What a release of ours shows, by the grant's `key`."""
        return release_secrets(self._hospital.keys.release_seed(), dealing.chain, dealing.id)

    async def tidy(self, dealing: Dealing) -> None:
        """Forget the bodies of grants that have ended."""
        ended = [index for index in dealing.unreleased if grant_has_ended(dealing.channel, dealing.own, index)]
        await self._drop(dealing, [dealing.unreleased.pop(index) for index in ended])

    # -- serving --------------------------------------------------------------------------------------------------

    async def find_body(self, dealing: Dealing, index: int) -> Offered:
        """The body of one of our grants, for its recipient. Raises `Refused` (NOT_GRANTED)."""
        grant, terms = self._standing(dealing, index)
        lock = grant.lock
        served = self._served.get((dealing.id, lock))
        if served is None:
            secret = self._secrets(dealing)(terms.key)
            find = self._bodies.outgoing.find
            served = await trio.to_thread.run_sync(find, dealing.chain, dealing.id, lock, secret)
        if served is None:
            raise Refused(Fault.NOT_GRANTED, f"grant {index} has no body here any more")
        while len(self._served) >= SERVED_MAX:
            self._served.pop(next(iter(self._served)))
        self._served[dealing.id, lock] = served
        return served

    def find_bodies(
        self, dealing: Dealing, indices: Sequence[int]
    ) -> Callable[[], Iterator[tuple[int, Offered | Refused]]]:
        """Many at once: what stands is settled here, the function that is returned is for a worker thread."""
        secret_of = self._secrets(dealing)
        found = grants_in_force(dealing.channel, dealing.own, indices)
        standing = [(index, grant.lock, secret_of(terms.key)) for index, (grant, terms) in found.items()]
        ended = [index for index in indices if index not in found]

        def find() -> Iterator[tuple[int, Offered | Refused]]:
            yield from ((index, _not_standing(index)) for index in ended)
            for index, offered in self._bodies.outgoing.find_all(dealing.chain, dealing.id, standing):
                gone = Refused(Fault.NOT_GRANTED, f"grant {index} has no body here any more")
                yield index, gone if offered is None else offered

        return find

    @staticmethod
    def _standing(dealing: Dealing, index: int) -> tuple[Grant, GrantTerms]:
        """One of our grants that may be pulled. Raises `Refused` (NOT_GRANTED)."""
        found = grant_in_force(dealing.channel, dealing.own, index)
        if found is None:
            raise _not_standing(index)
        return found

    def forget_served(self) -> None:
        """Keys of bodies that are being sent are kept for a while; a record was erased, so none stays."""
        self._served.clear()
        self._bodies.outgoing.forget_kept()

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
                orphans[lock] = self._bodies.outgoing.record_of(channel, lock) or b""
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
                self._book.note_shared(dealing.id, [(grant.lock, SharedRecord(orphans.pop(grant.lock), index))])
                self._take_up_grant(dealing, index, grant.lock)
        if orphans:
            await trio.to_thread.run_sync(self._forget, dealing.id, list(orphans))


def _not_standing(index: int) -> Refused:
    return Refused(Fault.NOT_GRANTED, f"grant {index} does not stand")


def _terms(body: GrantBody, permitted: Permitted) -> GrantTerms:
    """What a grant says of a body."""
    return GrantTerms(
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
